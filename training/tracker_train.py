"""Train the tracker's network on composed clips.

    python tracker_train.py --videos DIR --silhouettes FILE --out DIR --seconds 250 [--resume FILE]

Runs for so many seconds of wall-clock time, then writes ``weights.pt`` to ``--out``: the running
mean of the weights, in half precision, which is what is shipped and what the next run goes on from.
On a card each step, data and all, is one CUDA graph.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

from compose_banks import frame_bank, shape_bank
from torch import Tensor, nn
from torch.nn import functional as F
from tracker_loss import tracking_loss, true_quality
from tracker_network import Tracker

from compose import Maker

MEAN_DECAY = 0.998
CHECK_EVERY = 8.0  # seconds


@dataclass(frozen=True)
class Phase:
    """A share of the run's time, and the clips that it trains on."""

    share: float
    batch: int
    length: int
    side: int


def phases(text: str) -> tuple[Phase, ...]:
    """Phases written ``SHARE:BATCHxLENGTHxSIDE,...``."""
    found = []
    for part in text.split(","):
        share, sizes = part.split(":")
        found.append(Phase(float(share), *map(int, sizes.split("x"))))
    return tuple(found)


class Training:
    """The network, its running mean, and the optimizer."""

    def __init__(self, device: torch.device, rate: float) -> None:
        self.device = device
        self.network = Tracker().to(device, memory_format=torch.channels_last)
        self.mean = copy.deepcopy(self.network).requires_grad_(False)
        self.rate = torch.tensor(rate, device=device)
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        on_card = device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}],
            lr=self.rate, betas=(0.9, 0.98), fused=on_card, capturable=on_card,
        )  # fmt: skip
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        # Made now, so that they can be kept and put back from the first step on.
        for p in self.network.parameters():
            self.optimizer.state[p] = {
                "step": torch.tensor(0.0, device=device),
                "exp_avg": torch.zeros_like(p),
                "exp_avg_sq": torch.zeros_like(p),
            }
        self.figures = torch.zeros(6, device=device)

    def floats(self, network: nn.Module) -> list[Tensor]:
        return [t for t in network.state_dict().values() if t.is_floating_point()]

    def step(self, maker: Maker) -> None:
        """Make a batch, and take a step on it."""
        with torch.no_grad():
            batch = maker.make()
        on_card = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=on_card):
            images = batch.images if on_card else batch.images.float()
            masks = batch.masks if on_card else batch.masks.float()
            answers = self.network(images, masks[:, 0])
        loss, figures = tracking_loss(answers, masks, batch.valid)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            self.figures.lerp_(figures, 0.02)
            torch._foreach_lerp_(self.floats(self.mean), self.floats(self.network), 1 - MEAN_DECAY)

    # checkpoints

    def moments(self, name: str) -> list[Tensor]:
        return [self.optimizer.state[p][name] for p in self.network.parameters()]

    def everything(self) -> list[Tensor]:
        found = self.floats(self.network) + self.floats(self.mean)
        for name in ("exp_avg", "exp_avg_sq"):
            found += self.moments(name)
        return found

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        state = {k: _packed(v) for k, v in self.mean.state_dict().items()}
        torch.save(state, folder / "weights.pt")

    def resume(self, weights: Path) -> None:
        state = torch.load(weights, map_location=self.device)
        self.mean.load_state_dict(state)
        self.network.load_state_dict(state)


def _packed(tensor: Tensor) -> Tensor:
    return tensor.half().contiguous().cpu() if tensor.is_floating_point() else tensor.cpu()


def stepper(training: Training, maker: Maker) -> Callable[[], None]:
    """A step as one CUDA graph where that works, else as it is."""

    def plain() -> None:
        training.step(maker)

    if training.device.type != "cuda":
        return plain
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            plain()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    if os.environ.get("NO_GRAPH"):
        return plain
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            plain()
        graph.replay()
        torch.cuda.synchronize()
    except Exception as error:
        print("no CUDA graph:", repr(error)[:600], flush=True)
        torch.cuda.synchronize()
        return plain
    return graph.replay


def pace_of(maker: Maker) -> str:
    """How long a batch takes to make, outside the graph."""
    if maker.device.type != "cuda":
        return "no card"
    maker.make()
    torch.cuda.synchronize()
    started = time.monotonic()
    for _ in range(5):
        maker.make()
    torch.cuda.synchronize()
    return f"a batch is made in {200 * (time.monotonic() - started):.1f} ms"


def rate_at(progress: float, peak: float, floor: float = 0.02) -> float:
    """Up for the first hundredth or so, then down as a cosine."""
    warm = min(1.0, progress / 0.02)
    fall = 0.5 + 0.5 * torch.cos(torch.tensor(progress * torch.pi)).item()
    return peak * warm * (floor + (1 - floor) * fall)


