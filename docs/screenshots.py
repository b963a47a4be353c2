"""Make the pictures in docs/images from the real plugin.

xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py [CLIP_FOLDER [FRAME]]

With the folder of a TABE-51 clip that has a query mask, ``air_hockey_1`` say, its result is
pictured, too, in ``air_hockey.png``. ``--only`` makes some; the report needs Chromium.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

#: Sessions of these clips are nobody's work.
os.environ["NAPARI_AMODAL_SESSIONS"] = tempfile.mkdtemp(prefix="napari-amodal-pictures-")

import cv2
import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_amodal.annotation.review import (
    ClipReview,
    begun,
    handed_in,
    judged,
    with_time,
    write_review,
)
from napari_amodal.boxes import box_of
from napari_amodal.clip import clip_from_array
from napari_amodal.formats.tabe51 import write_tabe51
from napari_amodal.levels import occlusion_of
from napari_amodal.masks import MaskStack
from napari_amodal.sample import sample_clip
from napari_amodal.sample.photographs import Cutout, astronaut, cup, photograph
from napari_amodal.widgets.completion_widget import CompletionWidget
from napari_amodal.widgets.composing.compose_widget import ComposeWidget
from napari_amodal.widgets.composing.composition_view import View
from napari_amodal.widgets.frame_levels import known_occlusion

IMAGES = Path(__file__).parent / "images"
SIZE = (1500, 880)
#: An annotator's laptop.
SMALL = (1366, 768)


def pump(seconds: float) -> None:
    """Let the window work for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        QApplication.processEvents()
        time.sleep(0.005)


def shoot(viewer: napari.Viewer, name: str) -> None:
    pump(0.6)
    path = IMAGES / f"{name}.png"
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    picture = cv2.imread(str(path))
    assert picture is not None
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def wait_for(is_so: Callable[[], bool]) -> None:
    while not is_so():
        pump(0.05)


def frame_with(widget: CompletionWidget, share: float) -> int:
    """The frame of the first object whose hidden share is nearest to `share`."""
    annotated = next(iter(widget.model.annotation.objects.values()))
    found = [known_occlusion(annotated, frame) for frame in range(len(annotated))]
    amounts = [np.inf if o is None or o.amount is None else abs(o.amount - share) for o in found]
    return int(np.argmin(amounts))


def open_panel() -> tuple[napari.Viewer, CompletionWidget]:
    viewer = napari.Viewer(title="napari")
    viewer.window.resize(*SIZE)
    _, widget = viewer.window.add_plugin_dock_widget("napari-amodal", "Amodal completion")
    assert isinstance(widget, CompletionWidget)
    return viewer, widget


def wait_for_run(viewer: napari.Viewer, widget: CompletionWidget) -> None:
    while widget.model.is_busy:
        pump(0.1)
    viewer.layers.selection.active = viewer.layers["amodal"]
    pump(2)  # the strip of levels fills in idle time


def picture_clip(folder: Path, frame: int | None) -> None:
    """Run the draft from the query of a clip folder, and picture a frame."""
    viewer, widget = open_panel()
    viewer.open(folder, plugin="napari-amodal")
    pump(1)
    widget.run_button.click()
    wait_for_run(viewer, widget)
    widget.model.go_to(frame_with(widget, 0.5) if frame is None else frame)
    viewer.reset_view()
    shoot(viewer, "air_hockey")
    viewer.close()


def picture_sample() -> None:
    viewer, widget = open_panel()
    viewer.open_sample("napari-amodal", "sample")
    pump(1)
    widget.model.go_to(0)
    viewer.layers["query"].mode = "paint"
    viewer.reset_view()
    shoot(viewer, "plugin-query")

    widget.run_button.click()
    while widget.progress.value() < 350 and widget.model.is_busy:
        pump(0.05)
    shoot(viewer, "plugin-running")
    wait_for_run(viewer, widget)
    widget.model.go_to(frame_with(widget, 0.6))
    shoot(viewer, "plugin-result")

    viewer.theme = "light"
    widget.engines.settings_button.click()
    shoot(viewer, "plugin-light")
    viewer.close()


def picture_tutorial() -> None:
    """The pictures of docs/tutorial.md, on a small screen, in the order of the work."""
    viewer, widget = open_panel()
    viewer.window.resize(*SMALL)
    viewer.open_sample("napari-amodal", "sample")
    pump(1.5)
    widget.model.go_to(0)
    assert widget.model.query is not None
    box = box_of(np.asarray(widget.model.query.data[0]) != 0)
    assert box is not None
    around, annotation = widget.around, widget.model.annotation
    around.prompts.point.click()
    around.prompting.reset()
    around.prompting.point(box=box.padded(3))
    wait_for(lambda: not around.prompting.is_busy)
    viewer.reset_view()
    shoot(viewer, "tutorial-click")

    around.prompts.point.click()
    widget.run_button.click()
    wait_for_run(viewer, widget)
    widget.clip_section.fold(False)
    widget.model.go_to(frame_with(widget, 0.6))
    shoot(viewer, "tutorial-run")

    frame = widget.model.frame
    amodal = next(found.layer for found in widget.model.layers.layers if found.role == "amodal")
    viewer.layers.selection.active = amodal
    amodal.mode = "paint"
    around.tools.transform((0, 6))
    pump(1)
    shoot(viewer, "tutorial-correct")

    widget.corrections.update_button.click()
    wait_for_run(viewer, widget)
    widget.tools_section.fold(True)
    around.timeline._select(range(max(0, frame - 3), frame + 4))
    shoot(viewer, "tutorial-update")
    around.keys.show_sheet()
    pump(0.5)
    assert around.keys._sheet is not None
    around.keys._sheet.grab().save(str(IMAGES / "tutorial-keys.png"))
    around.keys._sheet.close()
    annotation.close()
    viewer.close()


