"""The stages of the published method, TABE: networks that run best on a GPU."""
