"""SAM 2's image encoder as a CUDA graph.

It is most of a frame's work, in some thousand small kernels: run one by one, the card waits for
their launches for three quarters of the time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Sam2VideoModel

#: Runs before the capture, in which libraries choose and load their kernels.
_WARM_UP = 2


class CapturedEncoder:
    """The features of one picture after the other, in buffers that the next one overwrites.

    Parameters
    ----------
    model : Sam2VideoModel
        On a CUDA device.
    """

    def __init__(self, model: Sam2VideoModel) -> None:
        self._model = model
        side = model.config.image_size
        self._picture = torch.zeros(1, 3, side, side, device=model.device)
        stream = torch.cuda.Stream(model.device)
        stream.wait_stream(torch.cuda.current_stream(model.device))
        with torch.inference_mode(), torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                self._encode()
        torch.cuda.current_stream(model.device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(self._graph):
            self._features = self._encode()

    def _encode(self) -> dict[str, Any]:
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            found = self._model.get_image_features(self._picture, return_dict=True)
        return {
            "vision_feats": found.fpn_hidden_states,
            "vision_pos_embeds": found.fpn_position_encoding,
        }

    def __call__(self, picture: Tensor) -> dict[str, Any]:
        """What the model keeps of a frame ``(3, side, side)``; valid until the next call."""
        self._picture[0].copy_(picture)
        self._graph.replay()
        return self._features
