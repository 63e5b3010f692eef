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


def test_two_outputs_of_one_name_are_refused_before_either_is_there(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, data = str(tmp_path / "both.json"), "street:[frames=2,clips=1,size=64x96]"
    assert main(["rerank", str(bundle), "--data", data, "-o", out, "--proposals", "2", "--json", out]) == 3
    assert "--json wants another file" in capsys.readouterr().err and not Path(out).exists()


@pytest.mark.parametrize(
    "words",
    [
        "data label {bundle} street:[frames=1,size=64x96] -o {other}/x",
        "data generate {other}/x --clips 1 --frames 1 --size 64x96",
        "rerank {bundle} --data street:[frames=2,clips=1,size=64x96] -o {other}/x.json",
        "export zoo:clockwork-street -o {other}/x",
        "doctor --board-report {other}/x.json",
        "inspect {bundle} --json {other}/x.json",
    ],
)
def test_nothing_is_written_into_any_bundle(
    words: str, bundle: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(tiny_bundle, tmp_path / "other.bundle"))
    before = sorted(path for path in other.rglob("*"))
    assert main([word.format(bundle=bundle, other=other) for word in words.split()]) == 3
    assert f"lies inside the bundle {other}" in capsys.readouterr().err
    assert sorted(path for path in other.rglob("*")) == before


def test_a_bundle_that_holds_other_files_is_not_replaced(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "engines" / "notes.txt").write_text("mine")
    assert main(["calibrate", str(bundle), "street:[frames=4,size=64x96]", "--clock-rate", "0.5"]) == 3
    assert "holds engines/notes.txt, which is no part of the bundle" in capsys.readouterr().err
    assert (bundle / "engines" / "notes.txt").read_text() == "mine"


def test_a_re_ranker_takes_the_place_of_nothing_but_another(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["rerank", str(bundle), "--data", "street:[frames=2,clips=1,size=64x96]", "--proposals", "2", "-o"]
    video = tmp_path / "drive.mp4"
    video.write_text("a video")
    assert main([*words, str(video)]) == 3 and "no re-ranker" in capsys.readouterr().err
    assert video.read_text() == "a video"
    assert main([*words, str(tmp_path / "r.json")]) == 0 and main([*words, str(tmp_path / "r.json")]) == 0
