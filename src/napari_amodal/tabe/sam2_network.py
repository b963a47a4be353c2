"""SAM 2's video model (arXiv 2408.00714) over a clip that is read frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Sam2VideoModel

from napari_amodal.clip import Clip, Frame
from napari_amodal.masks import Mask
from napari_amodal.stages import Clicks, Query
from napari_amodal.tabe.pretrained import load_pretrained
from napari_amodal.tabe.read_ahead import read_ahead
from napari_amodal.tabe.sam2_encoder import CapturedEncoder
from napari_amodal.tabe.sam2_session import CurrentFrame, ObjectSession

Prompts = Mapping[int, Mask | Clicks]


@dataclass(frozen=True)
class TrackedMask:
    """The visible mask of one object on one frame.

    Attributes
    ----------
    object_id, frame : int
    mask : ndarray
        bool ``(H, W)``; the annotator's own where there is one.
    confidence : float
        0..1; see `Sam2Network.track`.
    """

    object_id: int
    frame: int
    mask: Mask
    confidence: float


class Sam2Network:
    """SAM 2, loaded once for any number of clips.

    Parameters
    ----------
    weights : Path
        A folder in transformers' layout, or an original checkpoint (``.pt``).
    device : torch.device
    remembered : int
        How many prompted frames are attended to at most, those nearest in time; the published
        tracker attends to all, with a cost that grows with each.

    Raises
    ------
    InputError
        The weights cannot be read.
    """

    def __init__(self, weights: Path, device: torch.device, remembered: int = 16) -> None:
        model: Any = load_model(weights)
        config = model.config
        config.max_cond_frame_num = remembered
        self._model = model.to(device)
        self.device = device
        self._encoder = CapturedEncoder(self._model) if device.type == "cuda" else None
        self._clicked = CurrentFrame(self._model, self._encoder)
        self._clicked_frame: Frame | None = None
        #: How many frames back the model looks, for masks and for pointers to the object.
        self._reach = max(config.num_maskmem, config.max_object_pointers_in_encoder) - 1

    def track(
        self, clip: Clip, queries: Mapping[int, Query], check: Callable[[], None] = lambda: None
    ) -> Iterator[TrackedMask]:
        """Follow the objects through a clip, both ways in time.

        All prompted frames are encoded first; then each object is followed forward from the first
        of them to the end, and backward from there. Memory does not grow with the clip.

        The confidence is that of there being an object times the IoU that the model expects of its
        mask; where it sees none, the confidence of there being none.

        Parameters
        ----------
        clip : Clip
        queries : mapping of int to Query
            Each with at least one mask that is not empty, or clicks.
        check : callable, optional
            Called many times a frame; what it raises ends the tracking.

        Yields
        ------
        TrackedMask
            One for each object and frame, in the order in which they are found.
        """
        current = CurrentFrame(self._model, self._encoder)
        objects = [
            _Follower(object_id, query, ObjectSession(current, len(clip), clip.height, clip.width))
            for object_id, query in queries.items()
        ]
        visits = _visits(objects, len(clip))
        with _checked(self._model, check):
            for number, (index, pixels) in enumerate(
                read_ahead(clip, [visit.frame for visit in visits])
            ):
                check()
                current.show(index, pixels)
                for follower in visits[number].objects:
                    yield self._step(follower, index, visits[number].direction)

    def clicked(self, pixels: Frame, clicks: Clicks) -> Mask:
        """The object that was clicked on a frame, uint8 ``(H, W, 3)``; bool ``(H, W)``.

        The frame is encoded once, as long as it is the same array.
        """
        if self._clicked_frame is not pixels:
            self._clicked = CurrentFrame(self._model, self._encoder)
            self._clicked.show(0, pixels)
            self._clicked_frame = pixels
        session = ObjectSession(self._clicked, 1, *pixels.shape[:2])
        session.prompt(0, clicks)
        logits, _ = self._run(session, 0, reverse=False)
        mask = F.interpolate(logits.float(), session.frame_size, mode="bilinear")[0, 0] > 0
        return np.asarray(mask.cpu().numpy(), np.bool_)

    def _step(self, follower: _Follower, frame: int, direction: Literal[0, 1, -1]) -> TrackedMask:
        session = follower.session
        if direction == 0:
            session.prompt(frame, follower.prompts[frame])
        logits, confidence = self._run(session, frame, reverse=direction < 0)
        if direction == 0:
            session.forget_inputs(frame)
        else:
            session.forget(frame, direction, self._reach, follower.first)
        prompt = follower.prompts.get(frame)
        if prompt is not None and not isinstance(prompt, Clicks):
            return TrackedMask(follower.object_id, frame, prompt, 1.0)
        mask = F.interpolate(logits.float(), session.frame_size, mode="bilinear")[0, 0] > 0
        return TrackedMask(follower.object_id, frame, mask.cpu().numpy(), confidence)

    @torch.inference_mode()
    def _run(self, session: ObjectSession, frame: int, *, reverse: bool) -> tuple[Tensor, float]:
        """Logits ``(1, 1, h, w)`` of one object on the current frame, and the confidence."""
        with _expected_iou(self._model) as expected, self._precision():
            found = self._model(session, frame_idx=frame, reverse=reverse)
        present = float(found.object_score_logits.float().sigmoid())
        iou = min(max(float(expected[-1]), 0.0), 1.0)
        return found.pred_masks, present * iou if present > 0.5 else 1 - present

    def _precision(self) -> torch.autocast:
        on_card = self.device.type == "cuda"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=on_card)


def load_model(weights: Path) -> Sam2VideoModel:
    """The network from a folder in transformers' layout or an original checkpoint, on the CPU.

    Raises
    ------
    InputError
        It cannot be read.
    """
    if weights.is_file():
        from napari_amodal.tabe.sam2_checkpoint import model_of_checkpoint

        return model_of_checkpoint(weights)
    return load_pretrained(Sam2VideoModel, weights, "SAM 2")


class _Follower:
    """One object: its prompts and its memory."""

    def __init__(self, object_id: int, query: Query, session: ObjectSession) -> None:
        self.object_id = object_id
        self.session = session
        self.prompts: Prompts = {**query.clicks, **query.visible}
        self.first = query.frame


@dataclass(frozen=True)
class _Visit:
    """A frame to work on, the objects to find there, and the way: 0 to take in their prompts."""

    frame: int
    objects: Sequence[_Follower]
    direction: Literal[0, 1, -1]


def _visits(objects: Sequence[_Follower], count: int) -> list[_Visit]:
    """The order in which frames are worked on."""
    prompted = sorted({frame for follower in objects for frame in follower.prompts})
    visits = [
        _Visit(frame, [each for each in objects if frame in each.prompts], 0) for frame in prompted
    ]
    for frame in range(min(each.first for each in objects) + 1, count):
        after = [each for each in objects if each.first < frame and frame not in each.prompts]
        visits += [_Visit(frame, after, 1)] if after else []
    for frame in range(max(each.first for each in objects) - 1, -1, -1):
        before = [each for each in objects if each.first > frame and frame not in each.prompts]
        visits += [_Visit(frame, before, -1)] if before else []
    return visits


@contextmanager
def _expected_iou(model: Sam2VideoModel) -> Iterator[list[Tensor]]:
    """The best IoU that each run of the mask decoder expects; transformers' tracker drops it."""
    found: list[Tensor] = []

    def note(_module: Any, _inputs: Any, outputs: Any) -> None:
        found.append(outputs[1].max())

    hook = model.mask_decoder.register_forward_hook(note)
    try:
        yield found
    finally:
        hook.remove()


@contextmanager
def _checked(model: Sam2VideoModel, check: Callable[[], None]) -> Iterator[None]:
    """Call `check` before each block: on a CPU a frame takes longer than a cancel may."""
    blocks = (*model.vision_encoder.backbone.blocks, *model.memory_attention.layers)
    hooks = [block.register_forward_pre_hook(lambda *_: check()) for block in blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
