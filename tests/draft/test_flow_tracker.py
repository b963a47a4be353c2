"""The draft tracker on small made scenes whose visible masks are known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from napari_amodal.clip import Clip, clip_from_array, lazy_frames
from napari_amodal.draft.flow_tracker import FlowSettings, FlowTracker
from napari_amodal.errors import Cancelled
from napari_amodal.masks import Mask, iou
from napari_amodal.progress import Progress, Watch
from napari_amodal.stages import Query, VisibleTrack

HEIGHT, WIDTH = 120, 200
GREEN, BLUE, RED = (90, 140, 80), (70, 90, 180), (200, 70, 60)
Path = Callable[[int], tuple[float, float]]


@dataclass(frozen=True)
class Scene:
    """A clip and the visible mask of each object on each frame."""

    clip: Clip
    visible: tuple[list[Mask], ...]
    occluder: list[Mask]

    def query(self, *frames: int, of: int = 0) -> Query:
        return Query({frame: self.visible[of][frame] for frame in frames})


def texture(seed: int, colour: tuple[int, int, int], height: int, width: int) -> NDArray[np.uint8]:
    """A smooth random pattern around a colour, uint8 ``(height, width, 3)``."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 1)).astype(np.float32)
    fine, coarse = cv2.GaussianBlur(noise, (0, 0), 1.5), cv2.GaussianBlur(noise, (0, 0), 5)
    pattern = 25 * fine / fine.std() + 15 * coarse / coarse.std()
    return np.clip(pattern[..., np.newaxis] + colour, 0, 255).astype(np.uint8)


def disc(y: float, x: float, ry: float, rx: float, height: int, width: int) -> Mask:
    ys, xs = np.mgrid[:height, :width]
    return np.asarray(((ys - y) / ry) ** 2 + ((xs - x) / rx) ** 2 <= 1)


