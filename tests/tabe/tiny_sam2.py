"""A small SAM 2 with random weights, and clips for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIDE = 128


def write_tiny_sam2(folder: Path, seed: int = 4) -> Path:
    """A network of SAM 2.1's layout in the files of the real one, that answers in seconds."""
    import torch
    from transformers import Sam2VideoConfig, Sam2VideoModel

    config = Sam2VideoConfig(
        vision_config={
            "model_type": "sam2_vision_model",
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 12,
                "num_attention_heads": 1,
                "image_size": [SIDE, SIDE],
                "blocks_per_stage": [1, 2, 2, 1],
                "embed_dim_per_stage": [12, 24, 48, 96],
                "num_attention_heads_per_stage": [1, 2, 4, 8],
                "window_size_per_stage": [8, 4, 4, 4],
                "global_attention_blocks": [4],
            },
            "backbone_channel_list": [96, 48, 24, 12],
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            "fpn_hidden_size": 128,
        },
        prompt_encoder_config={"hidden_size": 128, "image_size": SIDE},
        mask_decoder_config={
            "hidden_size": 128,
            "mlp_dim": 64,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": 32,
        },
        image_size=SIDE,
        memory_attention_hidden_size=128,
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=64,
        memory_attention_rope_feat_sizes=[8, 8],
        memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=128,
    )
    torch.manual_seed(seed)
    model = Sam2VideoModel(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim > 1:
                # Large enough that the memory, too, shows in the masks.
                value.normal_(0, 1.6 / value[0].numel() ** 0.5, generator=generator)
            elif "norm" not in name:
                value.normal_(0, 0.1, generator=generator)
        # Else the object would be nowhere, and every mask empty.
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(2.0)
    model.save_pretrained(folder)
    return folder


def moving_disc(frames: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A bright disc that moves over noise, uint8 ``(T, H, W, 3)``."""
    pixels = np.random.default_rng(3).integers(0, 90, (frames, height, width, 3), np.uint8)
    for frame in range(frames):
        pixels[frame][disc(frame, height, width)] = (250, 180, 40)
    return pixels


def disc(frame: int, height: int = 48, width: int = 64) -> NDArray[np.bool_]:
    """Where the disc is on a frame."""
    y, x = np.mgrid[:height, :width]
    found: NDArray[np.bool_] = (y - 20) ** 2 + (x - 12 - frame % 40) ** 2 < 81
    return found
