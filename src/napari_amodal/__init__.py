"""Amodal video annotation: what is seen of an object, and what is hidden of it."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-amodal")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
