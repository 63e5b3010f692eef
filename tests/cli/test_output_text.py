"""What verbs print: tables that end quietly, records as tables, progress as lines, help that tells the truth."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from verbs import Cli

from edge_vss.cli import common

PROGRAM = [sys.executable, "-c", "import sys; from edge_vss.cli import main; sys.exit(main())"]


def closed_early(arguments: list[str]) -> tuple[int, str]:
    """Exit code and stderr of a verb whose stdout nobody reads."""
    process = subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    return process.wait(timeout=60), err


def test_a_reader_who_leaves_ends_nothing(tiny_bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "inspect.json"
    assert closed_early(["inspect", str(tiny_bundle), "--json", str(target)]) == (0, "")
    assert json.loads(target.read_text())["stages"], "the file is written all the same"
    assert closed_early(["--help"]) == (0, "")
    code, err = closed_early(["inspect", str(tiny_bundle), "--json", "-"])
    assert code == 0 and "Traceback" not in err


def test_inspect_shows_records_as_tables(cli: Cli, tiny_bundle: Path) -> None:
    done = cli("inspect", tiny_bundle)
    assert done.code == 0
    calibration, _, provenance = done.out.partition("\nCalibration\n")[2].partition("\nProvenance\n")
    assert "clock_rate" in calibration and "│ 0.5" in calibration
    assert "checkpoint" in provenance and "written_by" in provenance
    assert '{"' not in done.out


def test_records_inside_records_become_rows_of_their_own() -> None:
    from edge_vss.cli.inspect import _flat

    record = {
        "training": '{"seed":1,"size":[2,3],"teacher":null,"loss":{"aux":0.4}}',
        "network": "clockwork",
        "odd": "{",
    }
    assert _flat(record) == [
        ("network", "clockwork"),
        ("odd", "{"),
        ("training", "seed 1, size 2 3"),
        ("training.loss", "aux 0.4"),
    ]


def test_progress_without_a_terminal_is_a_line_per_step_and_a_sign_of_life(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(common.time, "monotonic", lambda: now[0])
    with common.share_bar("export") as progress:
        for second, doing, share in (
            (0, "exporting a", 0.0),
            (1, "exporting b", 0.1),
            (3, "setting clocks", 0.3),
            (4, "golden sequences", 0.6),
            (30, "setting clocks", 0.6),
            (70, "setting clocks", 0.7),
        ):
            now[0] = 100.0 + second
            progress(doing, share)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["export:  30%  setting clocks", "export:  70%  setting clocks"]


def test_train_says_its_epochs_on_stderr(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="training needs the train extra")
    monkeypatch.setattr(common, "LINE_EVERY_S", 0.0)
    config = tmp_path / "small.toml"
    config.write_text("height = 32\nwidth = 48\ncrop_height = 32\ncrop_width = 48\nbatch = 2\nepochs = 3\n")
    data = "street:[size=32x48,clips=1,frames=4]"
    done = cli("train", "supervised", "--data", data, "--out", tmp_path / "out", "--config", config, "--json", "-")
    assert done.code == 0, done.err
    assert done.json["checkpoint"]
    assert "training:  50%  epoch 2 of 3" in done.err and "training:  83%  epoch 3 of 3" in done.err
    assert "training: 100%  epoch 3 of 3" in done.err


def test_help_names_what_there_is(cli: Cli) -> None:
    for verb in ("run", "eval"):
        text = " ".join(cli(verb, "--help").out.replace("│", " ").split())
        assert "one that the bundle holds" in text
    for verb, words in (
        ("run", "street:["), ("calibrate", "street:["), ("export", "street:["),
        ("eval", "camvid:PATH[:SPLIT]"), ("train", "camvid:PATH[:SPLIT]"),
    ):  # fmt: skip
        text = "".join(cli(verb, "--help").out.replace("│", " ").split())
        assert words in text and "docs/sources-and-data.md" in text, verb
