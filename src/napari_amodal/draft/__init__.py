"""The draft engine: classical stages that need only a CPU and download nothing."""

from napari_amodal.registry import Engine

DRAFT = Engine(
    name="draft",
    summary="CPU only, nothing to download: optical flow and the object's own shapes",
    tracker="flow",
    reasoner="outline",
    completer="shape",
)
