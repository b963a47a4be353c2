"""Readers and the writer, through the viewer as File > Open and File > Save use them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from napari import Viewer
from napari.plugins._npe2 import file_extensions_string_for_layers

from napari_amodal.clip import clip_from_array
from napari_amodal.errors import InputError
from napari_amodal.formats.tabe51 import read_tabe51, write_tabe51
from napari_amodal.levels import occlusion_of
from napari_amodal.masks import MaskStack
from napari_amodal.widgets.completion_widget import CompletionWidget
from napari_amodal.widgets.writers import SaveError

from .driving import choose_engine, mask, paint_square, run_to_its_end, wait_until_idle

PLUGIN = "napari-amodal"
Said = Callable[[], list[str]]


@pytest.fixture
def viewer(make_napari_viewer: Any) -> Viewer:
    return make_napari_viewer()


@pytest.fixture
def folder(tmp_path: Path, frames: np.ndarray) -> Path:
    """A clip folder with masks on all frames; the object leaves in the last one."""
    rng = np.random.default_rng(1)
    visible = rng.random((8, 48, 64)) > 0.7
    amodal = visible | (rng.random((8, 48, 64)) > 0.8)
    stacks = MaskStack.from_array(visible), MaskStack.from_array(amodal)
    path = tmp_path / "given"
    clip = clip_from_array(frames, "given")
    write_tabe51(path, clip, *stacks, occlusion_of(*stacks, frozenset({7})))
    return path


def test_folder_opens_as_frames_and_masks(viewer: Viewer, folder: Path) -> None:
    image, amodal, visible = viewer.open(folder, plugin=PLUGIN)
    assert image.rgb and image.data.shape == (8, 48, 64, 3)
    assert [layer.name for layer in (image, amodal, visible)] == ["given", "amodal", "visible"]
    there = read_tabe51(folder)
    for frame in range(8):
        assert (mask(visible, frame) == there.visible[frame]).all()
        assert (mask(amodal, frame) == there.amodal[frame]).all()
    assert str(folder) in repr(image.metadata)


def keep_only(folder: Path, visible: tuple[int, ...], amodal: tuple[int, ...] = ()) -> None:
    """Take all masks but those of some frames out of a clip folder, and annos.json."""
    for name, kept in (("visible_masks", visible), ("gt_masks", amodal)):
        for path in (folder / name).iterdir():
            if int(path.stem) not in kept:
                path.unlink()
    (folder / "annos.json").unlink()


def test_folder_with_a_query_mask_only(
    open_widget: Callable[[], CompletionWidget], folder: Path, qtbot: Any
) -> None:
    widget = open_widget()
    viewer = widget.model.viewer
    keep_only(folder, (6,))
    _, query = viewer.open(folder, plugin=PLUGIN)
    assert query.name == "query" and query.data[6].any() and not query.data[:6].any()
    qtbot.waitUntil(lambda: widget.model.query is query)
    assert widget.model.frame == 6  # where the query is
    choose_engine(widget, "still")
    run_to_its_end(qtbot, widget)
    assert [layer.name for layer in viewer.layers] == ["given", "amodal", "visible", "query"]
    assert (mask(viewer.layers["visible"], 1) == mask(query, 6)).all()
    widget.model.go_to(3)
    viewer.layers.remove(query)
    viewer.layers.append(query)
    qtbot.waitUntil(lambda: widget.model.query is query)
    assert widget.model.frame == 3  # only the first time


def test_folder_with_all_visible_masks_and_no_amodal_ones(viewer: Viewer, folder: Path) -> None:
    keep_only(folder, tuple(range(8)))
    layers = viewer.open(folder, plugin=PLUGIN)
    assert [layer.name for layer in layers] == ["given", "visible"]
    assert all(layers[1].data[frame].any() for frame in range(8))


def test_folder_without_masks(viewer: Viewer, folder: Path) -> None:
    keep_only(folder, ())
    assert [layer.name for layer in viewer.open(folder, plugin=PLUGIN)] == ["given"]


def test_one_frame_folder_is_explained(
    open_widget: Callable[[], CompletionWidget], folder: Path, qtbot: Any
) -> None:
    for path in folder.rglob("*.*g"):
        if path.stem != "00000":
            path.unlink()
    (folder / "annos.json").unlink()
    widget = open_widget()
    image, *_ = widget.model.viewer.open(folder, plugin=PLUGIN)
    qtbot.waitUntil(lambda: widget.model.stack is image and widget.model.query is not None)
    assert not widget.run_button.isEnabled() and not widget.export_button.isEnabled()
    assert "'given' has one frame" in widget.stage.text()


def test_an_export_opens_with_its_query(
    open_widget: Callable[[], CompletionWidget], frames: np.ndarray, tmp_path: Path, qtbot: Any
) -> None:
    widget = open_widget()
    viewer = widget.model.viewer
    viewer.add_image(frames, name="clip")
    widget.frames.refresh()
    widget.new_query.click()
    assert widget.model.query is not None
    paint_square(widget.model.query, 2)
    painted = mask(widget.model.query, 2)
    choose_engine(widget, "still")
    run_to_its_end(qtbot, widget)
    widget.model.start_export(tmp_path, overwrite=False)
    wait_until_idle(qtbot, widget)
    viewer.layers.clear()
    *_, query = viewer.open(tmp_path / "clip", plugin=PLUGIN)
    assert [layer.name for layer in viewer.layers] == ["clip", "amodal", "visible", "query"]
    assert (mask(query, 2) == painted).all() and np.count_nonzero(query.data) == painted.sum()
    qtbot.waitUntil(lambda: widget.model.query is query)
    assert widget.model.frame == 2 and bool(widget.model.layers.layers)


def test_export_says_which_painted_layers_it_leaves_out(
    open_widget: Callable[[], CompletionWidget],
    folder: Path,
    tmp_path: Path,
    qtbot: Any,
    said: Said,
) -> None:
    widget = open_widget()
    layers = widget.model.viewer.layers
    _, amodal, visible = widget.model.viewer.open(folder, plugin=PLUGIN)
    qtbot.waitUntil(lambda: widget.model.query is visible)
    assert widget.every_frame.isChecked()  # masks of a folder, no slips of the brush
    choose_engine(widget, "still")
    run_to_its_end(qtbot, widget)
    assert not visible.visible  # the run's own lie in the same place
    widget.model.start_export(tmp_path / "one", overwrite=False)
    wait_until_idle(qtbot, widget)
    assert said() == []  # what the folder gave and nobody touched is no correction
    paint_square(amodal, 3)
    mine = widget.model.viewer.add_labels(np.zeros((8, 48, 64), np.uint8), name="amodal by hand")
    mine.data[5, 3:9, 3:9] = 1
    widget.model.viewer.add_labels(np.ones((8, 48, 64), np.uint8), name="cells")
    widget.model.start_export(tmp_path / "two", overwrite=False)
    wait_until_idle(qtbot, widget)
    (message,) = said()
    assert "'amodal' (painted on frame 3), 'amodal by hand' (painted on frame 5)." in message
    assert "The export holds 'visible [1]', 'amodal [1]'" in message
    assert "'visible [1]', 'amodal [1]'" in widget.model.status
    assert "'visible [1]', 'amodal [1]'" in widget.export_button.toolTip()
    paint_square(layers["amodal [1]"], 3)
    widget.model.start_export(tmp_path / "three", overwrite=False)
    wait_until_idle(qtbot, widget)
    found = read_tabe51(tmp_path / "three" / "given")
    assert (found.amodal[3] == mask(layers["amodal [1]"], 3)).all()


def test_folder_round_trip_through_save(viewer: Viewer, folder: Path, tmp_path: Path) -> None:
    _, amodal, visible = viewer.open(folder, plugin=PLUGIN)
    paint_square(amodal, 3)
    viewer.layers.selection = {amodal, visible}  # the masks know their frames
    written = viewer.layers.save(tmp_path / "saved", selected=True, plugin=PLUGIN)
    assert written == [str(tmp_path / "saved")]
    found = read_tabe51(tmp_path / "saved")
    for frame in range(8):
        assert (found.visible[frame] == mask(visible, frame)).all()
        assert (found.amodal[frame] == mask(amodal, frame)).all()
    assert found.provenance is not None
    origins = [record["amodal"] for record in found.provenance["frames"]]
    assert origins == ["given"] * 3 + ["edited"] + ["given"] * 4
    assert found.occlusion is not None and found.occlusion[7].level.name == "NONE"


def test_layers_of_other_work_are_saved_by_their_names(
    viewer: Viewer, frames: np.ndarray, tmp_path: Path
) -> None:
    labels = np.zeros((8, 48, 64), np.int32)
    labels[:, 5:15, 5:15] = 3
    labels[:, 20:30, 5:15] = 8
    viewer.add_image(frames, name="mine")
    viewer.add_labels(labels, name="Visible parts")
    viewer.add_labels(np.roll(labels, 2, axis=2) | labels, name="amodal")
    written = viewer.layers.save(tmp_path / "saved", plugin=PLUGIN)
    assert written == [str(tmp_path / "saved"), str(tmp_path / "saved-1")]
    assert (read_tabe51(tmp_path / "saved-1").visible[4] == (labels[4] == 8)).all()


def test_saving_what_is_unclear_is_refused(
    viewer: Viewer, frames: np.ndarray, tmp_path: Path
) -> None:
    image = viewer.add_image(frames, name="mine")
    masks = np.zeros((8, 48, 64), np.uint8)
    masks[:, 5:15, 5:15] = 1
    cells = viewer.add_labels(masks, name="cells")
    visible = viewer.add_labels(masks, name="visible")
    amodal = viewer.add_labels(masks[:4], name="amodal")
    points = viewer.add_points(np.zeros((1, 3)), name="marks")
    for layers, words in (
        ({image, cells}, "'cells'"),
        ({image, visible}, "no amodal masks"),
        ({visible, amodal}, "the frames are missing"),
        ({image, visible, amodal}, "(4, 48, 64)"),
        ({image, visible, points}, "'marks' is a points layer"),
    ):
        viewer.layers.selection = layers
        with pytest.raises(SaveError, match=words.replace("(", r"\(").replace(")", r"\)")):
            viewer.layers.save(tmp_path / "saved", selected=True, plugin=PLUGIN)
    assert not (tmp_path / "saved").exists()


def test_saving_replaces_nothing(viewer: Viewer, folder: Path) -> None:
    viewer.open(folder, plugin=PLUGIN)
    with pytest.raises(SaveError, match="is there already"):
        viewer.layers.save(folder, plugin=PLUGIN)


def test_saving_other_work_to_a_folder_stays_naparis(viewer: Viewer, tmp_path: Path) -> None:
    viewer.add_image(np.zeros((8, 48), np.uint8), name="picture")
    viewer.add_labels(np.zeros((8, 48), np.uint8), name="cells")
    assert len(viewer.layers.save(str(tmp_path / "all"))) == 2


def test_video_opens_lazily(viewer: Viewer, frames: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "movie.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=12, width=64, height=48)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    (layer,) = viewer.open(path, plugin=PLUGIN)
    assert layer.name == "movie" and layer.data.shape == (8, 48, 64, 3)
    assert not isinstance(layer.data, np.ndarray)


def test_broken_files_are_said(viewer: Viewer, folder: Path, tmp_path: Path, said: Said) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    with pytest.raises(InputError):
        viewer.open(broken, plugin=PLUGIN)
    assert "broken.mp4" in said()[0]
    (folder / "visible_masks" / "00003.png").write_bytes(b"no mask")
    with pytest.raises(InputError):
        viewer.open(folder, plugin=PLUGIN)
    assert "00003.png" in said()[1]
    assert len(viewer.layers) == 0


def test_an_opened_folder_can_be_corrected_and_exported(
    open_widget: Callable[[], CompletionWidget], folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    widget = open_widget()
    image, amodal, _ = widget.model.viewer.open(folder, plugin=PLUGIN)
    qtbot.waitUntil(lambda: widget.model.stack is image and bool(widget.model.layers.layers))
    widget.model.go_to(2)
    qtbot.waitUntil(lambda: "% hidden" in widget.occlusion.text(1))
    paint_square(amodal, 2)
    assert widget.export_button.isEnabled()
    widget.model.start_export(tmp_path / "out", overwrite=False)
    wait_until_idle(qtbot, widget)
    found = read_tabe51(tmp_path / "out" / "given")
    assert (found.amodal[2] == mask(amodal, 2)).all()
    assert found.provenance is not None and found.provenance["frames"][2]["amodal"] == "edited"


def test_a_coco_file_is_saved_and_opened_again(
    viewer: Viewer, folder: Path, tmp_path: Path, said: Said
) -> None:
    _, amodal, visible = viewer.open(folder, plugin=PLUGIN)
    viewer.layers.selection = {amodal, visible}
    path = folder.parent / "given.json"
    assert viewer.layers.save(path, selected=True, plugin=PLUGIN) == [str(path)]
    masks = [[mask(layer, frame) for frame in range(8)] for layer in (amodal, visible)]
    viewer.layers.clear()
    image, *labels = viewer.open(path, plugin=PLUGIN)
    assert image.rgb and image.data.shape == (8, 48, 64, 3)
    assert [layer.name for layer in labels] == ["amodal [1]", "visible [1]"]
    for layer, before in zip(labels, masks, strict=True):
        assert all((mask(layer, frame) == before[frame]).all() for frame in range(8))
    viewer.layers.save(tmp_path / "again", plugin=PLUGIN)
    found = read_tabe51(tmp_path / "again")
    assert all((found.amodal[frame] == masks[0][frame]).all() for frame in range(8))
    assert found.occlusion is not None and found.occlusion[7].level.name == "NONE"
    (folder / "frames" / "00003.jpg").unlink()
    with pytest.raises(InputError):
        viewer.open(path, plugin=PLUGIN)
    assert "00003.jpg is missing" in said()[-1]


def filters(viewer: Viewer) -> dict[str, Any]:
    """The writers that File > Save offers for the layers, by what its list says."""
    told, writers = file_extensions_string_for_layers(list(viewer.layers))
    assert told is not None
    return dict(zip((one.split(" (*")[0] for one in told.split(";;")), writers, strict=True))


@pytest.mark.parametrize(
    ("title", "opened"),
    [
        ("COCOA dataset", ["amodal [1]", "visible [1]"]),
        ("BURST dataset, amodal masks", ["visible [1]"]),
        ("DAVIS dataset, amodal masks", ["visible [1]"]),
        ("TIFF label stacks (ImageJ)", []),
        ("YOLO dataset, amodal masks", []),
    ],
)
def test_file_save_offers_the_formats_of_datasets(
    viewer: Viewer, folder: Path, tmp_path: Path, said: Said, title: str, opened: list[str]
) -> None:
    _, amodal, _ = viewer.open(folder, plugin=PLUGIN)
    truth = [mask(amodal, frame) for frame in range(8)]
    out = tmp_path / "saved"
    offered = filters(viewer)
    assert viewer.layers.save(str(out), _writer=offered[f"napari-amodal {title}"]) == [str(out)]
    assert out.is_dir() and not list(tmp_path.glob(".saved*"))
    assert any("cannot hold" in message for message in said())
    if opened:
        viewer.layers.clear()
        _, *labels = viewer.open(out, plugin=PLUGIN)
        assert [layer.name for layer in labels] == opened
        assert all((mask(labels[0], frame) == truth[frame]).all() for frame in range(8))
    with pytest.raises(SaveError, match="is there already"):
        viewer.layers.save(str(out), _writer=offered[f"napari-amodal {title}"])


def test_boxes_without_masks_are_shapes(viewer: Viewer, folder: Path, tmp_path: Path) -> None:
    _, amodal, _ = viewer.open(folder, plugin=PLUGIN)
    rows, columns = np.nonzero(mask(amodal, 3))
    out = tmp_path / "saved"
    viewer.layers.save(str(out), _writer=filters(viewer)["napari-amodal TAO-Amodal dataset"])
    viewer.layers.clear()
    image, whole, seen = viewer.open(out, plugin=PLUGIN)
    assert image.data.shape == (8, 48, 64, 3)
    assert [layer.name for layer in (whole, seen)] == ["amodal boxes", "visible boxes"]
    (box,) = [corners for corners in whole.data if corners[0, 0] == 3]
    assert box[0, 1:] == pytest.approx((rows.min() - 0.5, columns.min() - 0.5))
    assert box[2, 1:] == pytest.approx((rows.max() + 0.5, columns.max() + 0.5))
    assert list(whole.features["object"]) == [1] * len(whole.data)
