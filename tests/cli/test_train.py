"""Recipes and options of ``train`` that do not go together: one line, exit code 2, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from verbs import Cli, assert_one_line

pytest.importorskip("torch", reason="training needs the train extra")
STREET = "street:[size=64x96]"


@pytest.mark.parametrize(
    ("words", "toml", "message"),
    [
        (["uda"], "", "needs --target DATA"),
        (["etc", "--target", STREET], "", "uses no target; recipes that do: uda"),
        (["clockwork"], "", "needs --init CKPT"),
        (["clockwork", "--init", "zoo:x"], 'network = "perframe"', "network perframe has none"),
        (["clockwork", "--init", "zoo:x"], 'network = "tdnet2"', "network tdnet2 has none"),
        (["etc"], 'network = "tdnet2"', "does not train network tdnet2"),
        (["uda", "--target", STREET, "--teacher", "zoo:x"], "", "uses no teacher"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(
    cli: Cli, words: list[str], toml: str, message: str, tmp_path: Path
) -> None:
    config = tmp_path / "some.toml"
    config.write_text(toml)
    done = cli("train", *words, "--data", STREET, "--out", tmp_path / "out", "--config", config)
    assert_one_line(done, 2, message)
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_refused_leaves_no_folder(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "supervised", "--data", STREET, "--init", tmp_path, "--out", tmp_path / "out")
    assert_one_line(done, 3, "is a folder; want a checkpoint")
    assert not (tmp_path / "out").exists()
