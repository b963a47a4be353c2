"""Following one object from frame to frame, in one direction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box, box_of
from napari_amodal.draft.appearance import ColourModel, Template, Vote, template_vote
from napari_amodal.draft.evidence import Evidence, motion_odds
from napari_amodal.draft.flow import (
    Fitting,
    PairFlow,
    Transform,
    fit_similarity,
    fit_translation,
    translation,
    warp_by_flow,
)
from napari_amodal.draft.redetection import search
from napari_amodal.draft.segmentation import smooth_log_odds, without_specks
from napari_amodal.draft.view import View

Float = NDArray[np.float32]

#: Below this share of the whole object in sight it counts as hidden; it is back from a larger one
#: on, if its texture agrees so far.
HIDDEN_BELOW, BACK_FROM, BACK_AGREEMENT = 0.02, 0.05, 0.25
#: Share of a template that must be found again at another place before it is moved there.
LEAST_FIT = 0.35
#: How far a template may deform, in lengths of the object.
SLACK = 0.04
#: Islands and holes below this share of the object are noise.
SPECK = 0.004
#: A frame is remembered if no more than this share of the object lies in hidden patches ...
CLEAN_UP_TO = 0.05
#: ... it is trusted at least so far, and the last one remembered is so many frames ago.
REMEMBER_CONFIDENCE, REMEMBER_EVERY = 0.6, 3
#: A place elsewhere is looked for every so many frames while much of the object is out of sight.
DOUBTFUL_FRAMES = 3
#: Confidence of an empty mask at first; an object that is missed is as likely as one that is gone.
LOST_CONFIDENCE = 0.25
#: Share in sight from which the object's motion is taken from it, and its change of size too.
LEAST_TO_FOLLOW, LEAST_TO_SCALE = 0.25, 0.85
#: Share of its speed that an unseen object keeps from frame to frame.
COASTING = 0.98


@dataclass(frozen=True)
class Sighting:
    """What is seen of the object on a frame.

    Attributes
    ----------
    chance : ndarray
        float32 ``(h, w)``, 0..1: the object's visible part.
    confidence : float
        0..1.
    """

    chance: Float
    confidence: float


class ObjectTracker:
    """One object, followed frame by frame from a frame on which its mask is known.

    Each pixel is judged by the last frame's mask, moved by optical flow; by templates, frames
    remembered from when the object was in full sight, laid over the frame; and by colour. A
    template that does not match where the object should be reveals an occluder.

    Parameters
    ----------
    memory : int
        Templates to keep, the query frame included.
    reach : float
        How far an unseen object is searched for, in its own lengths for each frame.
    """

    def __init__(self, memory: int, reach: float) -> None:
        self._memory = memory
        self._reach = reach
        self._templates: list[Template] = []
        self.seen: Float
        self._sure: Float
        self._colours: ColourModel
        self._fitting: Fitting | None = None
        self._speed = np.zeros(2)
        self._motion: Transform = np.eye(3)
        self._lost_for = 0
        self._doubtful_for = 0
        self._remembered_ago = 0

    def start(self, view: View, chance: Float) -> None:
        """Take a mask ``(h, w)`` for true; an empty one says that the object is not in sight."""
        first = not self._templates
        template = Template.cut(view, chance)
        self.seen = self._sure = chance
        if template is None:
            self._lost_for = 1
            return
        self._lost_for = 0
        x, y = template.centre
        for other in self._templates:
            was_x, was_y = other.centre
            other.pose = translation(x - was_x, y - was_y) @ other.pose
        self._remember(template)
        ring = self._around(view, chance)
        if first:
            self._colours = ColourModel(view.lab, chance, ring)
        else:
            self._colours.learn(view.lab, chance, ring)

    def step(self, view: View, pair: PairFlow, camera: Transform) -> Sighting:
        """Find the object on the next frame; `camera` is the motion of what is around."""
        if not self._templates:
            return Sighting(np.zeros(view.size, np.float32), 0.0)
        carried = warp_by_flow(self.seen, pair.back)
        self._move(carried, pair, camera)
        if self._lost_for or self._doubtful_for >= DOUBTFUL_FRAMES:
            self._search(view)
        box = self._region(carried, view)
        if box is None:
            return self._lose(view)
        return self._judge(view, pair, camera, carried, box)

    # motion

    def _move(self, carried: Float, pair: PairFlow, camera: Transform) -> None:
        x, y = self._latest.centre
        still = camera @ (x, y, 1.0)
        move: Transform = translation(*self._speed) @ camera
        inner = cv2.erode((carried > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        inner &= pair.trust > 0.5
        sure = inner & (warp_by_flow(self._sure, pair.back) > 0.3)
        if sure.sum() > 0.1 * inner.sum():
            inner = sure
        tolerance = max(1.0, 0.01 * self._latest.length)
        share = float(carried.sum()) / max(self._latest.area, 1.0)
        self._fitting = self._fitting_for(share)
        fit = self._fitting(pair.back, inner, tolerance) if self._fitting else None
        if self._fitting and (fit is None or fit.share < 0.4):
            # An object that bends or turns follows no one motion: take its median.
            fit = fit_translation(pair.back, inner, 2 * tolerance)
        if fit is not None and fit.share > 0.25 and not self._lost_for:
            coast = move @ (x, y, 1.0)
            move = fit.motion
            if share < LEAST_TO_SCALE:
                # Flow near an occluder's edge follows the occluder: the less is seen, the more
                # the object is taken to go on as it did.
                pull = (1 - share) * (coast - move @ (x, y, 1.0))[:2]
                move = translation(*pull) @ move
            now = (move @ (x, y, 1.0) - still)[:2]
            self._speed += 0.5 * min(1.0, share) ** 2 * (now - self._speed)
        else:
            self._speed *= COASTING
        self._motion = move
        for template in self._templates:
            template.pose = move @ template.pose

    def _fitting_for(self, share: float) -> Fitting | None:
        """How motion is told from a visible part: an occluder's edge pulls at a small one."""
        if self._lost_for:
            return fit_translation
        if share < LEAST_TO_FOLLOW:
            return None
        return fit_similarity if share > LEAST_TO_SCALE else fit_translation

    def _search(self, view: View) -> None:
        """Move the templates to where the frame looks most like one of them, if that is better.

        A find must look clearly more like the object than the place where it is expected.
        """
        self._doubtful_for = 0
        reach = self._reach * self._latest.length * (0.5 + 0.1 * self._lost_for)
        for template in {id(t): t for t in (self._templates[0], self._latest)}.values():
            find = search(view, template, reach)
            if find is None:
                continue
            moved = replace(template, pose=find.pose)
            if self._fit(view, moved) > max(LEAST_FIT, 1.3 * self._fit(view, template)):
                move = find.pose @ np.linalg.inv(template.pose)
                for other in self._templates:
                    other.pose = move @ other.pose
                return

    def _fit(self, view: View, template: Template) -> float:
        """Share of a template that is found again where it lies, 0..1."""
        box = template.box().padded(4).clipped(*view.size)
        if box is None:
            return 0.0
        trial = replace(template)
        everywhere = np.ones((box.height, box.width), np.bool_)
        vote = template_vote(trial, view, box, everywhere, SLACK, fit_translation)
        return float((vote.label * vote.weight).sum() / max(template.area, 1.0))

    def _region(self, carried: Float, view: View) -> Box | None:
        box = self._latest.box()
        seen = box_of(carried > 0.5)
        if seen is not None:
            box = box.union(seen)
        return box.padded(8 + max(box.height, box.width) // 5).clipped(*view.size)

    # what is seen

    def _judge(
        self, view: View, pair: PairFlow, camera: Transform, carried: Float, box: Box
    ) -> Sighting:
        lab = view.lab[box.slices]
        last = Vote(carried[box.slices], pair.trust[box.slices])
        expected = (last.label > 0.5) if not self._lost_for else np.ones(lab.shape[:2], np.bool_)
        # Nobody knows exactly where an unseen object is.
        slack = SLACK * min(1 + 0.5 * self._lost_for, 4)
        votes = [
            template_vote(t, view, box, expected, slack, self._fitting) for t in self._templates
        ]
        whole = self._latest.moved(self._latest.mask, box)
        motion = motion_odds(pair, self._motion, camera, box)
        evidence = Evidence(last, votes, whole, self._colours.log_odds(lab), motion)
        odds = evidence.log_odds(self._latest.length)
        object_area = self._latest.area
        smallest = max(SPECK * object_area, min(8.0, 0.1 * object_area))
        chance = without_specks(smooth_log_odds(odds, lab), smallest)

        inside = chance > 0.5
        area = max(float(whole.sum()), float(inside.sum()), 1.0)
        share = float(inside.sum()) / area
        match = np.max([vote.label * vote.weight for vote in votes], axis=0)
        agreement = float(match[inside].mean()) if inside.any() else 0.0
        least = BACK_FROM if self._lost_for else HIDDEN_BELOW
        out = float(whole.sum()) < HIDDEN_BELOW * object_area
        gone = out or share < least or inside.sum() < min(12, 0.2 * object_area)
        if gone or (self._lost_for and agreement < BACK_AGREEMENT):
            return self._lose(view)
        self._lost_for = 0
        self._doubtful_for = self._doubtful_for + 1 if share < 0.7 else 0
        full = np.zeros(view.size, np.float32)
        full[box.slices] = chance
        self._sure = np.zeros(view.size, np.float32)
        self._sure[box.slices] = chance * match
        decided = float(np.abs(2 * chance[chance > 0.2] - 1).mean())
        confidence = decided * (0.4 + 0.6 * agreement) * (0.5 + 0.5 * share)
        self._learn(view, full, self._hidden(whole, inside), confidence)
        return Sighting(full, float(np.clip(confidence, 0, 1)))

    def _lose(self, view: View) -> Sighting:
        self._lost_for += 1
        self.seen = np.zeros(view.size, np.float32)
        self._colours.learn(view.lab, None, self._around(view, self.seen))
        return Sighting(self.seen, LOST_CONFIDENCE * COASTING**self._lost_for)

    # memory

    def _hidden(self, whole: Float, inside: NDArray[np.bool_]) -> float:
        """Share of the whole object that is out of sight in patches, not just along its outline."""
        width = 2 * max(1, round(0.01 * self._latest.length)) + 1
        missing = ((whole > 0.5) & ~inside).astype(np.uint8)
        patches = cv2.morphologyEx(missing, cv2.MORPH_OPEN, np.ones((width, width), np.uint8))
        return float(patches.sum() + self._latest.area - whole.sum()) / self._latest.area

    def _learn(self, view: View, chance: Float, hidden: float, confidence: float) -> None:
        self.seen = chance
        self._remembered_ago += 1
        clean = hidden < CLEAN_UP_TO and confidence > REMEMBER_CONFIDENCE
        ring = self._around(view, chance)
        self._colours.learn(view.lab, chance if clean else None, ring)
        if clean and self._remembered_ago >= REMEMBER_EVERY:
            template = Template.cut(view, chance)
            if template is not None:
                self._remember(template)

    def _remember(self, template: Template) -> None:
        """Keep a template; the first one, the query, stays, and of the others the latest."""
        self._templates.append(template)
        if len(self._templates) > self._memory:
            del self._templates[1 if self._memory > 1 else 0]
        self._remembered_ago = 0

    @property
    def _latest(self) -> Template:
        return self._templates[-1]

    def _around(self, view: View, chance: Float) -> Float:
        """Weight ``(h, w)`` of what surrounds the object, its hidden part left out."""
        box = self._latest.box()
        wide = box.padded(8 + max(box.height, box.width) // 2).clipped(*view.size)
        ring = np.zeros(view.size, np.float32)
        if wide is not None:
            whole = np.maximum(chance[wide.slices], self._latest.moved(self._latest.mask, wide))
            ring[wide.slices] = 1 - cv2.dilate(whole, np.ones((5, 5), np.uint8))
        return ring
