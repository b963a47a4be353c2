"""annos.json, ours, broken and hostile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_amodal.errors import InputError
from napari_amodal.formats import annos
from napari_amodal.formats.annos import annos_json, read_annos
from napari_amodal.levels import FrameOcclusion, OcclusionLevel

occlusions = st.builds(
    FrameOcclusion,
    st.sampled_from(OcclusionLevel),
    st.none() | st.floats(0, 1e9),
)


@given(st.lists(occlusions, max_size=8))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, found: list[FrameOcclusion]) -> None:
    path = tmp_path / "annos.json"
    path.write_text(annos_json(tuple(found)))
    assert read_annos(path, len(found)) == tuple(found)


GOOD = '{"level": "NO_OCCLUSION", "amount": 0.0}'


def entry(text: str) -> str:
    return f'{{"occlusion": [{GOOD}, {text}]}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("\x80\x81", "is not JSON"),
        ("[]", "holds no JSON object"),
        ("3", "holds no JSON object"),
        ("{}", 'has no list "occlusion"'),
        ('{"occlusion": {"0": 1}}', 'has no list "occlusion"'),
        ('{"occlusion": []}', "has 0 entries, the clip has 2 frames"),
        (f'{{"occlusion": [{GOOD}]}}', "has 1 entries, the clip has 2 frames"),
        (f'{{"occlusion": [{GOOD}, {GOOD}, {GOOD}]}}', "has 3 entries, the clip has 2"),
        (entry("3"), "entry 1 is no object"),
        (entry("{}"), "entry 1 has the level null"),
        (entry('{"level": "MUCH", "amount": 0}'), 'entry 1 has the level "MUCH"; levels are'),
        (entry('{"level": ["NONE"], "amount": 0}'), "entry 1 has the level"),
        (entry('{"level": "__class__", "amount": 0}'), "entry 1 has the level"),
        (entry('{"level": "NONE", "amount": NaN}'), "NaN is no number of JSON"),
        (entry('{"level": "NONE", "amount": -Infinity}'), "-Infinity is no number"),
        (entry('{"level": "NONE", "amount": 1e999}'), "1e999 is too large a number"),
        (entry('{"level": "NONE", "amount": -0.5}'), "entry 1 has the amount -0.5"),
        (entry('{"level": "NONE", "amount": true}'), "entry 1 has the amount true"),
        (entry('{"level": "NONE", "amount": "0.5"}'), "entry 1 has the amount"),
        (entry('{"level": "NONE", "amount": [0.5]}'), "entry 1 has the amount"),
        (entry('{"level": "NONE", "amount": 1' + "0" * 400 + "}"), "entry 1 has the amount"),
        (entry('{"level": "NONE", "amount": 1' + "0" * 9000 + "}"), "is not JSON"),
        ('{"occlusion":' + "[" * 200_000, "nested too deeply"),
        ('{"occlusion":' * 200_000, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "car" / "annos.json"
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=rf"car/annos\.json.*{message}"):
        read_annos(path, 2)


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "annos.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: a terabyte that takes no room
    with pytest.raises(InputError, match="is larger than 64 MB"):
        read_annos(path, 2)
    assert annos._LARGEST == 64 << 20


def test_a_pipe_is_not_waited_for_and_a_device_not_read(tmp_path: Path) -> None:
    pipe, endless = tmp_path / "pipe" / "annos.json", tmp_path / "endless" / "annos.json"
    for path in (pipe, endless):
        path.parent.mkdir()
    os.mkfifo(pipe)
    endless.symlink_to("/dev/zero")
    for path in (pipe, endless):
        with pytest.raises(InputError, match="is no regular file"):
            read_annos(path, 2)
