"""Options whose values are wrong: 2 where nothing could take them, 3 where it is this bundle, 4 where this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from verbs import Cli, assert_one_line, change_manifest

STREET = "street:[size=64x96]"


def test_an_unknown_schedule_names_the_known_ones(cli: Cli, tiny_bundle: Path) -> None:
    for verb in (["run", tiny_bundle, STREET], ["eval", tiny_bundle, "--data", STREET]):
        assert_one_line(cli(*verb, "--schedule", "sometimes"), 3, "sometimes", "full")


def test_an_unknown_backend_is_no_bad_bundle(cli: Cli, tiny_bundle: Path) -> None:
    for verb in (["run", tiny_bundle, STREET, "--frames", 1], ["eval", tiny_bundle, "--data", STREET]):
        assert_one_line(cli(*verb, "--backend", "tensort"), 2, "tensort", "onnxruntime")
        assert_one_line(cli(*verb, "--precision", "fp12"), 2, "fp12", "int8")


def test_a_variant_that_the_bundle_lacks_is_answered_with_those_that_it_has(cli: Cli, tiny_bundle: Path) -> None:
    for verb in (["run", tiny_bundle, STREET, "--frames", 1], ["eval", tiny_bundle, "--data", STREET]):
        assert_one_line(cli(*verb, "--backend", "plain"), 3, "'plain'", "it has: onnxruntime fp32")
        assert_one_line(cli(*verb, "--precision", "int8"), 3, "'int8'", "it has: onnxruntime fp32")


def test_a_variant_that_this_machine_cannot_run_is_a_device_failure(cli: Cli, bundle: Path) -> None:
    change_manifest(bundle, lambda manifest: manifest["variants"][0].update(backend="outlandish"))
    done = cli("run", bundle, STREET, "--frames", 1, "--backend", "outlandish")
    assert_one_line(done, 4, "outlandish")


def test_a_clock_rate_that_is_none_is_wrong_usage_everywhere(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    for rate in ("0", "1.5", "nan"):
        assert_one_line(cli("calibrate", bundle, STREET, "--clock-rate", rate), 2, "(0, 1]")
        done = cli("export", "zoo:none", "-o", tmp_path / "x.bundle", "--clock-rate", rate)
        assert_one_line(done, 2, "(0, 1]")
    done = cli("calibrate", bundle, STREET, "--clock-rate", 0.5, "--schedule", "sometimes")
    assert_one_line(done, 3, "sometimes", "adaptive")


def test_an_unknown_recipe_is_wrong_usage(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs the train extra")
    assert_one_line(cli("train", "magic", "--data", STREET, "--out", tmp_path / "out"), 2, "magic", "distill")
    assert_one_line(cli("train", "distill", "--data", STREET, "--out", tmp_path / "out"), 2, "--teacher")
    assert not (tmp_path / "out").exists()


def test_numbers_that_a_picture_cannot_be_divided_by_are_wrong_usage(cli: Cli, tmp_path: Path) -> None:
    onnx = ["export", "--onnx", "none.onnx", "--classes", "none.txt", "-o", tmp_path / "x.bundle"]
    for option in (["--std", "0,0,0"], ["--std", "1,-1,1"], ["--std", "nan"], ["--mean", "inf"], ["--mean", "1e9"]):
        assert_one_line(cli(*onnx, *option), 2, option[0])


def test_a_size_that_is_too_large_is_answered_with_the_limit(cli: Cli, tiny_checkpoint: Path, tmp_path: Path) -> None:
    done = cli("export", tiny_checkpoint, "-o", tmp_path / "x.bundle", "--size", "99999x99999")
    assert_one_line(done, 2, "16384", "16777216")
    assert "100000x100000" not in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["fly"],
        ["run", "a", "b", "--nonsense"],
        ["run", "a", "b", "--frames", "0"],
        ["data", "generate", "x", "--size", "wide"],
        ["export", "-o", "x"],
        ["calibrate", "a", "b"],
        ["calibrate", "a", "b", "--clock-rate", "2"],
    ],
    ids=" ".join,
)
def test_wrong_usage_points_at_the_help(cli: Cli, arguments: list[str]) -> None:
    assert_one_line(cli(*arguments), 2, "--help")


@pytest.mark.parametrize("option", ["--init", "--teacher", "--config"])
def test_an_empty_path_is_not_taken_for_none(cli: Cli, tmp_path: Path, option: str) -> None:
    done = cli("train", "supervised", "--data", "street:", "--out", tmp_path / "out", option, "")
    assert_one_line(done, 2, f"{option} is empty")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("code", "said", "arguments"),
    [
        (3, "BUNDLE is empty", ["run", "", "test:"]),
        (3, "CHECKPOINT is empty", ["export", "", "-o", "x"]),
        (3, "OUT is empty", ["data", "generate", ""]),
        (2, "--segnet is empty", ["eval", "{bundle}", "--data", "street:", "--segnet="]),
        (2, "--schedule is empty", ["run", "{bundle}", "test:", "--schedule", ""]),
        (2, "--preview is empty", ["run", "{bundle}", "test:", "--preview="]),
    ],
)
def test_no_value_may_be_empty(cli: Cli, tiny_bundle: Path, code: int, said: str, arguments: list[str]) -> None:
    assert_one_line(cli(*(word.format(bundle=tiny_bundle) for word in arguments)), code, said)


@pytest.mark.parametrize("words", [["--out", ""], ["--out="], ["-o", ""]])
def test_an_empty_output_is_not_the_current_folder(cli: Cli, tiny_checkpoint: Path, words: list[str]) -> None:
    assert_one_line(cli("export", tiny_checkpoint, *words), 2, "is empty", "edge-vss export --help")
