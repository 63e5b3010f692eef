"""The file of ``--json`` never replaces what a command was given."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_vss.bundle import load_bundle
from edge_vss.cli import main


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy.bundle"))


@pytest.mark.parametrize("form", ["{0} {1}", "{0}={1}"])
def test_json_over_a_file_that_was_named_is_refused(
    form: str, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "drive.json"
    source.write_text("not a video")
    arguments = ["inspect", str(bundle), *form.format("--json", bundle / "manifest.json").split()]
    assert main(arguments) == 3
    assert main(["run", str(bundle), str(source), *form.format("--json", source).split()]) == 3
    err = capsys.readouterr().err
    assert err.count("\n") == 2 and err.count("--json wants another file") == 2
    assert source.read_text() == "not a video"
    load_bundle(bundle).check_files()


def test_json_beside_what_was_named_is_written(bundle: Path, tmp_path: Path) -> None:
    assert main(["inspect", str(bundle), "--json", str(tmp_path / "found.json")]) == 0
    assert (tmp_path / "found.json").is_file()
    assert main(["inspect", str(bundle), "--json", str(tmp_path / "found.json")]) == 0


def test_label_maps_do_not_go_into_the_bundle(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(bundle), "street:[frames=2,size=64x96]", "--output", str(bundle)]) == 3
    assert "lies inside the bundle" in capsys.readouterr().err
    load_bundle(bundle).check_files()
