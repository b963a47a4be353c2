"""The report of an evaluation: one HTML file with curves and pictures in it."""
