"""Original SAM 2 checkpoints, from files of the published layout."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from napari_amodal.errors import InputError

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("transformers", reason="the networks need napari-amodal[gpu]")

#: Names and shapes in `sam2.1_hiera_tiny.pt`, as the package `sam2` builds that network.
KEYS = json.loads((Path(__file__).parent / "sam2_original_keys.json").read_text())

#: What SAM 2.0 lacks of them.
NEW_IN_2_1 = ("no_obj_embed_spatial", "obj_ptr_tpos_proj.weight", "obj_ptr_tpos_proj.bias")


def hollow(shape):
    """A tensor of a shape that takes no room in a file."""
    return torch.zeros(1).expand(shape)


def write_hollow(path: Path, **changes) -> Path:
    """A checkpoint without any values in it; `changes` are shapes by name, None to leave out."""
    shapes = {**KEYS, **changes}
    parameters = {name: hollow(shape) for name, shape in shapes.items() if shape is not None}
    torch.save({"model": parameters}, path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = torch.Generator().manual_seed(0)
    parameters = {name: torch.randn(shape, generator=generator) for name, shape in KEYS.items()}
    path = tmp_path_factory.mktemp("checkpoints") / "anything.pt"
    torch.save({"model": parameters}, path)
    return path


def test_every_value_arrives_under_a_name_that_transformers_knows(checkpoint, tmp_path):
    from napari_amodal.tabe.sam2_checkpoint import convert_checkpoint
    from napari_amodal.tabe.sam2_network import load_model

    target = tmp_path / "sam2.1-tiny"
    convert_checkpoint(checkpoint, target)
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "model.safetensors"]
    found = load_model(target).state_dict()
    given = torch.load(checkpoint, weights_only=True)["model"]

    def same(new: str, *old: str) -> None:
        assert torch.equal(found[new], torch.cat([given[name] for name in old])), new

    same("vision_encoder.backbone.pos_embed_window", "image_encoder.trunk.pos_embed_window")
    same(
        "vision_encoder.backbone.blocks.11.mlp.proj_out.bias",
        "image_encoder.trunk.blocks.11.mlp.layers.1.bias",
    )
    same("vision_encoder.neck.convs.3.weight", "image_encoder.neck.convs.3.conv.weight")
    same(
        "memory_attention.layers.2.cross_attn_image.o_proj.weight",
        "memory_attention.layers.2.cross_attn_image.out_proj.weight",
    )
    same(
        "memory_encoder.mask_downsampler.layers.2.layer_norm.weight",
        "memory_encoder.mask_downsampler.encoder.7.weight",
    )
    same("memory_encoder.memory_fuser.layers.1.scale", "memory_encoder.fuser.layers.1.gamma")
    same(
        "mask_decoder.pred_obj_score_head.layers.0.weight",
        "sam_mask_decoder.pred_obj_score_head.layers.1.weight",
    )
    same(
        "mask_decoder.output_hypernetworks_mlps.3.proj_out.weight",
        "sam_mask_decoder.output_hypernetworks_mlps.3.layers.2.weight",
    )
    same("object_pointer_proj.proj_in.bias", "obj_ptr_proj.layers.0.bias")
    same(
        "prompt_encoder.point_embed.weight",
        *(f"sam_prompt_encoder.point_embeddings.{kind}.weight" for kind in range(4)),
    )
    same("shared_image_embedding.positional_embedding",
         "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix")  # fmt: skip
    # Each value once, but for the positional embedding, which transformers keeps twice.
    twice = given["sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"].sum()
    total = sum(value.double().sum() for value in given.values()) + twice
    torch.testing.assert_close(sum(value.double().sum() for value in found.values()), total)


def test_the_file_itself_loads_as_its_folder_does(checkpoint, tmp_path):
    from napari_amodal.tabe.sam2_checkpoint import convert_checkpoint
    from napari_amodal.tabe.sam2_network import load_model

    convert_checkpoint(checkpoint, tmp_path / "folder")
    from_file, from_folder = load_model(checkpoint), load_model(tmp_path / "folder")
    for network in (from_file, from_folder):
        encoder = network.config.vision_config.backbone_config
        assert encoder.blocks_per_stage == [1, 2, 7, 2]
        assert encoder.global_attention_blocks == [5, 7, 9]
        assert network.config.enable_occlusion_spatial_embedding
    for name, value in from_folder.state_dict().items():
        assert torch.equal(from_file.state_dict()[name], value), name


def test_the_version_is_told_by_what_is_there(tmp_path):
    from napari_amodal.tabe.sam2_checkpoint import model_of_checkpoint

    newer = model_of_checkpoint(write_hollow(tmp_path / "a.pt")).config
    older = model_of_checkpoint(write_hollow(tmp_path / "b.pt", **dict.fromkeys(NEW_IN_2_1))).config
    assert newer.enable_occlusion_spatial_embedding
    assert newer.enable_temporal_pos_encoding_for_object_pointers
    assert not older.enable_occlusion_spatial_embedding
    assert not older.enable_temporal_pos_encoding_for_object_pointers


def test_what_is_no_checkpoint_of_sam_2_is_refused(tmp_path):
    from napari_amodal.tabe.sam2_checkpoint import convert_checkpoint

    def refused(path: Path, message: str) -> None:
        with pytest.raises(InputError, match=message):
            convert_checkpoint(path, tmp_path / "target")
        assert not (tmp_path / "target").exists()

    refused(tmp_path / "nowhere.pt", "nowhere.pt is not there")
    text = tmp_path / "text.pt"
    text.write_text("not a checkpoint")
    refused(
        text, r"text\.pt is no checkpoint of SAM 2: it is broken, or holds more .* was not opened$"
    )
    empty = tmp_path / "empty.pt"
    empty.touch()
    refused(empty, r"empty\.pt is empty, or only part of a checkpoint: get it again$")
    bare = tmp_path / "bare.pt"
    torch.save({"state_dict": {}}, bare)
    refused(bare, "no parameters under 'model'")
    other = tmp_path / "other.pt"
    torch.save({"model": {"conv.weight": torch.zeros(2)}}, other)
    refused(other, "none of the published sizes")
    refused(write_hollow(tmp_path / "a.pt", no_mem_embed=None), "lacks no_memory_embedding$")
    refused(write_hollow(tmp_path / "b.pt", more=[2]), "has the unknown more$")
    refused(write_hollow(tmp_path / "c.pt", no_obj_ptr=[1, 9]), r"\(1, 9\), not \(1, 256\)")


def test_a_file_with_code_in_it_is_not_run(tmp_path):
    from napari_amodal.tabe.sam2_checkpoint import convert_checkpoint

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    (tmp_path / "trap.pt").write_bytes(pickle.dumps({"model": Trap()}))
    torch.save({"model": Trap()}, tmp_path / "trap_zip.pt")
    for name in ("trap.pt", "trap_zip.pt"):
        with pytest.raises(InputError, match="holds more than parameters"):
            convert_checkpoint(tmp_path / name, tmp_path / "target")
    assert not (tmp_path / "sprung").exists()


def test_a_folder_that_is_there_is_not_overwritten(checkpoint, tmp_path):
    from napari_amodal.tabe.sam2_checkpoint import convert_checkpoint

    (tmp_path / "kept").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        convert_checkpoint(checkpoint, tmp_path)
    assert (tmp_path / "kept").read_text() == "mine"
