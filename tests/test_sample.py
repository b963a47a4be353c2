"""The sample clip is what it claims to be: exact masks, real occlusion, nothing cut off."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from napari_amodal.levels import OcclusionLevel
from napari_amodal.sample import SampleClip, sample_clip


@pytest.fixture(scope="module")
def sample() -> SampleClip:
    return sample_clip()


def test_the_same_call_gives_the_same_clip(sample: SampleClip) -> None:
    again = sample_clip()
    assert again.visible == sample.visible
    assert again.amodal == sample.amodal
    for frame in (0, 20, 42, len(sample.clip) - 1):
        np.testing.assert_array_equal(again.clip.frame(frame), sample.clip.frame(frame))


def test_frames_and_masks_are_of_one_size(sample: SampleClip) -> None:
    assert sample.clip.frames.shape == (64, 360, 640, 3)
    assert sample.visible.shape == sample.amodal.shape == (64, 360, 640)
    assert len(sample.occlusion) == 64


def test_visible_masks_lie_inside_the_amodal_ones(sample: SampleClip) -> None:
    for visible, amodal in zip(sample.visible, sample.amodal, strict=True):
        assert not (visible & ~amodal).any()


def test_it_shows_every_level_of_occlusion_and_full_occlusion_twice(sample: SampleClip) -> None:
    levels = {occlusion.level for occlusion in sample.occlusion}
    assert levels == set(OcclusionLevel) - {OcclusionLevel.NONE}
    gone = [box is None for box in sample.visible.boxes]
    assert sum(now and not before for before, now in pairwise(gone)) == 2
    assert sample.occlusion[0].amount == sample.occlusion[-1].amount == 0


def test_the_object_never_reaches_the_border_of_the_frame(sample: SampleClip) -> None:
    for box in sample.amodal.boxes:
        assert box is not None
        assert min(box.y0, box.x0, 360 - box.y1, 640 - box.x1) >= 10


@pytest.mark.parametrize("frame", [0, 36, 63])
def test_the_mask_is_where_the_cup_is(sample: SampleClip, frame: int) -> None:
    """The cup is red where the lawn is green, right up to the edge of the mask."""
    pixels = sample.clip.frame(frame).astype(int)
    green = pixels[..., 1] > pixels[..., 0]
    mask = sample.amodal[frame]
    inside = binary_erosion(mask) & ~binary_erosion(mask, iterations=5)
    outside = binary_dilation(mask, iterations=5) & ~binary_dilation(mask)
    assert green[inside].mean() < 0.05
    assert green[outside].mean() > 0.9


def test_a_small_version_shows_the_same_story() -> None:
    small = sample_clip(frames=16, height=120)
    assert small.clip.frames.shape == (16, 120, 213, 3)
    assert small.occlusion[0].amount == 0
    assert max(occlusion.amount or 0 for occlusion in small.occlusion) == 1
