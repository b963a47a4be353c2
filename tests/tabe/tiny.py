"""Networks of the published layout, tiny and random, for tests on a CPU."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from transformers import CLIPTextConfig, CLIPTextModel

from napari_amodal.tabe.unet_file import UNetShape, save_unet

TEXT_WIDTH = 32
UNET = UNetShape((32, 32, 32, 32), 1, TEXT_WIDTH, 4, 4)


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
    return folder


def write_cococo(file: Path) -> Path:
    """A tiny random UNet's weights as the import writes them."""
    torch.manual_seed(1)
    save_unet(UNET.build(), UNET, file)
    return file
