"""Train the completer; runs are chained from checkpoints.

    python training/completer_train.py DATA.npz OUT_FOLDER --seconds 280 [--resume FOLDER]

Writes OUT_FOLDER/weights.pt (averaged and live weights) and OUT_FOLDER/optimizer.pt (the
optimizer's state), in half precision. `completer_export.py` makes the wheel's file from them.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from completer_clips import Batch, compose, mirrored
from completer_footage import Footage
from completer_net import WIDTHS, CompleterNet
from torch import Tensor, nn

Figures = dict[str, float]


def losses(maps: Tensor, told: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """What is minimised, and its parts."""
    maps, told = maps.float(), told.float()
    given = batch.fine[:, :, 3].float()
    area = batch.amodal.sum((2, 3))
    shown = 1 - batch.amount.clamp(0, 1)
    shown = torch.where(batch.amount < 0, torch.zeros_like(shown), shown).amax(1)
    clip = torch.where(shown > 0.6, 1.0, 0.1)  # hardly ever seen: nothing to learn from
    frame = clip[:, None] * (area > 40)
    free = 1 - given
    weight = (0.1 + 0.9 * free) * (1 + 2 * batch.amodal * free) * (0.25 + 0.75 * batch.inside)

    truth = batch.amodal[:, :, None].expand(-1, -1, 3, -1, -1)
    cross = F.binary_cross_entropy_with_logits(maps[:, :, :3], truth, reduction="none")
    cross = (cross * weight[:, :, None]).sum((3, 4)) / (area + 300)[..., None]
    chance = torch.sigmoid(maps[:, :, :3]) * (free * batch.inside)[:, :, None]
    hidden = (batch.amodal * free * batch.inside)[:, :, None]
    both, sums = (chance * hidden).sum((3, 4)), (chance + hidden).sum((3, 4))
    some = (hidden.sum((3, 4)) > 0.01 * area[..., None] + 4).float()
    dice = some * (1 - (2 * both + 4) / (sums + 4))
    false = (1 - some) * chance.sum((3, 4)) / (area + 100)[..., None]
    each = (cross + dice + false) * frame[..., None]
    first = each[..., 0].mean()
    other = each[..., 1:].mean(1)
    open_ends = other.amin(1).mean() + 0.05 * other.mean()

    near = F.max_pool2d(batch.amodal, 17, 1, 8) * batch.inside
    in_front = F.binary_cross_entropy_with_logits(maps[:, :, 3], batch.hider, reduction="none")
    in_front = in_front * (0.05 * batch.inside + near) * (1 - 0.9 * given)
    in_front = (in_front.sum((2, 3)) / (area + 300) * frame).mean()

    known = (batch.amount >= 0) * clip[:, None]
    occluded = (batch.amount > 0.005).float()
    level = F.binary_cross_entropy_with_logits(told[..., 0], occluded, reduction="none")
    level = (level * known).mean()
    with torch.no_grad():
        whole = torch.maximum((maps[:, :, 0] > 0).float(), (given > 0.5).float()) * batch.inside
        true = batch.amodal * batch.inside
        overlap = (whole * true).sum((2, 3)) / ((whole + true) > 0).sum((2, 3)).clamp(min=1)
    sure = F.binary_cross_entropy_with_logits(told[..., 1], overlap, reduction="none")
    sure = (sure * known).mean()
    total = first + 0.3 * open_ends + 0.3 * in_front + 0.3 * level + 0.1 * sure
    parts = {
        "loss": total,
        "amodal": first,
        "open": open_ends,
        "front": in_front,
        "level": level,
        "sure": sure,
    }
    return total, {name: value.detach() for name, value in parts.items()}


@torch.no_grad()
def validate(net: nn.Module, batches: list[Batch], device: torch.device) -> Figures:
    """Figures as the benchmark has them, over composed clips that are the same in every run."""
    net.eval()
    rows: dict[str, list[Tensor]] = {}

    def add(name: str, values: Tensor, where: Tensor) -> None:
        rows.setdefault(name, []).append(values[where].float().cpu())

    for batch in batches:
        with torch.autocast(device.type, torch.bfloat16):
            maps, told = net(
                batch.fine.to(torch.bfloat16), batch.coarse.to(torch.bfloat16), batch.times
            )
        maps, told = maps.float(), told.float()
        seen = batch.fine[:, :, 3] > 0.5
        occluded = told[..., 0] > 0
        found = (maps[:, :, 0] > 0) & occluded[..., None, None]
        inside = batch.inside > 0.5
        whole, true = (found | seen) & inside, (batch.amodal > 0.5) & inside
        known = (batch.amount >= 0) & (batch.amount.amin(1, keepdim=True) < 0.3)

        def overlap(a: Tensor, b: Tensor) -> Tensor:
            return (a & b).sum((2, 3)) / (a | b).sum((2, 3)).clamp(min=1)

        add("mIOU", overlap(whole, true), known)
        add("seen only", overlap(seen & inside, true), known)
        hidden = known & (batch.amount > 0.005)
        add("occ", overlap(whole & ~seen, true & ~seen), hidden)
        add("full", overlap(whole, true), known & (batch.amount > 0.99))
        levels = torch.bucketize(
            batch.amount, torch.tensor([0.005, 0.5], device=device, dtype=batch.amount.dtype)
        )
        amount = 1 - (seen & inside).sum((2, 3)) / whole.sum((2, 3)).clamp(min=1)
        guess = torch.where(occluded, 1 + (amount >= 0.5).long(), 0)
        add("level", (guess == levels).float(), known)
        add("occluded", (occluded == (batch.amount > 0.005)).float(), known)
        front = (maps[:, :, 3] > 0) & ~seen & inside
        add("front", overlap(front, (batch.hider > 0.5) & ~seen & inside), hidden)
    net.train()
    return {name: float(torch.cat(values).mean()) for name, values in rows.items()}


class Average:
    """A running mean of the weights."""

    def __init__(self, net: nn.Module, decay: float = 0.998) -> None:
        self.decay, self.steps = decay, 0
        self.values = {k: v.detach().clone() for k, v in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        now = net.state_dict()
        floats = [k for k, v in self.values.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.values[k] for k in floats], [now[k] for k in floats], 1 - keep)


def save(
    folder: Path, net: CompleterNet, average: Average, optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Two files, so that each stays under 16 MiB; half precision is enough to go on from."""
    weights = {
        "average": {k: v.to(torch.float16).cpu() for k, v in average.values.items()},
        "average_steps": average.steps,
        "net": _half(dict(net.state_dict())),
        "step": step,
        "widths": net.widths,
    }
    for name, stored in (("weights.pt", weights), ("optimizer.pt", _half(optimizer.state_dict()))):
        torch.save(stored, folder / f"{name}.part")
        (folder / f"{name}.part").rename(folder / name)