def laid(
    picture: NDArray[np.uint8], y: float, x: float, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """A picture with its middle at ``(y, x)`` of a frame."""
    matrix = np.array([[1, 0, x - picture.shape[1] / 2], [0, 1, y - picture.shape[0] / 2]])
    return np.asarray(
        cv2.warpAffine(picture, matrix, size[::-1], borderMode=cv2.BORDER_REFLECT), np.uint8
    )


def scene(
    paths: list[Path],
    frames: int,
    *,
    radii: tuple[float, float] = (18, 26),
    bar: Callable[[int], tuple[float, float]] | None = None,
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> Scene:
    """Textured ellipses on their paths ``(y, x)``, and a bar ``x0, x1`` in front of them."""
    height, width = size
    colours = [RED, BLUE]
    background = texture(1, GREEN, height, width)
    pictures = [texture(10 + n, colours[n], 100, 100) for n in range(len(paths))]
    front = texture(3, (150, 150, 150), height, width)
    images, occluders = [], []
    visible: tuple[list[Mask], ...] = tuple([] for _ in paths)
    for t in range(frames):
        image, shapes = background.copy(), []
        for path, picture in zip(paths, pictures, strict=True):
            y, x = path(t)
            shape = disc(y, x, *radii, height, width)
            image[shape] = laid(picture, y, x, size)[shape]
            shapes.append(shape)
        hidden = np.zeros(size, np.bool_)
        if bar is not None:
            x0, x1 = bar(t)
            columns = np.arange(width)
            hidden[:, (columns >= x0) & (columns < x1)] = True
            image[hidden] = laid(front, height / 2, x0, size)[hidden]
        for n, shape in enumerate(shapes):
            visible[n].append(shape & ~hidden)
        images.append(image)
        occluders.append(hidden)
    return Scene(clip_from_array(np.stack(images)), visible, occluders)


def track(made: Scene, query: Query, **settings: float) -> VisibleTrack:
    tracker = FlowTracker(FlowSettings(**settings))  # type: ignore[arg-type]
    return tracker.track(made.clip, {1: query}, Watch())[1]


def quality(made: Scene, found: VisibleTrack, frames: range | None = None, of: int = 0) -> float:
    """Mean IoU over the frames on which something is visible."""
    truth = made.visible[of]
    chosen = range(len(truth)) if frames is None else frames
    return float(np.mean([iou(found.masks[t], truth[t]) for t in chosen if truth[t].any()]))


def test_a_moving_object_is_followed() -> None:
    made = scene([lambda t: (55 + t, 40 + 5 * t)], 20)
    found = track(made, made.query(0))
    assert quality(made, found, range(1, 20)) > 0.85
    assert np.array_equal(found.masks[0], made.visible[0][0])
    assert found.confidence[0] == 1
    assert found.confidence.dtype == np.float32
    assert found.confidence.min() >= 0
    assert found.confidence.max() <= 1


def test_an_occluder_that_crosses_is_left_out_and_the_object_comes_back_whole() -> None:
    made = scene([lambda t: (60, 90 + 2 * t)], 26, bar=lambda t: (10 + 8 * t, 40 + 8 * t))
    found = track(made, made.query(0))
    assert quality(made, found, range(1, 26)) > 0.7
    assert quality(made, found, range(22, 26)) > 0.7
    inside = sum(int((found.masks[t] & made.occluder[t]).sum()) for t in range(26))
    assert inside < 0.05 * found.masks.areas.sum()


def test_a_fully_hidden_object_has_an_empty_mask_and_is_found_again() -> None:
    made = scene([lambda t: (60, 35 + 5 * t)], 28, bar=lambda _: (75, 145))
    hidden = [t for t in range(28) if not made.visible[0][t].any()]
    assert len(hidden) >= 3
    found = track(made, made.query(0))
    assert [t for t in hidden if found.masks[t].any()] == []
    assert quality(made, found, range(1, hidden[0])) > 0.7
    assert quality(made, found, range(hidden[-1] + 6, 28)) > 0.7


def test_an_object_that_left_the_frame_has_an_empty_mask() -> None:
    made = scene([lambda t: (60, 120 + 9 * t)], 16)
    found = track(made, made.query(0))
    gone = [t for t in range(16) if not made.visible[0][t].any()]
    assert len(gone) >= 3
    assert [t for t in gone if found.masks[t].any()] == []
    assert quality(made, found, range(1, 10)) > 0.7


def test_a_query_in_the_middle_is_followed_both_ways() -> None:
    made = scene([lambda t: (55 + t, 40 + 5 * t)], 20)
    found = track(made, made.query(10))
    assert quality(made, found, range(10)) > 0.85
    assert quality(made, found, range(11, 20)) > 0.85


def test_each_query_mask_is_kept_as_it_is_even_where_it_is_wrong() -> None:
    made = scene([lambda t: (60, 40 + 5 * t)], 16)
    # Query masks are the annotator's: even one that cannot be right is kept.
    wrong = disc(60, 115, 10, 10, HEIGHT, WIDTH)
    found = track(made, Query({2: made.visible[0][2], 14: wrong}))
    assert np.array_equal(found.masks[2], made.visible[0][2])
    assert np.array_equal(found.masks[14], wrong)
    assert found.confidence[2] == found.confidence[14] == 1


def test_an_empty_query_mask_says_that_the_object_is_out_of_sight() -> None:
    made = scene([lambda t: (60, 40 + 5 * t)], 12)
    nothing = np.zeros((HEIGHT, WIDTH), np.bool_)
    found = track(made, Query({0: made.visible[0][0], 11: nothing}))
    assert not found.masks[11].any()
    assert quality(made, found, range(1, 9)) > 0.7


def test_two_queries_are_no_worse_than_one() -> None:
    made = scene([lambda t: (60, 35 + 5 * t)], 28, bar=lambda _: (75, 145))
    one, two = track(made, made.query(0)), track(made, made.query(0, 27))
    assert quality(made, two) > quality(made, one) - 0.02


def test_two_objects_with_queries_on_different_frames() -> None:
    made = scene([lambda t: (30, 40 + 5 * t), lambda t: (90, 160 - 5 * t)], 18)
    queries = {7: made.query(0, of=0), 3: made.query(9, of=1)}
    found = FlowTracker(FlowSettings()).track(made.clip, queries, Watch())
    assert set(found) == {7, 3}
    assert quality(made, found[7], range(1, 18), of=0) > 0.8
    assert quality(made, found[3], of=1) > 0.8


def test_every_frame_is_reported_with_its_mask() -> None:
    made = scene([lambda t: (60, 60 + 3 * t)], 8)
    seen: list[Progress] = []
    found = FlowTracker(FlowSettings()).track(made.clip, {5: made.query(3)}, Watch(seen.append))[5]
    masks = {step.mask.frame: step.mask for step in seen if step.mask}
    assert sorted(masks) == list(range(8))
    assert all(mask.object_id == 5 and mask.kind == "visible" for mask in masks.values())
    assert all(np.array_equal(masks[t].mask, found.masks[t]) for t in range(8))
    assert [step.done for step in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].done == seen[-1].total


def test_a_run_stops_when_told_to() -> None:
    made = scene([lambda t: (60, 60 + 3 * t)], 12)
    reports: list[Progress] = []
    watch = Watch(reports.append, lambda: len(reports) >= 3)
    with pytest.raises(Cancelled):
        FlowTracker(FlowSettings()).track(made.clip, {1: made.query(0)}, watch)
    assert len(reports) == 3


def test_frames_are_read_one_by_one() -> None:
    made = scene([lambda t: (60, 60 + 3 * t)], 10)
    reads: list[int] = []

    class Source:
        shape = (10, HEIGHT, WIDTH, 3)

        def read(self, frame: int) -> NDArray[np.uint8]:
            reads.append(frame)
            return made.clip.frame(frame)

    clip = Clip("counted", lazy_frames(Source()))
    FlowTracker(FlowSettings()).track(clip, {1: made.query(4)}, Watch())
    assert reads == [*range(4, 10), *range(4, -1, -1)]


def test_a_clip_of_one_frame() -> None:
    made = scene([lambda _: (60, 60)], 1)
    found = track(made, made.query(0))
    assert np.array_equal(found.masks[0], made.visible[0][0])
    assert found.confidence.tolist() == [1]


def test_a_tiny_object() -> None:
    made = scene([lambda t: (60, 40 + t)], 12, radii=(5, 5))
    found = track(made, made.query(0))
    assert quality(made, found, range(1, 12)) > 0.5


def test_a_single_pixel_is_no_error() -> None:
    made = scene([lambda t: (60, 40 + 2 * t)], 4, radii=(0.6, 0.6))
    assert made.visible[0][0].sum() == 1
    assert track(made, made.query(0)).masks.shape == (4, HEIGHT, WIDTH)


def test_an_object_that_covers_nearly_the_whole_frame() -> None:
    made = scene([lambda t: (60 + t, 100 - t)], 8, radii=(80, 130))
    assert made.visible[0][0].mean() > 0.9
    assert quality(made, track(made, made.query(0))) > 0.9


def test_a_query_that_covers_the_whole_frame() -> None:
    made = scene([lambda t: (60 + t, 100 - t)], 4, radii=(300, 300))
    assert made.visible[0][0].all()
    assert quality(made, track(made, made.query(0))) > 0.9


def test_a_query_that_touches_the_border() -> None:
    made = scene([lambda t: (12 + 2 * t, 20 + 4 * t)], 14)
    assert made.visible[0][0][0].any()
    assert quality(made, track(made, made.query(0)), range(1, 14)) > 0.75


@pytest.mark.parametrize("size", [(9, 9), (20, 300), (31, 31)])
def test_very_small_frames(size: tuple[int, int]) -> None:
    made = scene([lambda _: (size[0] / 2, size[1] / 2)], 3, radii=(3, 3), size=size)
    found = track(made, made.query(0))
    assert quality(made, found) > 0.6


def test_frames_larger_than_the_working_size() -> None:
    made = scene([lambda t: (260 + 5 * t, 200 + 25 * t)], 8, radii=(90, 130), size=(600, 1000))
    found = track(made, made.query(0), longest_side=320)
    assert np.array_equal(found.masks[0], made.visible[0][0])
    assert quality(made, found, range(1, 8)) > 0.9


def test_the_same_call_gives_the_same_masks() -> None:
    made = scene([lambda t: (60, 60 + 3 * t)], 8, bar=lambda t: (10 * t, 10 * t + 30))
    first, second = (track(made, made.query(0)) for _ in range(2))
    assert first.masks == second.masks


def test_settings_explain_themselves() -> None:
    for setting in fields(FlowSettings):
        assert {"label", "help", "min", "max", "step"} <= set(setting.metadata)
        assert setting.metadata["min"] <= setting.default <= setting.metadata["max"]
    assert FlowTracker.missing() == ()
