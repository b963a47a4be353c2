"""The dock widget *Compose a clip*: an object, and occluders laid over it."""
