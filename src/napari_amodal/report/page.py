"""The page of a report: everything in one file, nothing from a network."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path

from napari_amodal import __version__
from napari_amodal.evaluation import ClipScores, Spread, set_scores
from napari_amodal.levels import FrameOcclusion
from napari_amodal.report.curves import Curve, curves_svg
from napari_amodal.report.figures import FIGURES, Figure, difference, written
from napari_amodal.report.pictures import picture
from napari_amodal.report.worst import WorstFrame, worst_frames

#: Some 25 kB each, so that the report of a large set stays small enough to be sent.
PICTURES = 24


@dataclass(frozen=True)
class Run:
    """One run in a report: what it is called, and its clips' scores."""

    name: str
    clips: Mapping[str, ClipScores]


def write_report(path: Path, runs: Sequence[Run], truth: Path, pictures: int = PICTURES) -> None:
    """Write a report of one run, or of two side by side; it replaces a file that is there.

    Parameters
    ----------
    path : pathlib.Path
        The HTML file.
    runs : sequence of Run
    truth : pathlib.Path
        The folder of the true clips, as it is to be named.
    pictures : int
        The most frames that are shown as pictures.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.writelines(_page(runs, truth, pictures))
        beside.replace(path)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


def _page(runs: Sequence[Run], truth: Path, pictures: int) -> Iterator[str]:
    room = files("napari_amodal.report")
    title = " against ".join(Path(run.name).name or run.name for run in runs)
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        f"<style>{(room / 'style.css').read_text('utf-8')}</style></head><body><main>\n"
    )
    yield _head(runs, truth, title)
    yield _tiles(runs)
    shown = worst_frames([run.clips for run in runs], pictures)
    yield from _gallery(runs, shown)
    yield from _table(runs)
    yield from _clips(runs, shown)
    yield f"</main><script>{(room / 'sort.js').read_text('utf-8')}</script></body></html>\n"


def _names(runs: Sequence[Run]) -> list[str]:
    """All clips, the worst of the first run first."""

    def rank(name: str) -> tuple[bool, float, str]:
        clip = runs[0].clips.get(name)
        miou = clip.spread.mean.miou if clip else None
        return miou is None, miou or 0.0, name

    return sorted({name for run in runs for name in run.clips}, key=rank)


def _head(runs: Sequence[Run], truth: Path, title: str) -> str:
    clips = runs[0].clips
    frames = sum(len(clip.occlusion) for clip in clips.values())
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    named = " and ".join(
        f'<code class="run-name-{at}">{escape(run.name)}</code>' for at, run in enumerate(runs)
    )
    return (
        f"<h1>{escape(title)}</h1>"
        f'<p class="soft">{len(clips)} clip{"s" if len(clips) != 1 else ""}, {frames:,} frames '
        "with true amodal masks"
        f"{_hypotheses(runs)}. napari-amodal {__version__}, {when}</p>"
        f'<p class="small soft">{named} scored against <code>{escape(str(truth))}</code></p>\n'
    )


def _hypotheses(runs: Sequence[Run]) -> str:
    counts = [set_scores(run.clips).hypotheses for run in runs]
    if all(count == 1 for count in counts):
        return ""
    told = " and ".join("a varying number of" if c is None else str(c) for c in counts)
    return f", {told} hypotheses a clip (± is their standard deviation)"


def _tiles(runs: Sequence[Run]) -> str:
    spreads = _set_spreads(runs)
    told = _common_told(runs)
    tiles = [
        f'<div class="card tile"><div class="name">{figure.name}</div>'
        f'<div class="what">{figure.what}{told}</div>{_tile_values(figure, spreads)}</div>'
        for figure in FIGURES
        if any(figure.of(spread.mean) is not None for spread in spreads)
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>\n'


def _common(runs: Sequence[Run]) -> list[str]:
    """The clips that all runs have: only over these can runs be compared."""
    return [name for name in runs[0].clips if all(name in run.clips for run in runs)]


def _set_spreads(runs: Sequence[Run]) -> list[Spread]:
    """The set's figures of each run, over the clips that all of them have."""
    common = _common(runs)
    shared = [{name: run.clips[name] for name in common} if common else run.clips for run in runs]
    return [set_scores(clips).over_hypotheses for clips in shared]


def _common_told(runs: Sequence[Run]) -> str:
    """Over which clips the means are, where the runs' clips differ."""
    common = _common(runs)
    if all(len(run.clips) == len(common) for run in runs):
        return ""
    return f", over the {len(common)} clips of both runs" if common else ", over different clips"


def _tile_values(figure: Figure, spreads: Sequence[Spread]) -> str:
    lines = []
    for at, spread in enumerate(spreads):
        error = figure.of(spread.error)
        tail = "" if error is None else f'<div class="error">standard error {error:.3f}</div>'
        kind = f" run-name-{at}" if len(spreads) > 1 else ""
        lines.append(f'<div class="value{kind}">{written(figure, spread)}{tail}</div>')
    if len(spreads) == 2:
        lines.append(f"<div>{difference(figure, *spreads)}</div>")
    return "".join(lines)


def _gallery(runs: Sequence[Run], shown: Sequence[WorstFrame]) -> Iterator[str]:
    if not shown:
        return
    yield (
        '<h2>Worst frames</h2><div class="legend">'
        '<span><i style="background:var(--right)"></i>right</span>'
        '<span><i style="background:var(--missed)"></i>missed</span>'
        '<span><i style="background:var(--too-much)"></i>too much</span>'
        '<span><i class="line-key" style="background:#fff;outline:1px solid #8888"></i>'
        "true outline</span>"
        '<span><i class="line-key" style="background:rgb(40,150,255)"></i>'
        "outline of what is visible</span></div>"
    )
    yield f'<div class="frames{" pairs" if len(runs) > 1 else ""}">\n'
    for frame in shown:
        yield _figure(runs, frame)
    yield "</div>\n"


