"""Opening clips in napari: TABE-51 folders, videos, datasets of one clip, sessions.

Folders of images and TIFF files are napari's own readers' matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_amodal.clip import Clip
    from napari_amodal.formats.tabe51 import Tabe51Clip

LayerTuple = tuple[Any, dict[str, Any], str]
Paths = str | Sequence[str]
Reader = Callable[[Paths], list[LayerTuple]]


def get_folder_reader(path: Paths) -> Reader | None:
    """A reader for a clip folder in the TABE-51 layout, None for another path."""
    folders = _listed(path)
    return read_folders if all((folder / "frames").is_dir() for folder in folders) else None


def get_video_reader(path: Paths) -> Reader | None:
    """A reader for video files; the manifest names their extensions."""
    return read_videos if all(file.is_file() for file in _listed(path)) else None


def get_dataset_reader(path: Paths) -> Reader | None:
    """A reader for a dataset of one clip (COCO, COCOA, BURST, DAVIS), None for another path."""
    from napari_amodal.formats.dataset_formats import recognise
    from napari_amodal.widgets.dataset_clip import OPENED

    known = all(recognise(file) in OPENED for file in _listed(path))
    return read_datasets if known else None


def get_session_reader(path: Paths) -> Reader | None:
    """A reader for a session's folder, None for another path."""
    from napari_amodal.annotation.session_folder import is_session

    return read_sessions if all(is_session(folder) for folder in _listed(path)) else None


def read_sessions(path: Paths) -> list[LayerTuple]:
    """The frames of a session's clip; the panel, which opens with it, shows the work on them."""
    from napari_amodal.annotation.clip_reference import find_clip
    from napari_amodal.annotation.session_search import look_into
    from napari_amodal.widgets.opening_panel import open_panel_soon

    layers = []
    for folder in _listed(path):
        clip = _said(lambda folder: find_clip(look_into(folder).clip, folder), folder)
        layers.append(frames_layer(clip, session=folder))
    open_panel_soon()
    return layers


def read_datasets(path: Paths) -> list[LayerTuple]:
    """The frames of each clip, and *amodal* and *visible* Labels layers of each of its objects."""
    from napari_amodal.widgets.dataset_clip import open_one_clip

    layers: list[LayerTuple] = []
    for file in _listed(path):
        clip, objects = _said(open_one_clip, file)
        layers += [frames_layer(clip), *objects]
    return layers


def read_folders(path: Paths) -> list[LayerTuple]:
    """Frames as an RGB Image layer, and what masks there are as Labels layers.

    *amodal* and *visible* where the folder has amodal masks, *visible* alone where it has visible
    masks of all frames, *query* where it has those of some. A folder that a run made has its query
    as a layer, too.
    """
    from napari_amodal.formats.tabe51 import read_tabe51

    return [
        layer for folder in _listed(path) for layer in _folder_layers(_said(read_tabe51, folder))
    ]


def read_videos(path: Paths) -> list[LayerTuple]:
    """Each video as an RGB Image layer whose frames are decoded when they are shown."""
    from napari_amodal.formats.opening import open_clip

    return [frames_layer(_said(open_clip, file)) for file in _listed(path)]


def frames_layer(clip: Clip, session: Path | None = None) -> LayerTuple:
    """The frames of a clip as an Image layer that remembers its clip, and its session."""
    from napari_amodal.widgets.layer_origin import LayerOrigin, LayerRole

    settings = {
        "name": clip.name,
        "rgb": True,
        "axis_labels": ("frame", "y", "x"),
        "cache": False,  # dask's cache would keep a tenth of the memory full of frames
        "metadata": LayerOrigin(LayerRole.FRAMES, clip, session=session).as_metadata(),
    }
    return clip.frames, settings, "image"


def _folder_layers(folder: Tabe51Clip) -> list[LayerTuple]:
    return [frames_layer(folder.clip), *_said(_mask_layers, folder)]


def _mask_layers(folder: Tabe51Clip) -> list[LayerTuple]:
    from napari_amodal.widgets import given_masks
    from napari_amodal.widgets.layer_origin import LayerRole

    if not (folder.visible or folder.amodal):
        return []
    if given_masks.has_query_only(folder):
        return [given_masks.query_layer(folder, sorted(folder.visible))]
    annotation = given_masks.given_annotation(folder)
    roles = [LayerRole.AMODAL] * bool(folder.amodal) + [LayerRole.VISIBLE]
    layers = [given_masks.labels_layer(folder.clip, annotation, role) for role in roles]
    query_frame = given_masks.recorded_query_frame(folder)
    if query_frame is not None:
        layers.append(given_masks.query_layer(folder, [query_frame]))
    return layers


def _said(read: Callable[[Any], Any], source: Any) -> Any:
    """Call `read`; where the data is at fault, say so in the window, as napari may not.

    napari replaces a reader's error by "tried opening with napari-amodal, but failed" where no
    other reader knows the file.
    """
    from napari.utils.notifications import show_error

    from napari_amodal.errors import InputError

    try:
        return read(source)
    except InputError as error:
        show_error(str(error))
        raise


def _listed(path: Paths) -> list[Path]:
    return [Path(path)] if isinstance(path, str) else [Path(one) for one in path]
