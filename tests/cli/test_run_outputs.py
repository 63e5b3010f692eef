"""``run`` never overwrites what it reads, and says "written" only of what was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from graphs import chain_graph
from runtime.plain_bundles import write_plain_bundle

from edge_vss.cli import main
from edge_vss.schedule import Schedule


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(write_plain_bundle(tmp_path / "b", chain_graph(), [Schedule(name="full")]).path)


@pytest.fixture
def video(bundle: str, tmp_path: Path) -> Path:
    path = tmp_path / "in.mp4"
    street = "street:[frames=4,size=64x96]"
    assert main(["run", bundle, street, "--as-fast-as-possible", "--output", str(path)]) == 0
    return path


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(arguments) == 3
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


def test_an_output_that_is_the_source_is_refused(
    bundle: str, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = video.read_bytes()
    link = tmp_path / "link.mp4"
    link.symlink_to(video)
    for target in (str(video), str(link), str(tmp_path / "." / "in.mp4")):
        assert "is the source itself" in refused(["run", bundle, str(video), "--output", target], capsys)
    assert video.read_bytes() == before


def test_label_maps_do_not_go_among_the_pictures_of_the_source(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    assert main(["run", bundle, "street:[frames=3,size=64x96]", "--as-fast-as-possible", "--output", str(folder)]) == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for target in (str(folder), str(folder / "%03d.png"), str(folder / "*.png")):
        assert "among the pictures" in refused(["run", bundle, str(folder), "--output", target], capsys)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_outputs_inside_the_bundle_or_given_twice_are_refused(
    bundle: str, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out.mp4")
    assert "inside the bundle" in refused(["run", bundle, str(video), "--output", bundle], capsys)
    assert "inside the bundle" in refused(["run", bundle, str(video), "--output", f"{bundle}/x.mp4"], capsys)
    assert "twice" in refused(["run", bundle, str(video), "--output", out, "--output", out], capsys)
    assert main(["run", bundle, str(video), "--output", out, "--json", out]) == 2
    assert "SOURCE is empty" in refused(["run", bundle, ""], capsys)
    assert main(["run", bundle, str(video), "--threads", "100000"]) == 2


def test_a_place_for_json_is_checked_before_the_work(
    bundle: str, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in (tmp_path, tmp_path / "nodir" / "x.json"):
        assert "--json" in refused(["run", bundle, str(video), "--json", str(target)], capsys)


def test_a_run_that_fails_in_mid_stream_says_one_line_and_keeps_the_old_output(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "out.mp4"
    assert main(["run", bundle, "street:[frames=3,size=64x96]", "--as-fast-as-possible", "--output", str(folder)]) == 0
    (folder / "000001.png").write_bytes(b"no picture")
    out.write_bytes(b"earlier")
    refused(["run", bundle, str(folder), "--as-fast-as-possible", "--output", str(out)], capsys)
    assert out.read_bytes() == b"earlier"


def test_label_maps_of_an_earlier_run_are_neither_mixed_nor_lost(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, fast = tmp_path / "labels", "--as-fast-as-possible"
    assert main(["run", bundle, "street:[frames=3,size=64x96]", fast, "--output", str(folder)]) == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for target in (folder, folder / "*.png", folder / "%d.png"):
        said = refused(["run", bundle, "street:[frames=2,size=64x96]", fast, "--output", str(target)], capsys)
        assert "3 label maps" in said and "000000.png" in said
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert main(["run", bundle, "street:[frames=2,size=64x96]", fast, "--output", str(folder / "b-*.png")]) == 0
    assert len(list(folder.iterdir())) == 5


def test_of_two_runs_into_one_folder_the_later_one_adds_nothing(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_vss import labelling

    folder, street = tmp_path / "labels", "street:[frames=3,size=64x96]"
    words = ["run", bundle, street, "--as-fast-as-possible", "--output", str(folder)]
    label, inner = labelling.label_frames, []

    def meanwhile(*given: Any, **options: Any) -> None:
        monkeypatch.undo()
        inner.append(main([*words[:2], street.replace("frames=3", "frames=2"), *words[3:]]))
        capsys.readouterr()
        label(*given, **options)

    monkeypatch.setattr(labelling, "label_frames", meanwhile)
    assert "2 label maps already" in refused(words, capsys) and inner == [0]
    assert sorted(path.name for path in folder.iterdir()) == ["000000.png", "000001.png"]


def test_a_run_that_waits_tells_both_rates(bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target, street = tmp_path / "run.json", "street:[frames=6,size=64x96,fps=20]"
    assert main(["run", bundle, street, "--json", str(target)]) == 0
    found = json.loads(target.read_text())
    assert found["fps"] < 25 and found["fps_without_waiting"] > 1.5 * found["fps"]
    assert "without waiting" in capsys.readouterr().out
    assert main(["run", bundle, street, "--as-fast-as-possible", "--json", str(target)]) == 0
    found = json.loads(target.read_text())
    assert found["fps_without_waiting"] == found["fps"]
    assert "waiting" not in capsys.readouterr().out
