"""An object that is hidden for longer than a chunk: stretches go on where others ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("diffusers", reason="the networks need napari-amodal[gpu]")

from test_completion import FEW, places, weights  # noqa: E402, F401

from napari_amodal.boxes import Box, box_of  # noqa: E402
from napari_amodal.clip import Clip, clip_from_array  # noqa: E402
from napari_amodal.levels import FrameOcclusion, OcclusionLevel, level_of  # noqa: E402
from napari_amodal.masks import Mask, MaskStack, iou  # noqa: E402
from napari_amodal.progress import Watch  # noqa: E402
from napari_amodal.stages import Hypothesis, Occlusion, Query, VisibleTrack  # noqa: E402
from napari_amodal.tabe import generation  # noqa: E402
from napari_amodal.tabe.canvas import CanvasFrames  # noqa: E402
from napari_amodal.tabe.diffusion_completer import (  # noqa: E402
    DiffusionCompleter,
    DiffusionSettings,
)
from napari_amodal.tabe.handing_on import going_on, handed_on, in_order  # noqa: E402
from napari_amodal.tabe.read_out import prompts  # noqa: E402
from napari_amodal.tabe.sam2_network import TrackedMask  # noqa: E402

HEIGHT, WIDTH, COUNT = 48, 80, 150
RED = (200, 30, 30)


def whole(frame: int) -> Mask:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray(np.hypot(rows - 24, columns - 30 - 0.1 * frame) < 12)


def scene(hidden: range) -> tuple[Clip, VisibleTrack, Occlusion]:
    """A disc that is behind something for a long time."""
    frames = np.full((COUNT, HEIGHT, WIDTH, 3), 90, np.uint8)
    for t in range(COUNT):
        frames[t][whole(t)] = RED if t not in hidden else (40, 90, 40)
    none = np.zeros((HEIGHT, WIDTH), np.bool_)
    seen = MaskStack([none if t in hidden else whole(t) for t in range(COUNT)], HEIGHT, WIDTH)
    hiders = MaskStack([whole(t) if t in hidden else none for t in range(COUNT)], HEIGHT, WIDTH)
    levels = tuple(
        FrameOcclusion(level_of(float(t in hidden)), float(t in hidden)) for t in range(COUNT)
    )
    boxes: tuple[Box | None, ...] = tuple(box_of(whole(t)) for t in range(COUNT))
    track = VisibleTrack(seen, np.ones(COUNT, np.float32))
    return clip_from_array(frames), track, Occlusion(levels, boxes, hiders)


def painted(_video: Any, given: CanvasFrames, _untouched: Any) -> Any:
    """What a perfect model makes: the ellipse inside what is to be generated, red on white."""
    pictures = given.pixels.copy()
    for picture, hidden in zip(pictures, given.hidden, strict=True):
        box = box_of(hidden)
        if box is not None:
            rows, columns = np.mgrid[box.slices]
            down = (rows - (box.y0 + box.y1 - 1) / 2) / max(1, (box.y1 - box.y0) / 2)
            across = (columns - (box.x0 + box.x1 - 1) / 2) / max(1, (box.x1 - box.x0) / 2)
            picture[box.slices][np.hypot(down, across) <= 1] = RED
    return pictures


def nothing(_predict: Any, given: Any, *_: Any) -> Any:
    return given.masked[0].transpose(0, 1)


class Reader:
    """Finds what is red, in videos whose object it is told of; notes what it was told."""

    def __init__(self, *_: Any) -> None:
        self.asked: list[Query] = []
        readers.append(self)

    def track(
        self, clip: Clip, queries: dict[int, Query], check: Callable[[], None]
    ) -> Iterator[TrackedMask]:
        self.asked.append(queries[1])
        for t in range(len(clip)):
            frame = clip.frame(t).astype(int)
            yield TrackedMask(1, t, (frame[..., 0] - frame[..., 1]) > 60, 1.0)


readers: list[Reader] = []


@pytest.fixture
def perfect(monkeypatch: pytest.MonkeyPatch) -> list[Reader]:
    """The engine with a perfect model and reader in place of the random networks' results."""
    readers.clear()
    monkeypatch.setattr(generation, "Sam2Network", Reader)
    monkeypatch.setattr(generation, "composed", painted)
    monkeypatch.setattr(generation, "sample", nothing)
    return readers