def _figure(runs: Sequence[Run], shown: WorstFrame) -> str:
    panels = []
    for at, run in enumerate(runs):
        clip = run.clips.get(shown.clip)
        if clip is None:
            continue
        worst = min(clip.hypotheses, key=lambda hypothesis: hypothesis.amodal[shown.frame])
        tag = f"IoU {worst.amodal[shown.frame]:.3f}"
        if len(clip.hypotheses) > 1:
            tag += f", hypothesis {worst.name}"
        if len(runs) > 1:
            tag = f"{chr(ord('A') + at)}: {tag}"
        source = picture(clip.truth, worst, shown.frame)
        panels.append(
            f'<div><img src="{source}" alt="frame {shown.frame} of {escape(shown.clip)}">'
            f'<span class="tag">{escape(tag)}</span></div>'
        )
    found = next(run.clips[shown.clip] for run in runs if shown.clip in run.clips)
    occlusion = found.occlusion[shown.frame]
    return (
        f'<figure class="card"><div class="row">{"".join(panels)}</div>'
        f'<figcaption><a href="#{_anchor(shown.clip)}">{escape(shown.clip)}</a>, frame '
        f'{shown.frame} <span class="soft">{_hidden(occlusion)}</span></figcaption></figure>\n'
    )


def _hidden(occlusion: FrameOcclusion) -> str:
    share = "" if occlusion.amount is None else f", {occlusion.amount:.0%} hidden"
    return f"{occlusion.level.name}{share}"


def _anchor(clip: str) -> str:
    return "clip-" + clip.encode().hex()


def _table(runs: Sequence[Run]) -> Iterator[str]:
    whole = _set_spreads(runs)
    shown = [f for f in FIGURES if any(f.of(spread.mean) is not None for spread in whole)]
    heads = "".join(f'<th data-sort="number">{figure.name}</th>' for figure in shown)
    yield (
        '<h2>Clips</h2><div class="card scroll"><table><thead><tr><th data-sort="text">clip</th>'
        f'<th data-sort="number">frames</th>{heads}</tr></thead><tbody>\n'
    )
    for name in _names(runs):
        spreads = [run.clips[name].spread if name in run.clips else None for run in runs]
        found = next(run.clips[name] for run in runs if name in run.clips)
        frames = len(found.occlusion)
        yield (
            f'<tr><td data-value="{escape(name)}"><a href="#{_anchor(name)}">{escape(name)}</a>'
            f'</td><td data-value="{frames}">{frames or "&ndash;"}</td>'
            f"{_cells(shown, spreads)}</tr>\n"
        )
    yield (
        f'</tbody><tfoot><tr class="mean"><td>mean{_common_told(runs)}</td><td></td>'
        f"{_cells(shown, whole)}</tr></tfoot>"
        "</table></div>\n"
    )


def _cells(figures: Sequence[Figure], spreads: Sequence[Spread | None]) -> str:
    cells = []
    for figure in figures:
        first = figure.of(spreads[0].mean) if spreads[0] else None
        shown = [
            f'<span class="run-name-{at}">{written(figure, spread)}</span>'
            if len(spreads) > 1
            else written(figure, spread)
            for at, spread in enumerate(spreads)
        ]
        change = difference(figure, *spreads) if len(spreads) == 2 else ""
        value = "" if first is None else f"{first:.6f}"
        parts = [*shown, change] if change else shown
        cells.append(f'<td data-value="{value}">{"&ensp;".join(parts)}</td>')
    return "".join(cells)


def _clips(runs: Sequence[Run], shown: Sequence[WorstFrame]) -> Iterator[str]:
    lines = "".join(
        f'<span><i class="line-key" style="background:var(--run-{at})"></i>'
        f"{'AB'[at] + ': ' if len(runs) > 1 else ''}{escape(run.name)}</span>"
        for at, run in enumerate(runs)
    )
    yield (
        f'<h2>IoU along each clip</h2><div class="legend">{lines}'
        '<span><i style="background:var(--free)"></i>not occluded</span>'
        '<span><i style="background:var(--slight)"></i>slight</span>'
        '<span><i style="background:var(--severe)"></i>severe</span>'
        '<span><i style="background:var(--out)"></i>leaving or gone</span>'
        '<span><i style="background:var(--soft);opacity:.35"></i>hidden share</span>'
        "<span>○ frame shown above</span></div>"
        '<div class="clips">\n'
    )
    marked = {name: [frame.frame for frame in shown if frame.clip == name] for name in _names(runs)}
    for name in _names(runs):
        yield _clip(runs, name, marked[name])
    yield "</div>\n"


def _clip(runs: Sequence[Run], name: str, marked: Sequence[int]) -> str:
    clips = [run.clips[name] for run in runs if name in run.clips]
    if not clips[0].occlusion:
        return ""
    curves = [
        Curve(clip.amodal, [hypothesis.amodal for hypothesis in clip.hypotheses]) for clip in clips
    ]
    told = " &nbsp; ".join(
        '<span class="pair">'
        + f"{figure.name} "
        + " / ".join(written(figure, clip.spread) for clip in clips)
        + "</span>"
        for figure in FIGURES
        if any(figure.of(clip.spread.mean) is not None for clip in clips)
    )
    return (
        f'<section class="card clip" id="{_anchor(name)}"><h3>{escape(name)}</h3>'
        f'<p class="small soft">{told}</p>{curves_svg(curves, clips[0].occlusion, marked)}'
        "</section>\n"
    )
