"""The sample clip: our own footage, composed from photographs, with exact ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_amodal.clip import Clip, Frame, lazy_frames
from napari_amodal.levels import FrameOcclusion, occlusion_of
from napari_amodal.masks import MaskStack
from napari_amodal.sample.scene import LAST_MOMENT, Scene

__all__ = ["SampleClip", "sample_clip"]

_FPS = 12.0


@dataclass(frozen=True)
class SampleClip:
    """The sample clip and all that is true of it.

    Attributes
    ----------
    clip : Clip
        Frames, drawn one by one when they are asked for.
    visible, amodal : MaskStack
        The cup's masks, ``(T, H, W)``; exact, since the cup was laid under its occluders.
    occlusion : tuple of FrameOcclusion
        Level and amount of each frame.
    """

    clip: Clip
    visible: MaskStack
    amodal: MaskStack
    occlusion: tuple[FrameOcclusion, ...]


@dataclass(frozen=True)
class _SceneFrames:
    """The frames of a scene (a `napari_amodal.clip.FrameSource`)."""

    scene: Scene
    moments: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.moments), self.scene.height, self.scene.width, 3

    def read(self, frame: int) -> Frame:
        return self.scene.frame(self.moments[frame])


def sample_clip(frames: int = 64, height: int = 360) -> SampleClip:
    """Compose the sample clip: a cup of coffee slides behind a column and a passing astronaut.

    The same call gives the same pixels. Nothing is downloaded; `sample.photographs` names the
    photographs and their licences.

    Parameters
    ----------
    frames : int
        How many frames the scene is spread over, at least 2.
    height : int
        Height of a frame in pixels; it is 16/9 as wide.
    """
    scene = Scene(height)
    moments = tuple(float(moment) for moment in np.linspace(0, LAST_MOMENT, frames))
    source = _SceneFrames(scene, moments)
    visible, amodal = (
        MaskStack((scene.masks(moment)[part] for moment in moments), scene.height, scene.width)
        for part in (0, 1)
    )
    clip = Clip("coffee", lazy_frames(source), fps=_FPS)
    return SampleClip(clip, visible, amodal, occlusion_of(visible, amodal))
