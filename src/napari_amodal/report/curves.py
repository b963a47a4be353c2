"""IoU along a clip, over its occlusion levels, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from napari_amodal.levels import FrameOcclusion, OcclusionLevel

WIDTH, HEIGHT = 620, 168
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 8, 30
_STRIP = 7

#: Classes of the style sheet, so that light and dark have their own colours.
_LEVEL_CLASS = {
    OcclusionLevel.NO_OCCLUSION: "free",
    OcclusionLevel.SLIGHT_OCCLUSION: "slight",
    OcclusionLevel.SEVERE_OCCLUSION: "severe",
    OcclusionLevel.NONE: "out",
}


@dataclass(frozen=True)
class Curve:
    """IoU of each frame of one run: the mean, and its hypotheses where there are several."""

    mean: Sequence[float]
    hypotheses: Sequence[Sequence[float]] = ()


def curves_svg(
    curves: Sequence[Curve], occlusion: Sequence[FrameOcclusion], marked: Sequence[int] = ()
) -> str:
    """Curves of one or more runs over the levels of the clip, as an ``<svg>`` element.

    Parameters
    ----------
    curves : sequence of Curve
        Of as many frames as `occlusion`; drawn in the classes ``run-0``, ``run-1``, ...
    occlusion : sequence of FrameOcclusion
    marked : sequence of int
        Frames of which there is a picture.
    """
    scale = _Scale(len(occlusion))
    parts = [
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="IoU of each frame">',
        *_bands(occlusion, scale),
        *_grid(scale),
        *_hidden_share(occlusion, scale),
    ]
    for at, curve in enumerate(curves):
        if len(curve.hypotheses) > 1:
            for values in curve.hypotheses:
                parts.append(_line(values, scale, f"thin run-{at}"))
        parts.append(_line(curve.mean, scale, f"line run-{at}"))
    for frame in marked:
        x, y = scale.x(frame), scale.y(min(curve.mean[frame] for curve in curves))
        parts.append(f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True)
class _Scale:
    frames: int

    def x(self, frame: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (frame + 0.5) / self.frames

    def y(self, value: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - value)


def _bands(occlusion: Sequence[FrameOcclusion], scale: _Scale) -> list[str]:
    """A faint band behind, and a strong strip below, for each run of frames of one level."""
    parts = []
    at = 0
    for level, group in groupby(found.level for found in occlusion):
        count = len(list(group))
        left, right = scale.x(at - 0.5), scale.x(at + count - 0.5)
        at += count
        place = f'x="{left:.1f}" width="{right - left:.1f}"'
        kind = _LEVEL_CLASS[level]
        title = f"<title>{level.name}, frames {at - count} to {at - 1}</title>"
        bottom = HEIGHT - _BOTTOM
        parts.append(f'<rect class="band {kind}" {place} y="{_TOP}" height="{bottom - _TOP}"/>')
        parts.append(
            f'<rect class="strip {kind}" {place} y="{bottom + 2}" height="{_STRIP}">{title}</rect>'
        )
    return parts


def _grid(scale: _Scale) -> list[str]:
    parts = []
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = scale.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        if value in (0.0, 0.5, 1.0):
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="right">{value:g}</text>')
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if scale.frames / s <= 8)
    for frame in range(0, scale.frames, step):
        x = scale.x(frame)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 6}" class="middle">{frame}</text>')
    return parts


def _hidden_share(occlusion: Sequence[FrameOcclusion], scale: _Scale) -> list[str]:
    """The hidden share as an area from below."""
    floor = scale.y(0)
    points = [f"{scale.x(0):.1f},{floor:.1f}"]
    points += [
        f"{scale.x(at):.1f},{scale.y(min(found.amount or 0.0, 1.0)):.1f}"
        for at, found in enumerate(occlusion)
    ]
    points.append(f"{scale.x(len(occlusion) - 1):.1f},{floor:.1f}")
    return [f'<polygon class="hidden" points="{" ".join(points)}"/>']


def _line(values: Sequence[float], scale: _Scale, kind: str) -> str:
    points = " ".join(f"{scale.x(at):.1f},{scale.y(value):.1f}" for at, value in enumerate(values))
    return f'<polyline class="{kind}" points="{points}"/>'
