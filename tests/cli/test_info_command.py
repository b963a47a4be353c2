"""`napari-amodal info`."""

from __future__ import annotations

from pathlib import Path

from cli_calls import call, call_installed, search_path


def test_info_names_versions_engines_and_stages() -> None:
    done = call("info")
    assert done.returncode == 0
    for word in ("numpy", "processor cores", "draft", "tracker flow", "completer shape"):
        assert word in done.stdout
    assert "ready: flow + outline + shape" in done.stdout


def test_info_says_what_third_party_engines_lack(tmp_path: Path) -> None:
    """Another package's engine that needs what is not there, and one that cannot be imported."""
    package = tmp_path / "theirs-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[napari_amodal.engines]\ntheirs = theirs:ENGINE\nbroken = not_there:ENGINE\n"
        "[napari_amodal.trackers]\npatient = theirs:Patient\n"
    )
    (tmp_path / "theirs.py").write_text(
        "from napari_amodal.registry import Engine\n"
        "ENGINE = Engine('theirs', 'from elsewhere', 'patient', 'outline', 'shape')\n"
        "class Patient:\n"
        "    @classmethod\n"
        "    def missing(cls):\n"
        "        return ('weights.pt is not there: fetch it',)\n"
    )
    shown = call_installed("info", PYTHONPATH=search_path(tmp_path)).stdout
    assert "from elsewhere" in shown
    assert "weights.pt is not there: fetch it" in shown
    assert "not_there" in shown
