"""Write the tracker's network as ONNX, in three parts, with half-precision weights.

    python tracker_export.py RUN/weights.pt ../src/napari_amodal/draft/weights

Batch norms are folded into the convolutions; weights are stored as float16 and widened when the
file is opened; the parts are run against the network, and their hashes written beside them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from export_hashes import write_hashes
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tracker_network import Answer, Features, Reader, Tracker, places, tokens

SIDE = 256


class ReaderPart(nn.Module):
    """The reader with plain tensors in and probabilities out."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def forward(
        self,
        at2: Tensor,
        at4: Tensor,
        at8: Tensor,
        key: Tensor,
        kept_key: Tensor,
        kept_value: Tensor,
        last_key: Tensor,
        last_value: Tensor,
        last_place: Tensor,
    ) -> tuple[Tensor, Tensor]:
        answer: Answer = self.reader(
            Features(at2, at4, at8, key), (kept_key, kept_value), (last_key, last_value, last_place)
        )
        return answer.mask, answer.quality.sigmoid()


def fold(module: nn.Module) -> None:
    """Fold every batch norm into the convolution before it."""
    for child in module.children():
        if isinstance(child, nn.Sequential) and len(child) == 2:
            conv, norm = child[0], child[1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                child[0], child[1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
                continue
        fold(child)


def halve(path: Path) -> None:
    """Store large weights as float16, with a cast back to float32 in the graph."""
    model = onnx.load(path)
    graph = model.graph
    casts = []
    for weight in list(graph.initializer):
        array = numpy_helper.to_array(weight)
        if array.dtype != np.float32 or array.size < 256:
            continue
        name = weight.name
        graph.initializer.remove(weight)
        graph.initializer.append(numpy_helper.from_array(array.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def export(weights: Path, folder: Path) -> None:
    network = Tracker()
    network.load_state_dict(torch.load(weights, map_location="cpu"))
    network.float().eval()
    fold(network)
    folder.mkdir(parents=True, exist_ok=True)
    picture, mask = torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 1, SIDE, SIDE)
    with torch.no_grad():
        features = network.encoder(picture)
        value = network.memorizer(features.at4, features.at8, mask)
        key, side = tokens(features.key), SIDE // 8
        memory = (key.repeat(1, 2, 1), tokens(value).repeat(1, 2, 1), key, tokens(value))
        place = places(side, side, key)
        area = {2: "rows", 3: "columns"}
        grids = {f"at{s}": {2: f"rows{s}", 3: f"columns{s}"} for s in (2, 4, 8)}
        feature_axes = {**grids, "key": grids["at8"]}
        names = ["at2", "at4", "at8", "key"]
        memories = ["kept_key", "kept_value", "last_key", "last_value", "last_place"]
        memory_axes = {name: {1: f"{name.split('_')[0]}_tokens"} for name in memories}
        parts = {
            "encoder": (
                network.encoder,
                (picture,),
                ["picture"],
                names,
                {"picture": area} | feature_axes,
            ),
            "memorizer": (
                network.memorizer,
                (features.at4, features.at8, mask),
                ["at4", "at8", "mask"],
                ["value"],
                {"at4": grids["at4"], "at8": grids["at8"], "mask": area, "value": grids["at8"]},
            ),
            "reader": (
                ReaderPart(network.reader),
                (*features, *memory, place),
                names + memories,
                ["mask", "quality"],
                feature_axes | memory_axes | {"mask": grids["at2"]},
            ),
        }  # fmt: skip
        for name, (module, inputs, ins, outs, axes) in parts.items():
            path = folder / f"tracker_{name}.onnx"
            torch.onnx.export(
                module, inputs, path, dynamo=False, opset_version=17,
                input_names=ins, output_names=outs, dynamic_axes=axes,
            )  # fmt: skip
            halve(path)
            check(path, module, dict(zip(ins, inputs, strict=True)))
    write_hashes(folder)


def check(path: Path, module: nn.Module, inputs: dict[str, Tensor]) -> None:
    """Run the file and the network on the same input, and say how far they are apart."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(None, {k: v.numpy() for k, v in inputs.items()})
    wanted = module(*inputs.values())
    wanted = (wanted,) if isinstance(wanted, Tensor) else wanted
    apart = max(
        float(np.abs(a - b.numpy()).max() / (b.abs().max() + 1e-6))
        for a, b in zip(found, wanted, strict=True)
    )
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, {apart:.1e} off")
    assert apart < 0.02, f"{path} does not do what the network does"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    export(args.weights, args.folder)


if __name__ == "__main__":
    main()
