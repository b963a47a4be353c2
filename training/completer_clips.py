"""Composed clips made on the card: an object, what hides it, what passes behind it, a camera.

A batch holds what the completer sees of each clip (see `completer_net`) and the exact truth, in
windows that follow the object about as well as the engine's own do.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from completer_footage import HEIGHT, WIDTH, Footage, pixel_grid
from completer_layers import OBJECT, drawn_layers, filling_of, noisy, seen_once
from completer_motion import background, frame_times
from completer_windows import clear_frames, evidence_of, given_masks, laid_windows, windows_of
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Clips in windows.

    Attributes
    ----------
    fine : Tensor
        ``(B, T, 11, 128, 128)``, see `windows_of`.
    coarse : Tensor
        ``(B, T, 8, 64, 64)``, see `evidence_of`.
    times : Tensor
        ``(B, T)``, frames.
    amodal, hider, inside : Tensor
        Truth ``(B, T, 128, 128)``: the whole object, what is in front of it, and the frame itself.
    amount : Tensor
        True hidden share of what lies in the frame, ``(B, T)``; -1 where nothing does.
    """

    fine: Tensor
    coarse: Tensor
    times: Tensor
    amodal: Tensor
    hider: Tensor
    inside: Tensor
    amount: Tensor


def compose(footage: Footage, batch: int, count: int) -> Batch:
    """A batch of `count` frames each."""
    device = footage.frames.device
    times = frame_times(batch, count, device)
    camera, picture = background(footage, times)
    layers = seen_once(drawn_layers(footage, times, camera))
    points = pixel_grid(HEIGHT, WIDTH, device).expand(batch, count, -1, -1, -1)

    bare, seen = None, None
    for number, layer in enumerate(layers):
        local = layer.pose.local(points)
        cover = layer.alpha(points, local)
        filling = filling_of(footage, layer, local, times)
        picture = picture + cover[:, :, None] * (filling - picture)
        if number == OBJECT:
            bare = seen = cover
        elif seen is not None:
            seen = seen * (1 - cover)
    assert bare is not None and seen is not None
    picture = noisy(picture)
    seen = (seen > 0.5).float()
    whole = (bare > 0.5).float().sum((2, 3))
    amount = torch.where(
        whole > 12, 1 - seen.sum((2, 3)) / whole.clamp(min=1), -torch.ones_like(whole)
    )

    clear = clear_frames(amount)
    given, confidence = given_masks(seen, clear)
    window = laid_windows(layers[OBJECT], amount)
    fine, inside, spots = windows_of(picture, given, window)
    coarse = evidence_of(picture, given, window, camera, confidence, clear)
    amodal = (layers[OBJECT].alpha(spots) > 0.5).float()
    front = torch.stack([layer.alpha(spots) for layer in layers[OBJECT + 1 :]]).amax(0)
    return Batch(fine, coarse, times, amodal, (front > 0.5).float(), inside, amount)


def mirrored(batch: Batch) -> Batch:
    """The same clips, the whole batch turned left to right or backwards in time or both."""
    flip, back = (bool(value) for value in torch.rand(2) < 0.5)
    fine, coarse, times = batch.fine, batch.coarse, batch.times
    if back:
        # what was before is after: channels 5 and 6, 9 and 10 of fine, 3 and 4 of coarse
        fine = fine[:, :, [0, 1, 2, 3, 4, 6, 5, 7, 8, 10, 9]].flip(1)
        coarse = coarse[:, :, [0, 1, 2, 4, 3, 5, 6, 7]].flip(1)
        times = times[:, -1:] - times.flip(1)
    moved = [fine, coarse, batch.amodal, batch.hider, batch.inside]
    if back:
        moved[2:] = [values.flip(1) for values in moved[2:]]
    if flip:
        moved = [values.flip(-1) for values in moved]
    amount = batch.amount.flip(1) if back else batch.amount
    return Batch(moved[0], moved[1], times, moved[2], moved[3], moved[4], amount)
