"""The review of a clip: its way, and its file."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_amodal.annotation.review import (
    ClipReview,
    ReviewStatus,
    Verdict,
    begun,
    handed_in,
    judged,
    read_review,
    review_file,
    with_time,
    write_review,
)
from napari_amodal.errors import CallError, InputError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
counts = st.integers(0, 10**6)
reviews = st.builds(
    ClipReview,
    st.sampled_from(ReviewStatus),
    texts,
    texts,
    counts,
    counts,
    st.dictionaries(texts, st.floats(0, 1e6)),
    st.lists(st.builds(Verdict, texts, texts, st.booleans(), texts), max_size=3).map(tuple),
)


@given(reviews)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, review: ClipReview
) -> None:
    folder = tmp_path_factory.mktemp("data")
    write_review(folder, "clip", review)
    assert read_review(folder, "clip") == review
    assert [path.name for path in (folder / "review").iterdir()] == ["clip.json"]


def test_the_way_of_a_clip(tmp_path: Path) -> None:
    review = read_review(tmp_path, "clip")
    assert review.status is ReviewStatus.TO_DO
    review = with_time(with_time(begun(review, "Ada"), "Ada", 60), "Ada", 30)
    with pytest.raises(CallError, match="handed in for review first"):
        judged(review, "Bob", accepted=True)
    review = handed_in(review)
    with pytest.raises(CallError, match="another person"):
        judged(review, "Ada", accepted=True)
    with pytest.raises(CallError, match="say why"):
        judged(review, "Bob", accepted=False, reason=" ")
    back = judged(with_time(review, "Bob", 10), "Bob", accepted=False, reason="frame 7 leaks")
    assert (back.status, back.total_seconds) == (ReviewStatus.IN_WORK, 100)
    done = judged(handed_in(back), "Bob", accepted=True)
    assert done.status is ReviewStatus.DONE
    assert [verdict.accepted for verdict in done.verdicts] == [False, True]
    assert done.verdicts[0].reason == "frame 7 leaks"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_what_two_people_did_merges_as_text(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        name = ("-c", "user.name=x", "-c", "user.email=x@x")
        subprocess.run(["git", *name, *words], cwd=tmp_path, check=True, capture_output=True)

    first = begun(ClipReview(notes="a\nb\nc\nd\ne"), "Ada")
    git("init", "-b", "main")
    write_review(tmp_path, "one", first)
    git("add", ".")
    git("commit", "-m", "begin")
    git("switch", "-c", "other")
    write_review(tmp_path, "one", replace(first, frames_corrected=12))
    write_review(tmp_path, "two", begun(ClipReview(), "Bob"))
    git("add", ".")
    git("commit", "-m", "other")
    git("switch", "main")
    write_review(tmp_path, "one", handed_in(first))
    git("commit", "-am", "mine")
    git("merge", "other")
    merged = read_review(tmp_path, "one")
    assert (merged.status, merged.frames_corrected) == (ReviewStatus.TO_REVIEW, 12)
    assert read_review(tmp_path, "two").annotator == "Bob"


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ('"to do"', '"lost"', "one of to do"),
        ('"seconds": {}', '"seconds": 3', '"seconds" is not an object'),
        ('{\n "format"', '<<<<<<< HEAD\n{\n "format"', "is not JSON"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, was: str, becomes: str, told: str) -> None:
    write_review(tmp_path, "clip", ClipReview(seconds={}))
    path = review_file(tmp_path, "clip")
    path.write_text(path.read_text().replace(was, becomes))
    with pytest.raises(InputError, match=told):
        read_review(tmp_path, "clip")
