"""The figures of a report: their names, how they are written, and how two runs differ."""

from __future__ import annotations

from dataclasses import dataclass

from napari_amodal.evaluation import Scores, Spread


@dataclass(frozen=True)
class Figure:
    """A figure by its published name, what it is over, and the attribute of `Scores`."""

    name: str
    what: str
    attribute: str

    def of(self, scores: Scores) -> float | None:
        found: float | None = getattr(scores, self.attribute)
        return found


FIGURES = (
    Figure("mIOU", "amodal masks, all frames", "miou"),
    Figure("mIOUfo", "occluded or leaving frames", "miou_fo"),
    Figure("mIOUffo", "frames with nothing visible", "miou_ffo"),
    Figure("mIOUocc", "the hidden part alone", "miou_occ"),
    Figure("J visible", "visible masks, query frames left out", "j_visible"),
)


def written(figure: Figure, spread: Spread | None) -> str:
    """A mean, with its standard deviation over hypotheses where there is one, as HTML."""
    mean = figure.of(spread.mean) if spread else None
    if spread is None or mean is None:
        return '<span class="soft">&ndash;</span>'
    deviation = figure.of(spread.deviation)
    return f"{mean:.3f}" + ("" if deviation is None else f" <small>± {deviation:.3f}</small>")


def difference(figure: Figure, first: Spread | None, second: Spread | None) -> str:
    """What the second run has more, as HTML; empty where one of them has no such figure."""
    if first is None or second is None:
        return ""
    before, after = figure.of(first.mean), figure.of(second.mean)
    if before is None or after is None:
        return ""
    change = after - before
    if abs(change) < 0.0005:
        return '<span class="soft">0.000</span>'
    kind = "better" if change > 0 else "worse"
    return f'<span class="{kind}">{"+" if change > 0 else "&minus;"}{abs(change):.3f}</span>'