def _half(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 1:
        return value.detach().to(torch.bfloat16).cpu()
    if isinstance(value, dict):
        return {key: _half(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_half(inner) for inner in value]
    return value.cpu() if isinstance(value, Tensor) else value


def restore(
    folder: Path, net: nn.Module, average: Average, optimizer: torch.optim.Optimizer
) -> int:
    stored = torch.load(folder / "weights.pt", map_location="cpu", weights_only=False)
    net.load_state_dict(stored["net"])
    for key, value in stored["average"].items():
        average.values[key].copy_(value)
    average.steps = stored["average_steps"]
    if (folder / "optimizer.pt").exists():
        optimizer.load_state_dict(
            torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=False)
        )
    return int(stored["step"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=280, help="wall clock of the whole call")
    parser.add_argument("--resume", type=Path, help="folder of an earlier run")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument(
        "--last-rate", type=float, default=0.03, help="share of the rate at the end"
    )
    parser.add_argument("--validation", type=int, default=8, help="batches")
    parser.add_argument("--videos", type=int, help="use the first few videos only (to try it out)")
    parser.add_argument("--widths", type=int, nargs=4, default=WIDTHS)
    parser.add_argument("--reuse", type=int, default=1, help="steps a batch, each mirrored anew")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    started = time.time()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    args.out.mkdir(parents=True, exist_ok=True)
    footage = Footage.load(args.data, device, args.videos)
    torch.manual_seed(123)
    held = [compose(footage, args.batch, args.frames) for _ in range(args.validation)]
    torch.manual_seed(args.seed)
    net = CompleterNet(tuple(args.widths)).to(device, memory_format=torch.channels_last)
    print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M weights", flush=True)
    optimizer = torch.optim.AdamW(
        net.parameters(),
        args.rate,
        betas=(0.9, 0.98),
        weight_decay=0.01,
        fused=device.type == "cuda",
    )
    average = Average(net)
    step = restore(args.resume, net, average, optimizer) if args.resume else 0
    torch.manual_seed(args.seed + 1000 + step)
    begun = step
    training_from = saved = time.time()
    batch: Batch | None = None
    sums: dict[str, Tensor] = {}
    count, shown = 0, time.time()
    while (now := time.time()) - started < args.seconds:
        share = (now - training_from) / max(args.seconds - (training_from - started), 1e-6)
        rate = args.rate * (
            args.last_rate + (1 - args.last_rate) * 0.5 * (1 + math.cos(math.pi * share))
        )
        rate *= min(1.0, (step - begun + 1) / 100)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.no_grad():
            again = batch is not None and (step - begun) % args.reuse
            batch = mirrored(batch) if again else compose(footage, args.batch, args.frames)
        with torch.autocast(device.type, torch.bfloat16):
            maps, told = net(
                batch.fine.to(torch.bfloat16), batch.coarse.to(torch.bfloat16), batch.times
            )
        total, parts = losses(maps, told, batch)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        if torch.isfinite(norm):
            optimizer.step()
        average.update(net)
        step += 1
        count += 1
        for name, value in parts.items():
            sums[name] = sums[name] + value if name in sums else value
        if time.time() - shown > 20 or step == begun + 3:
            means = " ".join(f"{name} {float(value) / count:.3f}" for name, value in sums.items())
            speed = count / (time.time() - shown)
            print(
                f"{time.time() - started:5.0f} s, step {step}, {speed:.1f}/s: {means}", flush=True
            )
            sums, count, shown = {}, 0, time.time()
            if step == begun + 3 or time.time() - saved > 60:
                saved = time.time()
                save(args.out, net, average, optimizer, step)
    save(args.out, net, average, optimizer, step)
    live = {key: value.clone() for key, value in net.state_dict().items()}
    print("live", _shown(validate(net, held, device)), flush=True)
    net.load_state_dict({**live, **average.values})
    print("averaged", _shown(validate(net, held, device)), flush=True)
    print(f"{step} steps, {time.time() - started:.0f} s", flush=True)


def _shown(figures: Figures) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


if __name__ == "__main__":
    main()
