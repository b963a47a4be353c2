"""The networks' weights: what there is, where it lies, and how to get it.

Nothing is ever downloaded unless `napari_amodal.weights.fetch.fetch` is called for it.
"""

from napari_amodal.weights.store import locate, require, variant

__all__ = ["locate", "require", "variant"]
