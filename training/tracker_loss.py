"""What the tracker's network is trained for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from tracker_network import STRIDE, Answer

#: Weights of: hardest pixels, all pixels, Dice, matching, quality.
WEIGHTS = (1.0, 0.5, 1.0, 0.3, 0.3)
#: A mask of fewer pixels than this (at half size) is empty.
EMPTY = 4


def true_quality(chance: Tensor, truth: Tensor) -> Tensor:
    """IoU, and whether the object is in sight, of ``(N, h, w)``: float ``(N, 2)``."""
    found, there = chance > 0.5, truth > 0.5
    common = (found & there).sum((1, 2)).float()
    union = (found | there).sum((1, 2)).float()
    in_sight = there.sum((1, 2)) >= EMPTY
    none = (found.sum((1, 2)) < EMPTY).float()
    score = torch.where(in_sight, common / union.clamp(min=1), none)
    return torch.stack([score, in_sight.float()], 1)


def tracking_loss(answers: list[Answer], masks: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Loss of the answers for frames 1.. of clips with masks ``(B, T, S, S)``.

    Returns the loss, and some figures ``(6,)``: its five parts and the mean IoU in sight.
    """
    steps = len(answers)
    logit = torch.stack([a.mask[:, 0] for a in answers], 1).float().flatten(0, 1)
    matched = torch.stack([a.matched for a in answers], 1).float().flatten(0, 1)
    quality = torch.stack([a.quality for a in answers], 1).float().flatten(0, 1)
    mask = masks[:, 1:].flatten(0, 1).float()
    weight = valid.repeat_interleave(steps)
    weight = weight / weight.sum().clamp(min=1)

    truth = F.avg_pool2d(mask[:, None], 2)[:, 0]
    chance = logit.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logit, truth, reduction="none")
    hard = (chance.detach() - truth).abs()
    least = 0.005 * truth[0].numel()
    hardest = (hard * entropy).sum((1, 2)) / hard.sum((1, 2)).clamp(min=least)
    common = (chance * truth).sum((1, 2))
    dice = 1 - (2 * common + 20) / (chance.sum((1, 2)) + truth.sum((1, 2)) + 20)

    coarse = F.avg_pool2d(mask[:, None], STRIDE)
    own, rest = matched[:, 0::2], matched[:, 1::2]
    share = (own + 0.5 * (1 - own - rest)).clamp(1e-4, 1 - 1e-4)
    match = -(coarse * share.log() + (1 - coarse) * (1 - share).log())
    # The object's cells and the others count alike.
    cells = coarse.mean((2, 3), keepdim=True).clamp(0.02, 0.98)
    match = (match * (coarse / cells + (1 - coarse) / (1 - cells))).mean((1, 2, 3))

    target = true_quality(chance, truth)
    judged = F.binary_cross_entropy_with_logits(quality, target, reduction="none").sum(1)
    parts = torch.stack([hardest, entropy.mean((1, 2)), dice, match, judged])
    parts = (parts * weight).sum(1)
    loss = torch.stack([w * part for w, part in zip(WEIGHTS, parts, strict=True)]).sum()
    seen = weight * target[:, 1]
    score = (seen * target[:, 0]).sum() / seen.sum().clamp(min=1e-6)
    return loss, torch.cat([parts.detach(), score[None]])
