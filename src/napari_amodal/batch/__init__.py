"""An engine over a whole set of clips, on one machine or on a cluster."""
