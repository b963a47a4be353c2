"""Time and memory of the TABE engine on a GPU, with random weights of full size.

    python benchmarks/gpu.py [--short] [--weights FOLDER]

30 frames of 1280 x 720, an object that something passes in front of: the completer for some steps,
with normal and with little memory, then one whole run of ``napari-amodal run --engine tabe`` with
the published settings (the visible masks and the depth are in the clip: random networks find
neither). Prints each figure beside the published code's (measured on one H100, see the reference
page) and beside the floor: the operations of the networks at the rate of this card's large matrix
products, measured in the same run.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_amodal.boxes import Box, box_of
from napari_amodal.clip import Clip, clip_from_array
from napari_amodal.levels import FrameOcclusion, level_of
from napari_amodal.masks import MaskStack
from napari_amodal.progress import Watch
from napari_amodal.stages import Occlusion, Query, VisibleTrack

GIB = 2**30
FRAMES, HEIGHT, WIDTH = 30, 720, 1280
DEVICE = torch.device("cuda")

#: What the published code takes on one H100 (reference page, last section).
PUBLISHED = {
    "a fitting step": "0.91 s, 27.7 GiB",
    "a guided sampling step": "0.62 s, 15.1 GiB",
    "the whole run": "616 s + masks, 27.7 GiB",
}
GOALS = {
    "a fitting step": "0.12 s",
    "a guided sampling step": "0.25 s",
    "the whole run": "120 s, 12 GiB",
    "low memory": "1.7 times, 7.5 GiB",
}


def write_weights(folder: Path) -> None:
    """Random networks of the published sizes, in the layout that the engine reads."""
    from diffusers import AutoencoderKL, DDIMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel, Sam2VideoConfig, Sam2VideoModel

    from napari_amodal.tabe.unet_file import UNetShape, save_unet

    torch.manual_seed(0)
    stable = folder / "stable-diffusion-inpainting"
    with DEVICE:
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
        )
        text = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
                vocab_size=64,
                bos_token_id=0,
                eos_token_id=1,
            )
        )
        unet = UNetShape().build().to(torch.bfloat16)
        sam = Sam2VideoModel(sam2_large(Sam2VideoConfig))
    vae.save_pretrained(stable / "vae")
    text.save_pretrained(stable / "text_encoder")
    DDIMScheduler().save_pretrained(stable / "scheduler")
    write_tokenizer(stable / "tokenizer")
    sam.save_pretrained(folder / "sam2.1-large")
    (folder / "cococo").mkdir()
    save_unet(unet, UNetShape(), folder / "cococo" / "cococo_unet.safetensors")


def sam2_large(config: Any) -> Any:
    """The sizes of SAM 2.1 hiera-large."""
    from transformers import Sam2HieraDetConfig, Sam2VisionConfig

    backbone = Sam2HieraDetConfig(
        hidden_size=144,
        num_attention_heads=2,
        blocks_per_stage=[2, 6, 36, 4],
        embed_dim_per_stage=[144, 288, 576, 1152],
        num_attention_heads_per_stage=[2, 4, 8, 16],
        window_size_per_stage=[8, 4, 16, 8],
        global_attention_blocks=[23, 33, 43],
        window_positional_embedding_background_size=[7, 7],
    )
    vision = Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=[1152, 576, 288, 144])
    return config(vision_config=vision)


def write_tokenizer(folder: Path) -> None:
    """A tokenizer that knows the letters; the text's meaning plays no part in time and memory."""
    import json

    folder.mkdir(parents=True)
    letters = sorted(set("avideofsk"))
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    settings = {"model_max_length": 77, "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    settings |= {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


@dataclass(frozen=True)
class Scene:
    """A disc that moves, and a bar that passes in front of it."""

    clip: Clip
    query: Query
    track: VisibleTrack
    occlusion: Occlusion


def scene() -> Scene:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    background = picture.repeat(8, 0).repeat(8, 1)
    frames, visible, hiders, boxes, levels = [], [], [], [], []
    for t in range(FRAMES):
        disc = np.hypot(rows - 360, columns - 400 - 15 * t) < 150
        bar = np.abs(columns - (1100 - 35 * t)) < 60
        frame = background.copy()
        frame[disc] = 200, 60, 40
        frame[bar] = 40, 60, 90
        frames.append(frame)
        visible.append(disc & ~bar)
        hiders.append(bar & ~visible[-1])
        boxes.append(box_of(disc))
        amount = float((disc & bar).sum() / disc.sum())
        levels.append(FrameOcclusion(level_of(amount), amount))
    masks = MaskStack(visible, HEIGHT, WIDTH)
    found: tuple[Box | None, ...] = tuple(boxes)
    occlusion = Occlusion(tuple(levels), found, MaskStack(hiders, HEIGHT, WIDTH))
    track = VisibleTrack(masks, np.ones(FRAMES, np.float32))
    return Scene(clip_from_array(np.stack(frames)), Query({0: visible[0]}), track, occlusion)


class Times(Watch):
    """Notes when each step was over."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[tuple[float, int]] = [(time.perf_counter(), 0)]

    def step(self, done: int, total: int, mask: Any = None, detail: str = "") -> None:
        torch.cuda.synchronize()
        self.marks.append((time.perf_counter(), done))

    def per_step(self, cost: int, first: int, last: int) -> float:
        """Median time of the steps of a cost, between two counts."""
        gaps = [
            b - a
            for (a, before), (b, after) in zip(self.marks, self.marks[1:], strict=False)
            if after - before == cost and first < after <= last
        ]
        return float(np.median(gaps))


@dataclass(frozen=True)
class Run:
    """Figures of one whole completion."""

    seconds: float
    peak: float
    fit_step: float
    sample_step: float


def complete(given: Scene, fit_steps: int, **settings: Any) -> Run:
    """Run the completer for some steps and one video, and measure it."""
    from napari_amodal.tabe.completion import complete_object
    from napari_amodal.tabe.diffusion_completer import DiffusionSettings

    chosen = DiffusionSettings(fit_steps=fit_steps, hypotheses=1, **settings)
    os.environ["NAPARI_AMODAL_CACHE"] = tempfile.mkdtemp(prefix="amodal-cache-")
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    watch = Times()
    started = time.perf_counter()
    complete_object(given.clip, 1, given.query, given.track, given.occlusion, chosen, watch)
    torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    fitted = fit_steps * 2
    return Run(
        seconds,
        torch.cuda.max_memory_allocated() / GIB,
        watch.per_step(2, 20, fitted),
        watch.per_step(5, fitted + 10, watch.marks[-1][1]),
    )


def whole_run(given: Scene, folder: Path) -> tuple[float, float]:
    """Seconds and GiB of the command, start to end, on the scene as a clip folder."""
    from PIL import Image

    from napari_amodal.cli import app

    clip = folder / "scene"
    for name in ("frames", "visible_masks", "depth"):
        (clip / name).mkdir(parents=True)
    for t in range(FRAMES):
        visible, hiders = given.track.masks[t], given.occlusion.hiders[t]
        depth = (40 + 80 * visible + 160 * hiders).astype(np.uint8)
        pictures = {"frames": given.clip.frame(t), "depth": depth}
        pictures["visible_masks"] = visible.astype(np.uint8) * 255
        for name, picture in pictures.items():
            Image.fromarray(picture).save(clip / name / f"{t:05}.png")
    os.environ["NAPARI_AMODAL_CACHE"] = str(folder / "cache")
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    call = [
        "run",
        str(clip),
        "--visible",
        "given",
        "--engine",
        "tabe",
        "--out",
        str(folder / "out"),
    ]
    started = time.perf_counter()
    app(call, standalone_mode=False)
    return time.perf_counter() - started, torch.cuda.max_memory_allocated() / GIB


def fits_repeat(given: Scene, steps: int = 8) -> bool:
    """Whether two fits with the same seed end with the same weights, bit for bit."""
    from napari_amodal.tabe.diffusion import load_diffusion
    from napari_amodal.tabe.fitting import Fitting, fit
    from napari_amodal.tabe.training_samples import starting_frames, training_pool
    from napari_amodal.weights import require

    frames, visible = given.occlusion.frames, given.track.masks
    pool = training_pool(given.clip, visible, frames, starting_frames(frames, visible))
    files = require("stable-diffusion-inpainting"), require("cococo")
    found = []
    for _ in range(2):
        torch.manual_seed(42)
        fitting = Fitting(load_diffusion(*files, DEVICE, torch.bfloat16), pool)
        fit(fitting, steps, 42, lambda: None)
        found.append(torch.cat([vector.detach() for vector in fitting.trained]))
        del fitting
    return torch.equal(*found)


def median_ms(work: Callable[[], Any], repeats: int = 7) -> float:
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return float(np.median(times))


def ceilings() -> tuple[float, float]:
    """This card's TFLOP/s in a large bfloat16 product, and TB/s in a large copy."""
    a, b = (torch.randn(8192, 8192, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    rate = 2 * 8192**3 / median_ms(lambda: a @ b) / 1e9
    source = torch.randint(0, 255, (2**31,), device=DEVICE, dtype=torch.uint8)
    target = torch.empty_like(source)
    return rate, 2 * 2**31 / median_ms(lambda: target.copy_(source)) / 1e9


def operations() -> tuple[float, float, float]:
    """TFLOP of a fitting step's UNet, of a guided sampling step; relative error of bfloat16."""
    from napari_amodal.tabe.unet_file import UNetShape

    torch.manual_seed(0)
    with DEVICE:
        unet = UNetShape().build().eval().requires_grad_(False)

    def inputs(frames: int, side: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
        shape = (1, 4, frames, side, side)
        noisy, masked = (torch.randn(shape, device=DEVICE, dtype=dtype) for _ in range(2))
        mask = torch.ones(1, 1, *shape[2:], device=DEVICE, dtype=dtype)
        text = torch.randn(1, 77, 768, device=DEVICE, dtype=dtype)
        return noisy, mask, masked, torch.tensor(500, device=DEVICE), text

    exact_inputs = inputs(4, 32, torch.float32)
    torch.backends.cudnn.allow_tf32 = False
    with torch.no_grad():
        exact = unet(*exact_inputs)
        unet = unet.to(torch.bfloat16, memory_format=torch.channels_last)
        rounded = unet(*(x.bfloat16() if x.is_floating_point() else x for x in exact_inputs))
        counts = []
        for frames, side in ((14, 32), (FRAMES, 64)):
            with FlopCounterMode(display=False) as counter:
                unet(*inputs(frames, side, torch.bfloat16))
            counts.append(counter.get_total_flops() / 1e12)
    torch.backends.cudnn.allow_tf32 = True
    error = float((rounded.float() - exact).norm() / exact.norm())
    # Backward through frozen weights costs one more product a layer: the input's gradient.
    return 2 * counts[0], 2 * counts[1], error


def line(name: str, ours: str, floor: str = "") -> None:
    published, goal = PUBLISHED.get(name, ""), GOALS.get(name, "")
    print(f"{name:24} {published:26} {goal:20} {ours:22} {floor}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="without the whole run")
    parser.add_argument("--weights", type=Path, help="keep the random weights in this folder")
    args = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="amodal-"))
    folder = args.weights or scratch / "weights"
    os.environ["NAPARI_AMODAL_WEIGHTS"] = str(folder)
    if not (folder / "cococo").exists():
        write_weights(folder)
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
    rate, copy = ceilings()
    fit_work, sample_work, error = operations()
    print(f"products {rate:.0f} TFLOP/s, copies {copy:.2f} TB/s, bfloat16 error {error:.4f}")
    given = scene()
    first = complete(given, 12, sampling_steps=12)
    print(f"a first short run, kernels compiled: {first.seconds:.1f} s", flush=True)
    print(f"\n{'':24} {'published':26} {'to reach':20} {'ours':22} floor of the products")
    normal = complete(given, 60, memory="normal")
    line("a fitting step", f"{normal.fit_step:.3f} s", f"{fit_work / rate:.3f} s (UNet)")
    line("a guided sampling step", f"{normal.sample_step:.3f} s", f"{sample_work / rate:.3f} s")
    line("normal memory", f"{normal.peak:.1f} GiB")
    low = complete(given, 60, memory="low")
    line("a fitting step, low", f"{low.fit_step:.3f} s")
    line("a sampling step, low", f"{low.sample_step:.3f} s")
    both = [500 * run.fit_step + 250 * run.sample_step for run in (normal, low)]
    line("low memory", f"{both[1] / both[0]:.2f} times, {low.peak:.1f} GiB")
    if not args.short:
        seconds, peak = whole_run(given, scratch)
        line("the whole run", f"{seconds:.0f} s, {peak:.1f} GiB")
    print("two fits with the same seed are equal:", fits_repeat(given))


if __name__ == "__main__":
    main()
