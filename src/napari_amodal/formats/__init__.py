"""Reading and writing: one module a format. `opening.open_clip` opens whatever can be opened."""
