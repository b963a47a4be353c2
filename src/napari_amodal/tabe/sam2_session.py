"""What SAM 2 remembers of one object while it goes through a clip, and no more than that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Sam2VideoInferenceSession, Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceCache

from napari_amodal.clip import Frame
from napari_amodal.masks import Mask
from napari_amodal.stages import Clicks

#: ImageNet's mean and standard deviation, as SAM 2 was trained with.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)

#: Labels of SAM's point prompts.
_OUTSIDE, _INSIDE, _BOX_FIRST, _BOX_LAST = range(4)

#: Kept of a frame that the memory is made of.
_REMEMBERED = ("maskmem_features", "maskmem_pos_enc", "object_pointer", "object_score_logits")


class CurrentFrame:
    """The frame that is being worked on: its picture and the image encoder's features of it.

    All objects share it, so that a frame is encoded once however many objects there are.

    Parameters
    ----------
    model : Sam2VideoModel
    encoder : callable, optional
        Gives the features of a picture; the model encodes the frame itself where there is none.
    """

    def __init__(
        self, model: Sam2VideoModel, encoder: Callable[[Tensor], dict[str, Any]] | None = None
    ) -> None:
        self._encoder = encoder
        self.device = model.device
        self.side: int = model.config.image_size  # type: ignore[assignment]
        self.features: Any = Sam2VideoInferenceCache(self.device, self.device)
        self._index = -1
        self._pixels: Frame | None = None

    def show(self, index: int, pixels: Frame) -> None:
        """Make a frame, uint8 ``(H, W, 3)``, the current one."""
        if index == self._index:
            return
        self._index, self._pixels = index, pixels
        self.features.clear_all()
        if self._encoder is not None:
            self.features.cache_vision_features(index, self._encoder(self.picture(index)))

    def picture(self, index: int) -> Tensor:
        """The current frame as the image encoder takes it, float32 ``(3, side, side)``."""
        assert index == self._index and self._pixels is not None, "only the current frame is held"
        return as_picture(self._pixels, self.side, self.device)


def as_picture(pixels: Frame, side: int, device: torch.device) -> Tensor:
    """A frame, uint8 ``(H, W, 3)``, resized to a square and normalised: ``(3, side, side)``."""
    picture = torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].float()
    picture = F.interpolate(picture, (side, side), mode="bilinear", antialias=True)[0] / 255
    mean = torch.tensor(_MEAN, device=device).view(3, 1, 1)
    std = torch.tensor(_STD, device=device).view(3, 1, 1)
    return (picture - mean) / std


class ObjectSession(Sam2VideoInferenceSession):
    """The memory of one object: transformers' session, with frames as they come and go.

    Parameters
    ----------
    current : CurrentFrame
    frames : int
        Length of the clip.
    height, width : int
        Size of its frames.
    """

    def __init__(self, current: CurrentFrame, frames: int, height: int, width: int) -> None:
        super().__init__(
            video_height=height,
            video_width=width,
            inference_device=current.device,
            inference_state_device=current.device,
            dtype=torch.float32,
        )
        self.frame_size = (height, width)
        self._current = current
        self._frames = frames
        self._spatial_code: Tensor | None = None
        self.cache = current.features
        self.obj_id_to_idx(0)

    @property
    def num_frames(self) -> int:
        """Length of the clip; transformers counts the frames that it holds."""
        return self._frames

    def get_frame(self, frame_idx: int) -> Tensor:
        return self._current.picture(frame_idx)

    @property
    def prompted(self) -> Mapping[int, Any]:
        """What is remembered of the frames with prompts."""
        found: Mapping[int, Any] = self.output_dict_per_obj[0]["cond_frame_outputs"]
        return found

    @property
    def tracked(self) -> dict[int, Any]:
        """What is remembered of the frames without."""
        found: dict[int, Any] = self.output_dict_per_obj[0]["non_cond_frame_outputs"]
        return found

    def prompt(self, frame: int, prompt: Mask | Clicks) -> None:
        """Tell the object on a frame; it takes effect when the model is next run on that frame."""
        if isinstance(prompt, Clicks):
            self.add_point_inputs(0, frame, self._points(prompt))
        else:
            self.add_mask_inputs(0, frame, self._mask(prompt))
        self.obj_with_new_inputs = [0]

    def _mask(self, mask: Mask) -> Tensor:
        """A mask as SAM 2 takes it, ``(1, 1, side, side)`` of 0 and 1."""
        side = self._current.side
        given = torch.from_numpy(mask).to(self.inference_device)[None, None].float()
        if mask.shape == (side, side):
            return given
        resized = F.interpolate(given, (side, side), mode="bilinear", antialias=True)
        return (resized >= 0.5).float()

    def _points(self, clicks: Clicks) -> dict[str, Tensor]:
        """Clicks as SAM 2 takes them: ``(x, y)`` in the resized frame, the box's corners first."""
        points: list[tuple[float, float, int]] = []
        if clicks.box is not None:
            box = clicks.box
            points = [(box.y0, box.x0, _BOX_FIRST), (box.y1 - 1, box.x1 - 1, _BOX_LAST)]
        points += [(y, x, _INSIDE) for y, x in clicks.inside]
        points += [(y, x, _OUTSIDE) for y, x in clicks.outside]
        height, width = self.frame_size
        down, across = self._current.side / height, self._current.side / width
        return {
            "point_coords": torch.tensor([[[[x * across, y * down] for y, x, _ in points]]]),
            "point_labels": torch.tensor([[[label for _, _, label in points]]], dtype=torch.int32),
        }

    def forget_inputs(self, frame: int) -> None:
        """Let go of a prompt whose frame the model has seen."""
        self.remove_mask_inputs(0, frame)
        self.remove_point_inputs(0, frame)
        self._slim(self.output_dict_per_obj[0]["cond_frame_outputs"][frame])

    def forget(self, frame: int, direction: Literal[1, -1], reach: int, first: int) -> None:
        """Let go of all that the frames after this one cannot use.

        Parameters
        ----------
        frame : int
            The frame that was tracked last.
        direction : 1 or -1
        reach : int
            How many frames back the model looks.
        first : int
            The object's first prompted frame: what follows it is kept for the way back.
        """
        self.frames_tracked_per_obj[0].clear()
        self._slim(self.tracked[frame])
        for index in tuple(self.tracked):
            behind = (frame - index) * direction < reach
            after_first = direction > 0 and first > 0 and index < first + reach
            if not (behind or after_first):
                del self.tracked[index]

    def _slim(self, output: dict[str, Any]) -> None:
        for key in output.keys() - set(_REMEMBERED):
            del output[key]
        # The code of positions is the same for all frames: one copy is enough.
        if self._spatial_code is None:
            self._spatial_code = output["maskmem_pos_enc"].clone()
        output["maskmem_pos_enc"] = self._spatial_code
