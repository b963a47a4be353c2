"""SAM 2's original checkpoints (``sam2_hiera_*.pt``, ``sam2.1_hiera_*.pt``) for transformers.

The network is the same; only the names of its parameters differ.
"""

from __future__ import annotations

import pickle
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import Sam2VideoConfig, Sam2VideoModel

from napari_amodal.errors import InputError
from napari_amodal.tabe.pretrained import quiet


@dataclass(frozen=True)
class Size:
    """One of the published sizes: what its image encoder (Hiera) looks like.

    From the configurations in SAM 2's repository (``sam2/configs/sam2.1/*.yaml``).
    """

    name: str
    width: int
    heads: int
    blocks: tuple[int, int, int, int]
    global_attention: tuple[int, int, int]
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)
    background: int = 7

    @property
    def widths(self) -> list[int]:
        """Channels of the four stages; each has twice the last one's."""
        return [self.width << stage for stage in range(4)]


SIZES = (
    Size("tiny", 96, 1, (1, 2, 7, 2), (5, 7, 9)),
    Size("small", 96, 1, (1, 2, 11, 2), (7, 10, 13)),
    Size("base-plus", 112, 2, (2, 3, 16, 3), (12, 16, 20), background=14),
    Size("large", 144, 2, (2, 6, 36, 4), (23, 33, 43), windows=(8, 4, 16, 8)),
)

#: What SAM 2.1 has and SAM 2.0 has not.
_NEW_IN_2_1 = "no_obj_embed_spatial"

