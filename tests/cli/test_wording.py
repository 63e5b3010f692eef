"""What people read when they are new: which option got what, where help is, what happens without a terminal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from verbs import Cli, assert_one_line

from edge_vss.cli import common

STREET = "street:[size=64x96,frames=4]"


@pytest.mark.parametrize("verb", ["run", "profile"])
def test_an_empty_pipeline_text_is_no_pipeline(cli: Cli, tiny_bundle: Path, tmp_path: Path, verb: str) -> None:
    more = ["-o", tmp_path / "out"] if verb == "profile" else []
    for text in ("", "  "):
        assert_one_line(cli(verb, tiny_bundle, "test:", "--gst-pipeline", text, *more), 2, "--gst-pipeline is empty")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--deadline-ms", "nan"], "--deadline-ms wants a number, got 'nan'"),
        (["--camera-fps=nan"], "--camera-fps wants a number, got 'nan'"),
        (["--deadline-ms=-1"], "--deadline-ms -1: input should be greater than or equal to 0"),
        (["--threads", "1000"], "--threads 1000: input should be less than or equal to 256"),
        (["--flip", "8"], "--flip 8: input should be less than or equal to 7"),
    ],
)
def test_a_number_beyond_its_limits_is_told_with_them(
    cli: Cli, tiny_bundle: Path, arguments: list[str], said: str
) -> None:
    assert_one_line(cli("run", tiny_bundle, STREET, *arguments), 2, said, "see: edge-vss run --help")


def test_wrong_values_name_the_help_of_their_verb(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    assert_one_line(cli("run", tiny_bundle, STREET, "--backend", "foo"), 2, "see: edge-vss run --help")
    assert_one_line(cli("eval", tiny_bundle, "--data", STREET, "--backend", "foo"), 2, "see: edge-vss eval --help")
    assert_one_line(cli("train", "distill", "--data", STREET, "--out", tmp_path / "o", "--seed", -1), 2, "--seed")


@pytest.mark.parametrize(("output", "said"), [("", "--output is empty"), (" ", "empty"), ("x.mp4/", "like a folder")])
def test_outputs_that_can_be_none_are_wrong_usage(
    cli: Cli, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_line(cli("run", tiny_bundle, STREET, "--output", output), 2, said)
    assert not list(tmp_path.iterdir())


def test_texts_about_what_does_not_parse_say_what_is_wanted(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    assert_one_line(cli("run", tiny_bundle, "street:[frames=nan]"), 3, "frames wants a whole number, got 'nan'")
    assert_one_line(cli("run", tiny_bundle, "street:[size=wide]"), 3, "size wants HEIGHTxWIDTH")
    assert_one_line(cli("run", tiny_bundle, "street:[fps=often]"), 3, "fps wants a number")
    pytest.importorskip("torch", reason="training needs the train extra")
    for name, content in {"text.toml": b"not = = toml", "bytes.toml": b"\xff\xfe\0"}.items():
        (tmp_path / name).write_bytes(content)
        done = cli("train", "supervised", "--data", STREET, "--out", tmp_path / "o", "--config", tmp_path / name)
        assert_one_line(done, 3, name, "is no TOML")


def test_resuming_where_there_is_nothing_says_that_it_starts_afresh(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs the train extra")
    (tmp_path / "t.toml").write_text("crop = [32, 32]\n")
    done = cli("train", "supervised", "--data", "street:[size=64x96,frames=4,clips=1]", "--out", tmp_path / "o",
               "--epochs", 1, "--resume")  # fmt: skip
    assert done.code == 0, done.err
    assert "no resume point; training starts afresh" in done.err
    again = cli("train", "supervised", "--data", "street:[size=64x96,frames=4,clips=1]", "--out", tmp_path / "o",
                "--epochs", 1, "--resume")  # fmt: skip
    assert again.code == 0 and "afresh" not in again.err


def test_the_group_of_data_shows_an_example(cli: Cli) -> None:
    done = cli("data", "--help")
    assert done.code == 0 and "Example" in done.out and "edge-vss data generate" in done.out and "--json" in done.out


def test_a_run_without_a_terminal_gives_a_sign_of_life(
    cli: Cli, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "FIRST_SIGN_S", 0.0)
    done = cli("run", tiny_bundle, "street:[size=64x96]", "--frames", 6, "--as-fast-as-possible", "--json", "-")
    signs = [line for line in done.err.splitlines() if line.startswith("run: ")]
    assert len(signs) == 1 and "1 frames" in signs[0] and "per second" in signs[0], "then one a minute"
    assert json.loads(done.out)["frames"] == 6


def test_an_interrupt_while_modules_are_loaded_leaves_no_traceback() -> None:
    program = """
        import os, signal, sys
        class Interrupter:
            def find_spec(self, name, path=None, target=None):
                if name == "edge_vss.cli.inspect":
                    sys.meta_path.remove(self)
                    os.kill(os.getpid(), signal.SIGINT)
        sys.meta_path.insert(0, Interrupter())
        from edge_vss.cli import main
        sys.exit(main(["--version"]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 128 + signal.SIGINT and done.stderr == "edge-vss: interrupted\n"


def test_an_unknown_schedule_is_refused_beside_all(cli: Cli, tiny_bundle: Path) -> None:
    done = cli("eval", tiny_bundle, "--data", STREET, "--schedule", "all", "--schedule", "nope")
    assert_one_line(done, 3, "nope")
