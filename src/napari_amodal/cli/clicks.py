"""Points and boxes as the command line takes them: ``--click``, ``--outside`` and ``--box``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from napari_amodal.boxes import Box
from napari_amodal.clip import Clip
from napari_amodal.errors import CallError
from napari_amodal.registry import Engine, StageKind, engine_names, find_engine, stage_type
from napari_amodal.stages import Clicks

#: Object id to frame to what was clicked there.
ClicksByObject = Mapping[int, Mapping[int, Clicks]]

_NUMBER = r"\d+(?:\.\d+)?"
_PROMPT = re.compile(rf"(?:(\d+)@)?(\d+):({_NUMBER}(?:,{_NUMBER})*)")


@dataclass(frozen=True)
class ClickChoice:
    """Clicks and boxes as the call names them, in words."""

    inside: Sequence[str] = ()
    outside: Sequence[str] = ()
    boxes: Sequence[str] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """The options that were used."""
        used = {"--click": self.inside, "--outside": self.outside, "--box": self.boxes}
        return tuple(name for name, texts in used.items() if texts)


def find_clicks(clip: Clip, choice: ClickChoice) -> ClicksByObject:
    """What was clicked, by object and frame.

    Raises
    ------
    CallError
        A text is not of its form, or lies outside the clip; or there is a point beside an object
        and nothing on it.
    """
    found: dict[tuple[int, int], dict[str, list[tuple[float, ...]]]] = {}
    for option, texts, count in (
        ("--click", choice.inside, 2),
        ("--outside", choice.outside, 2),
        ("--box", choice.boxes, 4),
    ):
        for text in texts:
            object_id, frame, numbers = _parsed(option, text, count)
            _check_inside(clip, f"{option} {text}", frame, numbers)
            found.setdefault((object_id, frame), {}).setdefault(option, []).append(numbers)
    clicks: dict[int, dict[int, Clicks]] = {}
    for (object_id, frame), given in found.items():
        clicks.setdefault(object_id, {})[frame] = _clicks(object_id, frame, given)
    return clicks


def _parsed(option: str, text: str, count: int) -> tuple[int, int, tuple[float, ...]]:
    found = _PROMPT.fullmatch(text.replace(" ", ""))
    numbers = tuple(float(word) for word in found[3].split(",")) if found else ()
    if found is None or len(numbers) != count:
        form = "Y,X" if count == 2 else "Y0,X0,Y1,X1"
        raise CallError(
            f"{option} {text}: write it as FRAME:{form} or OBJECT@FRAME:{form}, in pixels"
        )
    return int(found[1] or 1), int(found[2]), numbers


def _check_inside(clip: Clip, told: str, frame: int, numbers: tuple[float, ...]) -> None:
    if frame >= len(clip):
        raise CallError(f"{told}: the clip has frames 0 to {len(clip) - 1}")
    rows, columns = numbers[::2], numbers[1::2]
    if max(rows) > clip.height or max(columns) > clip.width:
        raise CallError(
            f"{told}: the frames are {clip.width}x{clip.height}; give the row (Y) first, then the "
            "column (X)"
        )


def _clicks(object_id: int, frame: int, given: Mapping[str, list[tuple[float, ...]]]) -> Clicks:
    boxes = given.get("--box", [])
    if len(boxes) > 1:
        raise CallError(
            f"--box: object {object_id} has {len(boxes)} boxes on frame {frame}, give one"
        )
    inside = tuple((y, x) for y, x in given.get("--click", ()))
    outside = tuple((y, x) for y, x in given.get("--outside", ()))
    if not inside and not boxes:
        raise CallError(
            f"--outside: on frame {frame} nothing is clicked on object {object_id} itself; add "
            "--click or --box"
        )
    return Clicks(inside, outside, _box(boxes[0]) if boxes else None)


def _box(numbers: tuple[float, ...]) -> Box:
    y0, x0, y1, x1 = (round(number) for number in numbers)
    if y0 >= y1 or x0 >= x1:
        raise CallError(
            f"--box {y0},{x0},{y1},{x1} is empty: give Y0,X0,Y1,X1 with Y0 < Y1 and X0 < X1"
        )
    return Box(y0, x0, y1, x1)


def check_taken(engine: Engine, choice: ClickChoice) -> None:
    """Raise `CallError` where there are clicks and the engine's tracker takes masks only."""
    if not choice.options or _takes_clicks(engine):
        return
    others = [name for name in engine_names() if _takes_clicks_by_name(name)]
    raise CallError(
        f"{choice.options[0]}: the tracker {engine.tracker!r} of the engine {engine.name!r} takes "
        f"masks only: give --query, or an --engine whose tracker takes clicks ({', '.join(others)})"
    )


def _takes_clicks(engine: Engine) -> bool:
    return bool(getattr(stage_type(StageKind.TRACKER, engine.tracker), "takes_clicks", False))


def _takes_clicks_by_name(name: str) -> bool:
    try:
        return _takes_clicks(find_engine(name))
    except CallError:  # another package's, half installed
        return False
