"""Make the wheel's file from trained weights.

    python training/completer_export.py OUT_FOLDER/weights.pt completer.onnx

Weights are stored in half precision and cast when they are loaded; the batch norms are folded into
the convolutions. Its hash is written beside it, with those of the other networks there.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import onnx
import torch
from completer_net import COARSE_CHANNELS, FINE, CompleterNet
from export_hashes import write_hashes
from onnx import helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(net: nn.Module) -> nn.Module:
    """Every convolution joined with the batch norm after it."""
    for name, inner in net.named_children():
        pair = isinstance(inner, nn.Sequential) and len(inner) == 2
        if pair and isinstance(inner[0], nn.Conv2d) and isinstance(inner[1], nn.BatchNorm2d):
            setattr(net, name, fuse_conv_bn_eval(inner[0], inner[1]))
        else:
            folded(inner)
    return net


class ForOneClip(nn.Module):
    """The network without the batch, with chances instead of logits where they are read as such."""

    def __init__(self, net: CompleterNet) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, fine: torch.Tensor, coarse: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        maps, told = self.net(fine[None], coarse[None], times[None])
        return maps[0], torch.sigmoid(told[0])


def half_weights(model: onnx.ModelProto, least: int = 256) -> onnx.ModelProto:
    """Large float32 constants as float16, each with a cast back."""
    casts, kept = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < least:
            kept.append(tensor)
            continue
        stored = numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}_half")
        kept.append(stored)
        casts.append(
            helper.make_node("Cast", [stored.name], [tensor.name], to=onnx.TensorProto.FLOAT)
        )
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def export(net: CompleterNet, out: Path) -> None:
    wrapped = ForOneClip(folded(net.eval())).eval()
    count = 7
    example = (
        torch.rand(count, FINE, 128, 128),
        torch.rand(count, COARSE_CHANNELS, 64, 64),
        torch.arange(count).float(),
    )
    stream = io.BytesIO()
    torch.onnx.export(
        wrapped,
        example,
        stream,
        input_names=["fine", "coarse", "times"],
        output_names=["maps", "told"],
        dynamic_axes={name: {0: "frames"} for name in ("fine", "coarse", "times", "maps", "told")},
        opset_version=17,
        dynamo=False,
    )
    model = half_weights(onnx.load_from_string(stream.getvalue()))
    out.write_bytes(model.SerializeToString())
    write_hashes(out.parent)
    print(f"{out}: {out.stat().st_size / 2**20:.2f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--live", action="store_true", help="the last weights, not the averaged")
    args = parser.parse_args()
    stored = torch.load(args.weights, map_location="cpu", weights_only=False)
    net = CompleterNet(stored["widths"])
    values = stored["net"] if args.live else {**stored["net"], **stored["average"]}
    net.load_state_dict(
        {key: v.float() if v.is_floating_point() else v for key, v in values.items()}
    )
    export(net, args.out)


if __name__ == "__main__":
    main()