#: The original's names, and transformers', applied in this order.
_RENAMES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
        (r"^image_encoder\.neck\.convs\.(\d)\.conv\.", r"vision_encoder.neck.convs.\1."),
        (r"\bpatch_embed\.proj\.", "patch_embed.projection."),
        (r"^sam_prompt_encoder\.", "prompt_encoder."),
        (r"\bpe_layer\.positional_encoding_gaussian_matrix$",
         "shared_embedding.positional_embedding"),
        (r"\bmask_downscaling\.0\.", "mask_embed.conv1."),
        (r"\bmask_downscaling\.1\.", "mask_embed.layer_norm1."),
        (r"\bmask_downscaling\.3\.", "mask_embed.conv2."),
        (r"\bmask_downscaling\.4\.", "mask_embed.layer_norm2."),
        (r"\bmask_downscaling\.6\.", "mask_embed.conv3."),
        (r"^sam_mask_decoder\.", "mask_decoder."),
        (r"\boutput_upscaling\.0\.", "upscale_conv1."),
        (r"\boutput_upscaling\.1\.", "upscale_layer_norm."),
        (r"\boutput_upscaling\.3\.", "upscale_conv2."),
        (r"^obj_ptr_proj\.", "object_pointer_proj."),
        (r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
        (r"^no_obj_embed_spatial$", "occlusion_spatial_embedding_parameter"),
        (r"^no_obj_ptr$", "no_object_pointer"),
        (r"^no_mem_embed$", "no_memory_embedding"),
        (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
        (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
        (r"^memory_encoder\.pix_feat_proj\.", "memory_encoder.feature_projection."),
        (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
        (r"^memory_encoder\.fuser\.", "memory_encoder.memory_fuser."),
        (r"\bgamma$", "scale"),
        (r"\bdwconv\.", "depthwise_conv."),
        (r"\bpwconv(\d)\.", r"pointwise_conv\1."),
        (r"\bmask_downsampler\.encoder\.12\.", "mask_downsampler.final_conv."),
        (r"\bout_proj\.", "o_proj."),
        (r"\bnorm(\d?)\.", r"layer_norm\1."),
        (r"\bnorm_final_attn\.", "layer_norm_final_attn."),
        # Perceptrons: two layers in the blocks, three in the heads.
        (r"\bmlp\.layers\.0\.", "mlp.proj_in."),
        (r"\bmlp\.layers\.1\.", "mlp.proj_out."),
        (r"((?:mlps\.\d|_head|pointer_proj)\.)layers\.0\.", r"\1proj_in."),
        (r"((?:mlps\.\d|_head|pointer_proj)\.)layers\.1\.", r"\1layers.0."),
        (r"((?:mlps\.\d|_head|pointer_proj)\.)layers\.2\.", r"\1proj_out."),
    )
)  # fmt: skip
_DOWNSAMPLER = re.compile(r"\bmask_downsampler\.encoder\.(\d+)\.")
_POINTS = "prompt_encoder.point_embeddings.{}.weight"


def convert_checkpoint(source: Path, target: Path) -> None:
    """Write an original checkpoint as a folder that transformers loads.

    Parameters
    ----------
    source : Path
        A file ``sam2_hiera_*.pt`` or ``sam2.1_hiera_*.pt``.
    target : Path
        The folder to make: ``config.json`` and ``model.safetensors``.

    Raises
    ------
    InputError
        The file cannot be read, is no checkpoint of SAM 2, or the folder is there already.
    """
    if target.exists():
        raise InputError(f"{target} is there already: remove it, or choose another folder")
    model = model_of_checkpoint(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        with quiet():
            model.save_pretrained(beside)
        beside.chmod(0o755)
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def model_of_checkpoint(source: Path) -> Sam2VideoModel:
    """The network of an original checkpoint, float32 on the CPU; raises as `convert_checkpoint`."""
    original = _read(source)
    model = Sam2VideoModel(_config(source, original))
    renamed = _renamed(original)
    _check(source, renamed, model.state_dict())
    model.load_state_dict(renamed, assign=True)
    model.train(False)
    return model


def _read(source: Path) -> dict[str, Tensor]:
    """The parameters of a checkpoint by their original names, float32."""
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{source} is not there") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{source} is no checkpoint of SAM 2: it is broken, or holds more than parameters, "
            "and was not opened"
        ) from error
    except EOFError as error:
        raise InputError(
            f"{source} is empty, or only part of a checkpoint: get it again"
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"{source} is no file of PyTorch's, or a broken one: get it again"
        ) from error
    parameters = content.get("model") if isinstance(content, dict) else None
    if not isinstance(parameters, dict) or not all(
        isinstance(value, Tensor) for value in parameters.values()
    ):
        raise InputError(f"{source} is no checkpoint of SAM 2: it has no parameters under 'model'")
    return {str(name): value.float() for name, value in parameters.items()}


def _config(source: Path, original: dict[str, Tensor]) -> Sam2VideoConfig:
    """The configuration of the size and version that a checkpoint is of."""
    first = original.get("image_encoder.trunk.patch_embed.proj.weight")
    blocks = {name.split(".")[3] for name in original if "trunk.blocks." in name}
    found = (0 if first is None else first.shape[0], len(blocks))
    size = next((size for size in SIZES if (size.width, sum(size.blocks)) == found), None)
    if size is None:
        raise InputError(
            f"{source} is no checkpoint of SAM 2: its image encoder has {found[1]} blocks of "
            f"{found[0]} channels, which none of the published sizes has"
        )
    encoder = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": size.width,
        "num_attention_heads": size.heads,
        "blocks_per_stage": list(size.blocks),
        "embed_dim_per_stage": size.widths,
        "num_attention_heads_per_stage": [size.heads << stage for stage in range(4)],
        "window_size_per_stage": list(size.windows),
        "global_attention_blocks": list(size.global_attention),
        "window_positional_embedding_background_size": [size.background] * 2,
    }
    newer = _NEW_IN_2_1 in original
    return Sam2VideoConfig(
        vision_config={
            "model_type": "sam2_vision_model",
            "backbone_config": encoder,
            "backbone_channel_list": size.widths[::-1],
        },
        enable_temporal_pos_encoding_for_object_pointers=newer,
        enable_occlusion_spatial_embedding=newer,
    )


def _renamed(original: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters under transformers' names."""
    found = {_new_name(name): value for name, value in original.items()}
    points = [_POINTS.format(kind) for kind in range(4)]
    if all(point in found for point in points):
        found["prompt_encoder.point_embed.weight"] = torch.cat([found.pop(name) for name in points])
    shared = found.get("prompt_encoder.shared_embedding.positional_embedding")
    if shared is not None:
        found["shared_image_embedding.positional_embedding"] = shared.clone()
    return found


def _new_name(name: str) -> str:
    for pattern, replacement in _RENAMES:
        name = pattern.sub(replacement, name)
    # The downsampler's convolutions, norms and activations are one list in the original.
    return _DOWNSAMPLER.sub(
        lambda match: "mask_downsampler.layers.{}.{}.".format(
            int(match[1]) // 3, "layer_norm" if int(match[1]) % 3 else "conv"
        ),
        name,
    )


def _check(source: Path, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    lacking = sorted(expected.keys() - found.keys())
    unknown = sorted(found.keys() - expected.keys())
    for problem, names in (("lacks", lacking), ("has the unknown", unknown)):
        if names:
            raise InputError(
                f"{source} is no checkpoint of SAM 2 that is known here: it {problem} {names[0]}"
                + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            )
    for name, value in expected.items():
        if value.shape != found[name].shape:
            raise InputError(
                f"{source} is no checkpoint of SAM 2 that is known here: {name} is "
                f"{tuple(found[name].shape)}, not {tuple(value.shape)}"
            )
