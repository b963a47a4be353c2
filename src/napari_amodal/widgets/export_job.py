"""Exporting what is annotated, in a worker thread."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from napari.layers import Labels, Layer

from napari_amodal.engine import Completion
from napari_amodal.export import export, object_folders
from napari_amodal.widgets.annotation_model import AnnotationModel
from napari_amodal.widgets.background_job import BackgroundJob
from napari_amodal.widgets.completion_run import with_painted
from napari_amodal.widgets.frame_levels import is_known
from napari_amodal.widgets.left_out import Exported, left_out, look_alikes
from napari_amodal.widgets.mask_layers import MaskLayers, Painted


def export_hindrance(annotation: AnnotationModel) -> str:
    """Why there is nothing to export; empty where there is."""
    if not annotation.objects:
        return "Run first: there are no masks yet"
    for annotated in annotation.objects.values():
        missing = sum(not is_known(annotated, frame) for frame in range(len(annotated)))
        if missing and any(mask.box is not None for mask in annotated.visible.packed):
            return f"{annotated.name} has no amodal masks on {missing} frames: run again"
        if missing:
            return f"Run first: {annotated.name} has no masks yet"
    return ""


def export_folders(annotation: AnnotationModel, out: Path) -> tuple[Path, ...]:
    """The clip folders that an export to `out` would write."""
    assert annotation.clip is not None
    ids = tuple(annotation.objects)
    return tuple(object_folders(out, annotation.clip.name, ids).values())


def exported_layers(layers: MaskLayers) -> str:
    """The layers that an export writes, by name."""
    return ", ".join(repr(found.layer.name) for found in reversed(layers.layers))


class ExportJob:
    """One export of all objects."""

    def __init__(
        self,
        annotation: AnnotationModel,
        layers: MaskLayers,
        query: Labels | None,
        completion: Completion | None,
    ) -> None:
        assert annotation.clip is not None
        self.heard: Painted = {}
        self._clip = annotation.clip
        self._state = annotation.state
        self._layers = layers
        self._query = query
        self._completion = completion

    def begin(self, out: Path, viewer_layers: Iterable[Layer], *, overwrite: bool) -> None:
        """Write the clip folders into `out`."""
        names = exported_layers(self._layers)
        others = look_alikes(viewer_layers, self._layers, self._query)

        def work(job: BackgroundJob[Exported]) -> Exported:
            self.heard = self._layers.painted(job.check)
            annotations = with_painted(self._state, self.heard).annotations()
            folders = export(out, self._clip, annotations, self._completion, overwrite=overwrite)
            return Exported(folders, names, left_out(others, job.check))

        self.job: BackgroundJob[Exported] = BackgroundJob(work)
        self.job.start()
