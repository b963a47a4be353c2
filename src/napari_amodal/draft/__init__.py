"""The draft engine: stages that need only a CPU and download nothing.

Its networks are small, were trained by us (``training/``), and come with the package; `flow` and
`aligned` do without them.
"""

from napari_amodal.registry import Engine

DRAFT = Engine(
    name="draft",
    summary="CPU only, nothing to download: small networks that come with the package",
    tracker="memory",
    reasoner="learned",
    completer="learned",
)