@torch.no_grad()
def validate(training: Training, maker: Maker, seed: int = 7) -> str:
    """J on frames in sight, share of hidden frames left empty, rank correlation of the quality."""
    on_card = training.device.type == "cuda"
    with torch.random.fork_rng(devices=[training.device] if on_card else []):
        torch.manual_seed(seed)
        batch = maker.make()
    network = training.mean.eval()
    with torch.autocast(training.device.type, torch.bfloat16, enabled=on_card):
        dtype = torch.float16 if on_card else torch.float32
        answers = network(batch.images.to(dtype), batch.masks[:, 0].to(dtype))
    kept = batch.valid > 0
    scores, judged = [], []
    for frame, answer in enumerate(answers, 1):
        truth = batch.masks[:, frame].float()
        logit = F.interpolate(answer.mask.float(), size=truth.shape[-2:], mode="bilinear")
        scores.append(true_quality(logit[:, 0].sigmoid(), truth)[kept])
        judged.append(answer.quality.float().sigmoid()[kept])
    score, judge = torch.stack(scores, 1), torch.stack(judged, 1)
    seen = score[..., 1] > 0
    ranks = [_ranks(part.flatten()) for part in (score[..., 0], judge[..., 0])]
    rank = torch.corrcoef(torch.stack(ranks))[0, 1]
    by_frame = [f"{score[:, i, 0][seen[:, i]].mean():.3f}" for i in range(score.shape[1])]
    return (
        f"J {score[..., 0][seen].mean():.3f} ({' '.join(by_frame)}) "
        f"hidden left empty {score[..., 0][~seen].mean():.3f} of {(~seen).sum()} "
        f"sight right {((judge[..., 1] > 0.5) == seen).float().mean():.3f} rank {rank:.3f}"
    )


def _ranks(values: Tensor) -> Tensor:
    return values.argsort().argsort().float()


def train(args: argparse.Namespace) -> None:
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(shape_bank, args.silhouettes, device, seed=args.seed, size=args.shapes)
        frames = frame_bank(args.videos, device, every=args.every, videos=args.most_videos)
        shapes = made.result()
    if args.cutouts:
        shapes = shapes.with_cutouts(args.cutouts, frames)
    training = Training(device, args.rate)
    if args.resume:
        training.resume(args.resume)

    def passed() -> float:
        return time.monotonic() - started

    print(f"{frames.count} frames, {len(shapes.shapes)} shapes after {passed():.1f} s", flush=True)
    checked = Maker(frames, shapes, args.validation, 8, args.phases[-1].side)
    begun, ends, total = passed(), 0.0, 0
    for phase in args.phases:
        ends += phase.share
        maker = Maker(frames, shapes, phase.batch, phase.length, phase.side)
        training.network.train()
        step = stepper(training, maker)
        print(f"{phase} ready after {passed():.1f} s; {pace_of(maker)}", flush=True)
        steps, last, since, shown = 0, passed(), passed(), passed()
        kept = [t.clone() for t in training.everything()]
        while (progress := (passed() - begun) / max(args.seconds - begun, 1)) < ends:
            training.rate.fill_(rate_at(min(progress, 1.0), args.rate))
            for _ in range(args.burst):
                step()
            steps += args.burst
            if device.type == "cuda":
                torch.cuda.synchronize()
            if passed() - last > CHECK_EVERY:
                values = training.figures.tolist()
                pace = steps / (passed() - since)
                shown_values = " ".join(f"{v:.3f}" for v in values)
                print(
                    f"{passed():6.1f} s {total + steps:6d} {pace:5.1f}/s "
                    f"rate {training.rate.item():.1e} {shown_values}",
                    flush=True,
                )
                last = passed()
                good = all(v == v and abs(v) < 1e4 for v in values)
                now = training.everything()
                if good:
                    torch._foreach_copy_(kept, now)
                else:
                    print("not finite: back to the last good weights", flush=True)
                    torch._foreach_copy_(now, kept)
                    training.figures.zero_()
            if passed() - shown > args.validate_every:
                print("    ", validate(training, checked), flush=True)
                shown = passed()
        total += steps
        step = None
        print("    ", validate(training, checked), flush=True)
    if device.type == "cuda":
        print(f"peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB", flush=True)
    training.save(args.out)
    print(f"{total} steps, saved after {passed():.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--silhouettes", type=Path, required=True)
    parser.add_argument("--cutouts", type=Path, help="what tracker_cutouts.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--seconds", type=float, default=250)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--phases", type=phases, default=phases("0.55:48x3x192,0.45:24x6x256"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--burst", type=int, default=10, help="steps between looks at the clock")
    parser.add_argument("--validation", type=int, default=64, help="clips to validate on")
    parser.add_argument("--validate-every", type=float, default=60, help="seconds")
    parser.add_argument("--every", type=int, default=1, help="use every so many frames")
    parser.add_argument("--most-videos", type=int, default=0)
    parser.add_argument("--shapes", type=float, default=1.0, help="share of the made shapes")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
