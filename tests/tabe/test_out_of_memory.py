"""A card whose memory is not enough: less is used, it is said, and what is done is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("diffusers", reason="the networks need napari-amodal[gpu]")

from test_completion import clip, complete, places, weights  # noqa: E402, F401

from napari_amodal.clip import Clip  # noqa: E402
from napari_amodal.errors import InputError  # noqa: E402
from napari_amodal.progress import Progress, Watch  # noqa: E402
from napari_amodal.tabe import fitted_model, generation  # noqa: E402
from napari_amodal.tabe.fit_cache import fits_folder  # noqa: E402


def too_little() -> Exception:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 ...")


def failing(
    monkeypatch: pytest.MonkeyPatch, name: str, fails: Callable[[int, dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    """Let a function of the completer run out of memory when `fails` says so; gives its calls."""
    module = fitted_model if name == "Fitting" else generation
    real = getattr(module, name)
    calls: list[dict[str, Any]] = []

    def maybe(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs)
        if fails(len(calls), kwargs):
            raise too_little()
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, maybe)
    return calls


def watched() -> tuple[list[Progress], Watch]:
    heard: list[Progress] = []
    watch = Watch(heard.append)
    watch.enter("Generating", 0, 1)
    return heard, watch


def notes(heard: list[Progress]) -> list[str]:
    return [progress.note for progress in heard if progress.note]


def test_a_fit_that_is_too_large_is_done_with_less(
    clip: Clip,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = complete(clip, memory="low")
    for file in fits_folder().iterdir():
        file.unlink()
    calls = failing(monkeypatch, "Fitting", lambda _, kwargs: not kwargs["checkpointing"])
    heard, watch = watched()
    found = complete(clip, watch=watch)
    assert [call["checkpointing"] for call in calls] == [False, True]
    (note,) = notes(heard)
    assert "2.00 GiB more were needed" in note and "going on with less" in note
    assert [h.amodal for h in found] == [h.amodal for h in expected]


def test_sampling_goes_on_where_it_was_and_the_fit_is_kept(
    clip: Clip,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = complete(clip, hypotheses=3)
    monkeypatch.setattr(fitted_model, "fit", None)  # a second fit would fail
    predictors = failing(monkeypatch, "NoisePredictor", lambda *_: False)
    videos = failing(monkeypatch, "sample", lambda n, _: n == 2)
    heard, watch = watched()
    found = complete(clip, hypotheses=3, watch=watch)
    assert [call["captured"] for call in predictors] == [True, False]
    assert len(videos) == 4
    assert len(notes(heard)) == 1
    assert len(found) == 3  # the first as it was made before, the others with other roundings
    assert any(h.amodal == e.amodal for h in found for e in expected)


def test_hypotheses_that_are_made_are_kept(
    clip: Clip,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing(monkeypatch, "sample", lambda n, _: n > 2)
    heard, watch = watched()
    found = complete(clip, hypotheses=5, watch=watch)
    assert len(found) == 2
    assert "Only 2 of 5 hypotheses" in notes(heard)[-1] and "2.00 GiB" in notes(heard)[-1]


def test_with_nothing_made_it_is_an_error_with_numbers_and_the_fit_stays(
    clip: Clip,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing(monkeypatch, "sample", lambda *_: True)
    with pytest.raises(InputError, match=r"2\.00 GiB more were needed.*fit that is done is kept"):
        complete(clip)
    assert len(list(fits_folder().glob("*.safetensors"))) == 1


def test_other_errors_are_not_taken_for_it(
    clip: Clip,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(generation, "sample", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        complete(clip)


def test_steps_are_named(clip: Clip) -> None:  # noqa: F811
    heard, watch = watched()
    complete(clip, watch=watch)
    details = list(dict.fromkeys(progress.detail for progress in heard if progress.detail))
    assert details[:3] == [
        "loading the networks",
        "fitting, step 1 of 1",
        "hypothesis 1 of 2, step 1 of 2",
    ]
    assert details[-1] == "hypothesis 2 of 2, finding its masks"
