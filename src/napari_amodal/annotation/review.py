"""The review of a folder of clips: status, notes, time and verdicts, one small file a clip.

A file holds one JSON object and is kept in ``review/`` beside the clips, so that the work of
several people merges as text: other clips are other files, and in a file each key has a line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from napari_amodal.annotation.durable_files import replace_file
from napari_amodal.annotation.json_fields import Fields
from napari_amodal.errors import CallError, InputError
from napari_amodal.formats.annos import read_json_object
from napari_amodal.formats.images import shown

REVIEW = "review"
FORMAT, FORMAT_VERSION = "napari-amodal-review", 1


class ReviewStatus(StrEnum):
    """How far a clip is."""

    TO_DO = "to do"
    IN_WORK = "in work"
    TO_REVIEW = "to review"
    DONE = "done"


@dataclass(frozen=True)
class Verdict:
    """What somebody said of a finished clip.

    Attributes
    ----------
    by, at : str
        Who, and when (UTC, ISO 8601).
    accepted : bool
    reason : str
        Why it was sent back; may be empty where it was accepted.
    """

    by: str
    at: str
    accepted: bool
    reason: str


@dataclass(frozen=True)
class ClipReview:
    """The review of one clip.

    Attributes
    ----------
    status : ReviewStatus
    annotator : str
        Who annotates it; empty while nobody does.
    notes : str
    objects, frames_corrected : int
        Objects, and frames with a mask by hand over all of them.
    seconds : mapping of str to float
        Time spent on it by person.
    verdicts : tuple of Verdict
        Oldest first.
    """

    status: ReviewStatus = ReviewStatus.TO_DO
    annotator: str = ""
    notes: str = ""
    objects: int = 0
    frames_corrected: int = 0
    seconds: Mapping[str, float] | None = None
    verdicts: tuple[Verdict, ...] = ()

    @property
    def total_seconds(self) -> float:
        """Time spent on it by all."""
        return sum((self.seconds or {}).values())


def begun(review: ClipReview, by: str) -> ClipReview:
    """The review once somebody takes the clip up."""
    return replace(review, status=ReviewStatus.IN_WORK, annotator=by)


def with_time(review: ClipReview, by: str, seconds: float) -> ClipReview:
    """The review with more time spent by a person."""
    spent = dict(review.seconds or {})
    spent[by] = round(spent.get(by, 0.0) + seconds, 1)
    return replace(review, seconds=dict(sorted(spent.items())))


def handed_in(review: ClipReview) -> ClipReview:
    """The review once the annotator is through."""
    return replace(review, status=ReviewStatus.TO_REVIEW)


def judged(review: ClipReview, by: str, *, accepted: bool, reason: str = "") -> ClipReview:
    """The review after a second pass: done, or sent back with a reason.

    Raises
    ------
    CallError
        The clip is not to be reviewed, the annotator judges the own work, or a clip is sent back
        without a reason.
    """
    if review.status is not ReviewStatus.TO_REVIEW:
        raise CallError(f"the clip is {review.status}: it has to be handed in for review first")
    if by == review.annotator:
        raise CallError(f"{by} annotated this clip: another person has to review it")
    if not accepted and not reason.strip():
        raise CallError("say why the clip is sent back, so that the annotator knows what to do")
    verdict = Verdict(by, datetime.now(UTC).isoformat(timespec="seconds"), accepted, reason.strip())
    status = ReviewStatus.DONE if accepted else ReviewStatus.IN_WORK
    return replace(review, status=status, verdicts=(*review.verdicts, verdict))


def review_file(data: Path, clip: str) -> Path:
    """Where the review of a clip lies in a folder of clips."""
    return data / REVIEW / f"{clip}.json"


def read_review(data: Path, clip: str) -> ClipReview:
    """Read the review of a clip; a new one where there is none yet.

    Raises
    ------
    InputError
        The file is broken, or holds the marks of a merge that failed; the message says where.
    """
    path = review_file(data, clip)
    if not path.exists():
        return ClipReview()
    fields = Fields(read_json_object(path), shown(path))
    if fields.text("format") != FORMAT or fields.whole("format_version") > FORMAT_VERSION:
        raise InputError(f"{shown(path)} is no review, or of a newer napari-amodal")
    status = fields.text("status")
    if status not in set(ReviewStatus):
        fields.fault("status", f"one of {', '.join(ReviewStatus)}")
    spent = fields.inner("seconds")
    return ClipReview(
        ReviewStatus(status),
        fields.text("annotator"),
        "\n".join(fields.texts("notes")),
        fields.whole("objects"),
        fields.whole("frames_corrected"),
        {person: spent.number(person) for person in spent.data},
        tuple(
            Verdict(own.text("by"), own.text("at"), own.flag("accepted"), own.text("reason"))
            for own in fields.objects("verdicts")
        ),
    )


def write_review(data: Path, clip: str, review: ClipReview) -> None:
    """Write the review of a clip in one step.

    Raises
    ------
    InputError
        The system refused; the old file stands.
    """
    path = review_file(data, clip)
    text = json.dumps(_record(review), indent=1, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(exist_ok=True)
        replace_file(path, text.encode())
    except OSError as error:
        raise InputError(f"{path} could not be written: {error.strerror or error}") from error


def _record(review: ClipReview) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "status": str(review.status),
        "annotator": review.annotator,
        "notes": review.notes.split("\n"),  # a line each, for merging
        "objects": review.objects,
        "frames_corrected": review.frames_corrected,
        "seconds": dict(review.seconds or {}),
        "verdicts": [
            {"by": own.by, "at": own.at, "accepted": own.accepted, "reason": own.reason}
            for own in review.verdicts
        ],
    }
