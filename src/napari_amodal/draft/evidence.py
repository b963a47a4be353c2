"""What speaks for and against each pixel being the object."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.draft.appearance import Vote
from napari_amodal.draft.flow import PairFlow, Transform, grid, offsets

Float = NDArray[np.float32]

#: Say of the last frame and of all templates together, against the colours' say.
FLOW_SAY, TEMPLATE_SAY, COLOUR_SAY, MOTION_SAY = 1.0, 1.5, 0.3, 0.75
#: Say of a template that shows the object where something else is seen.
CONTRADICTION_SAY = 0.6
#: How far the object may reach beyond its remembered shape, in its own lengths.
GROWTH = 0.12


@dataclass(frozen=True)
class Evidence:
    """What is known of the pixels of one box; all arrays float32 ``(h, w)``.

    Attributes
    ----------
    last : Vote
        The last frame's mask, moved by optical flow.
    votes : list of Vote
        The templates laid over the frame.
    whole : ndarray
        The whole object's shape where it is expected, 0..1.
    colour : ndarray
        Log-odds of the colours.
    motion : ndarray
        Log-odds of the motion, see `motion_odds`.
    """

    last: Vote
    votes: list[Vote]
    whole: Float
    colour: Float
    motion: Float

    def log_odds(self, length: float) -> Float:
        """Log-odds ``(h, w)`` of the object, whose longest side is `length` pixels."""
        last, votes, whole, motion = self.last, self.votes, self.whole, self.motion
        prior = _chance(self.colour)
        say = TEMPLATE_SAY / len(votes)
        contradiction = np.min([v.label * (1 - v.weight) for v in votes], axis=0)
        # What was hidden stays hidden, unless it moves as the object does.
        stays = 1 - np.clip(motion / 2, 0, 1) * (whole > 0.5)
        yes = FLOW_SAY * last.weight * last.label + COLOUR_SAY * prior
        no = FLOW_SAY * last.weight * (1 - last.label) * stays + COLOUR_SAY * (1 - prior)
        no = no + CONTRADICTION_SAY * contradiction * (1 - prior)
        for vote in votes:
            yes = yes + say * vote.weight * vote.label
            no = no + say * vote.weight * (1 - vote.label)
        return np.asarray(
            2 * np.log((yes + 0.02) / (no + 0.02))
            + 0.3 * self.colour
            + np.where(whole > 0.5, MOTION_SAY, 2 * MOTION_SAY) * motion
            - self._strayed(length),
            np.float32,
        )

    def _strayed(self, length: float) -> Float:
        """Log-odds ``(h, w)`` against pixels that are far from where the object can be.

        The object may grow beyond the remembered shape only little by little, and only with pixels
        that move as it does.
        """
        whole = self.whole > 0.5
        beyond = _distance(whole)
        grown = (self.last.label > 0.5) & (self.last.weight > 0.3) & (self.motion >= 0)
        near = whole | (grown & (beyond < GROWTH * length))
        for vote in self.votes:
            near |= (vote.label > 0.5) & (vote.weight > 0.3)
        band = max(2.0, 0.04 * length)
        return np.asarray(np.minimum(_distance(near) / band, 5) ** 2, np.float32)


def _chance(log_odds: Float) -> Float:
    """The chance 0..1 that log-odds stand for."""
    return np.asarray(1 / (1 + np.exp(-log_odds)), np.float32)


def _distance(mask: NDArray[np.bool_]) -> Float:
    """Distance to a mask, in pixels."""
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3))


def motion_odds(pair: PairFlow, own: Transform, camera: Transform, box: Box) -> Float:
    """Log-odds ``(h, w)`` of the box that pixels move with the object and not with the camera.

    0 where the two cannot be told apart or flow is not to be trusted.
    """
    points = grid(box.height, box.width) + np.array([box.x0, box.y0], np.float32)
    back = pair.back[box.slices]
    with_object = offsets(np.linalg.inv(own), points)
    with_camera = offsets(np.linalg.inv(camera), points)
    apart = np.sum((with_object - with_camera) ** 2, axis=2)
    from_object = np.sum((back - with_object) ** 2, axis=2)
    from_camera = np.sum((back - with_camera) ** 2, axis=2)
    odds = (from_camera - from_object) / (2 + apart / 2)
    odds = np.where(apart > 1, np.clip(odds, -2, 2), 0) * pair.trust[box.slices]
    return np.asarray(odds, np.float32)
