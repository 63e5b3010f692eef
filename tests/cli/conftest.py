"""Runs verbs in this process and catches what they say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from verbs import Cli, Done

from edge_vss.cli import main


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """``cli("run", bundle, ...)`` -> code, stdout, stderr."""

    def run(*arguments: object) -> Done:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the small bundle, to be damaged."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy.bundle"))