def picture_review() -> None:
    """A folder of clips in the dock *Amodal dataset*."""
    viewer, widget = open_panel()
    viewer.window.resize(*SMALL)
    folder = Path(tempfile.mkdtemp()) / "week 47"
    folder.mkdir()
    clip = sample_clip().clip
    for name in ("cup_1", "cup_2", "cup_3", "cup_4", "cup_5"):
        frames = folder / name / "frames"
        frames.mkdir(parents=True)
        for frame in range(4):
            picture = cv2.cvtColor(clip.frame(frame), cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(frames / f"{frame:05d}.jpg"), picture)
    four = handed_in(begun(ClipReview(objects=1, frames_corrected=4), "ann"))
    done = judged(four, "bea", accepted=True)
    back = judged(
        handed_in(begun(ClipReview(objects=1, frames_corrected=2), "ann")),
        "bea",
        accepted=False,
        reason="the handle is missing in frames 20 to 31",
    )
    waiting = handed_in(begun(ClipReview(objects=2, frames_corrected=7), "ann"))
    reviews = (("cup_1", done, 300), ("cup_2", back, 190), ("cup_3", waiting, 410))
    for name, review, seconds in reviews:
        write_review(folder, name, with_time(review, "ann", seconds))
    _, dock = viewer.window.add_plugin_dock_widget("napari-amodal", "Amodal dataset", tabify=True)
    dock.person.setText("ann")
    dock.open_folder(folder)
    dock.open("cup_2")
    pump(1.5)
    viewer.reset_view()
    shoot(viewer, "tutorial-review")
    widget.model.annotation.close()
    viewer.close()


def photographed(folder: Path, name: str, cutout: Cutout, poses: np.ndarray, ground: str) -> Path:
    """A clip folder of a cut-out that moves over a photograph: ``x, y`` of its anchor a frame."""
    background = cv2.resize(photograph(ground), (640, 360), interpolation=cv2.INTER_AREA)
    frames, masks = [], []
    for x, y in poses:
        matrix = np.array([[1, 0, x - cutout.anchor[0]], [0, 1, y - cutout.anchor[1]]], float)
        laid = cv2.warpAffine(cutout.pixels, matrix, (640, 360), flags=cv2.INTER_LINEAR)
        alpha = laid[..., 3:] / 255
        frames.append(np.rint(background * (1 - alpha) + laid[..., :3]).clip(0, 255))
        masks.append(alpha[..., 0] > 0.5)
    stack = MaskStack(masks, 360, 640)
    clip = clip_from_array(np.asarray(frames, np.uint8), name)
    write_tabe51(folder / name, clip, stack, stack, occlusion_of(stack, stack))
    return folder / name


def picture_composing(folder: Path) -> None:
    """The panel *Compose a clip*: alignment, and the composed clip."""
    path = np.linspace(0, 1, 24)[:, None]
    still = (1 - path) * (300, 200) + path * (330, 205)
    sitting = np.tile((320.0, 360.0), (24, 1))
    sources = [
        photographed(folder, "cup", cup(0.55), still, "brick.png"),
        photographed(folder, "astronaut", astronaut(0.6), sitting, "grass.png"),
    ]
    viewer = napari.Viewer(title="napari")
    viewer.window.resize(*SIZE)
    _, panel = viewer.window.add_plugin_dock_widget("napari-amodal", "Compose a clip")
    assert isinstance(panel, ComposeWidget)
    model = panel.model
    for source in sources:
        model.add(source)
        while model.is_busy:
            pump(0.1)
    panel.name.setText("cup_behind_astronaut")
    panel.name.editingFinished.emit()
    panel.view_buttons[View.OVERLAP].click()
    for frame, right in ((0, -420), (23, 420)):
        model.shown.go_to(frame)
        panel.numbers.add.click()
        panel.numbers.right_spin.setValue(right)
    model.shown.go_to(9)
    shoot(viewer, "compose-overlap")
    panel.view_buttons[View.PREVIEW].click()
    while model.is_busy:
        pump(0.1)
    model.shown.go_to(9)
    shoot(viewer, "compose-preview")
    viewer.close()


def picture_report(folder: Path) -> None:
    """The report of the sample clip, tracked and with its true visible masks, side by side."""
    napari_amodal = Path(sys.executable).with_name("napari-amodal")
    truth, report = folder / "truth", folder / "report.html"
    sample = sample_clip()
    write_tabe51(truth / "coffee", sample.clip, sample.visible, sample.amodal, sample.occlusion)
    for name, visible in (("tracked", "track"), ("given", "given")):
        call = [napari_amodal, "batch", truth, "--visible", visible, "--out", folder / name]
        subprocess.run(call, check=True)
    call = [napari_amodal, "evaluate", "tracked", "truth", "--against", "given"]
    subprocess.run([*call, "--report", report], check=True, cwd=folder)
    subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1100,1500",
         f"--screenshot={IMAGES / 'report.png'}", report.as_uri()],
        check=True,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures in docs/images.")
    parser.add_argument("clip", type=Path, nargs="?", help="a clip folder with a query mask")
    parser.add_argument("--only", choices=("plugin", "tutorial", "compose", "report"))
    parser.add_argument("frame", type=int, nargs="?", help="the frame of it to show")
    chosen = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    if chosen.only in (None, "plugin"):
        picture_sample()
    if chosen.only in (None, "tutorial"):
        picture_tutorial()
        picture_review()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.only in (None, "compose"):
            picture_composing(Path(folder))
        if chosen.only in (None, "report"):
            picture_report(Path(folder))
    if chosen.clip is not None:
        picture_clip(chosen.clip, chosen.frame)


if __name__ == "__main__":
    main()