def complete(hidden: range, query: Query | None = None, **settings: object) -> Hypothesis:
    clip, track, occlusion = scene(hidden)
    few = {**FEW, "hypotheses": 1, "fit_steps": 0, "sampling_steps": 1, "size": 128, **settings}
    stage = DiffusionCompleter(DiffusionSettings(**few))
    first = next(t for t in range(COUNT) if t not in hidden)
    given = query or Query({first: whole(first)})
    return stage.complete(clip, {1: given}, {1: track}, {1: occlusion}, Watch())[1][0]


@pytest.mark.parametrize("hidden", [range(5, 145), range(130)], ids=["in between", "at the start"])
def test_a_long_occlusion_is_completed_all_along(perfect: list[Reader], hidden: range) -> None:
    found = complete(hidden).amodal
    assert min(iou(found[t], whole(t)) for t in range(COUNT)) > 0.7
    (reader,) = perfect
    ends = 2 if hidden.start else 1
    assert len(reader.asked) > 2
    assert all(len(query.visible) == 1 for query in reader.asked[:ends]), "told by what is seen"
    assert all(len(query.visible) >= 14 for query in reader.asked[ends:]), "by what was made"


def test_a_frame_that_is_partly_hidden_and_drawn_by_hand_is_told_and_kept(
    perfect: list[Reader],
) -> None:
    drawn = whole(40)
    found = complete(range(30, 60), Query({0: whole(0)}, {40: drawn})).amodal
    assert (found[40] == drawn).all()
    (reader,) = perfect
    (query,) = reader.asked
    (told,) = query.visible.values()
    assert told.mean() == pytest.approx(drawn.mean(), abs=0.02)


def test_nothing_is_sampled_of_chunks_out_of_the_frame(
    perfect: list[Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, track, occlusion = scene(range(20, 30))
    gone = range(60, COUNT)
    none = np.zeros((HEIGHT, WIDTH), np.bool_)
    visible = track.masks.replaced(dict.fromkeys(gone, none))
    frames = tuple(
        FrameOcclusion(OcclusionLevel.NONE, None) if t in gone else frame
        for t, frame in enumerate(occlusion.frames)
    )
    boxes = tuple(None if t in gone else box for t, box in enumerate(occlusion.boxes))
    stage = DiffusionCompleter(DiffusionSettings(**{**FEW, "hypotheses": 1, "fit_steps": 0}))
    seen = VisibleTrack(visible, track.confidence)
    hides = Occlusion(frames, boxes, occlusion.hiders)
    found = stage.complete(clip, {1: Query({0: whole(0)})}, {1: seen}, {1: hides}, Watch())
    assert len(perfect[0].asked) == 1
    assert not any(found[1][0].amodal.boxes[t] for t in gone)


def test_chunks_without_a_known_frame_follow_their_neighbours() -> None:
    parts = (range(64), range(50, 114), range(100, 164), range(150, 214))
    assert in_order(parts, {170}) == (parts[3], parts[2], parts[1], parts[0])
    assert in_order(parts, {0, 170}) == (parts[0], parts[3], parts[1], parts[2])
    assert in_order(parts, set()) == parts


def shown(hidden: int = 3) -> CanvasFrames:
    pixels = np.full((4, 8, 8, 3), 255, np.uint8)
    nothing = np.zeros((4, 8, 8), np.bool_)
    filling = nothing.copy()
    filling[:hidden, 2:6, 2:6] = True
    return CanvasFrames(pixels, nothing, filling)


def test_what_was_found_is_given_on_white_and_what_was_not_is_made_anew() -> None:
    given = shown()
    video = np.full((4, 8, 8, 3), 50, np.uint8)
    masks = [given.hidden[0], np.zeros((8, 8), np.bool_), given.hidden[2], given.hidden[3]]
    handed = handed_on(given, range(10, 14), video, masks, {11, 12})
    assert handed.keys() == {12}
    next_given, known = going_on(shown(4), range(12, 16), handed)
    assert known.keys() == {0}
    assert not next_given.hidden[0].any() and next_given.hidden[1].any()
    assert (next_given.pixels[0][masks[2]] == 50).all()
    assert (next_given.pixels[0][~masks[2]] == 255).all()


def test_what_sam_is_told_falls_back_to_the_box() -> None:
    given = shown()
    query = prompts(given, {}, [None, Box(1, 1, 5, 5), None, None])
    assert query.frame == 1 and query.clicks[1].box == Box(1, 1, 5, 5)
