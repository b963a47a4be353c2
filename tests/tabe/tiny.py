"""Networks of the published layout, tiny and random, for tests on a CPU."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from tiny_sam2 import write_tiny_sam2
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
)

from napari_amodal.tabe.unet_file import UNetShape, save_unet

TEXT_WIDTH = 32
UNET = UNetShape((32, 32, 32, 32), 1, TEXT_WIDTH, 4, 4)


def write_weights(folder: Path) -> Path:
    """All that the engine `tabe` reads, as ``napari-amodal weights`` lays it out."""
    write_stable_diffusion(folder / "stable-diffusion-inpainting")
    write_cococo(folder / "cococo" / "cococo_unet.safetensors")
    write_depth(folder / "depth-anything-v2-base")
    write_tiny_sam2(folder / "sam2.1-large")
    return folder


def write_stable_diffusion(folder: Path) -> Path:
    """A folder as diffusers lays Stable Diffusion out, with tiny random networks."""
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
    )
    vae.save_pretrained(folder / "vae")
    words = ["<|startoftext|>", "<|endoftext|>", *(letter + "</w>" for letter in "avideofsks")]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(words))}
    letters = {letter: len(vocabulary) + i for i, letter in enumerate(sorted(set("avideofsk")))}
    config = CLIPTextConfig(
        vocab_size=len(vocabulary) + len(letters),
        hidden_size=TEXT_WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=0,
        eos_token_id=1,
    )
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text(json.dumps(vocabulary | letters))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    (tokenizer / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "CLIPTokenizer",
                "model_max_length": 16,
                "bos_token": "<|startoftext|>",
                "eos_token": "<|endoftext|>",
                "unk_token": "<|endoftext|>",
                "pad_token": "<|endoftext|>",
            }
        )
    )
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    return folder


def write_cococo(file: Path) -> Path:
    """A tiny random UNet's weights as the import writes them."""
    torch.manual_seed(1)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_unet(UNET.build(), UNET, file)
    return file


def write_depth(folder: Path) -> Path:
    """A tiny random network of Depth Anything V2's layout."""
    config = DepthAnythingConfig(
        backbone_config={
            "model_type": "dinov2",
            "image_size": 518,
            "patch_size": 14,
            "hidden_size": 16,
            "num_hidden_layers": 4,
            "num_attention_heads": 2,
            "mlp_ratio": 2,
            "out_indices": [1, 2, 3, 4],
            "reshape_hidden_states": False,
        },
        reassemble_hidden_size=16,
        neck_hidden_sizes=(8, 8, 16, 16),
        fusion_hidden_size=8,
        head_hidden_size=4,
    )
    torch.manual_seed(0)
    model = DepthAnythingForDepthEstimation(config)
    with torch.no_grad():
        # Random heads see no depth at all but for a bias: the last step cuts off below 0.
        model.head.conv3.bias.fill_(1.0)
        for value in model.parameters():
            if value.ndim > 1:
                value.normal_(0, 1 / value[0].numel() ** 0.5)
    model.save_pretrained(folder)
    return folder
