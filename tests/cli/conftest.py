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


@pytest.fixture(scope="session")
def tiny_reranker(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the small bundle, trained on four frames with three proposals each. Not to be changed."""
    from edge_vss.reranking import RerankOptions, train_reranker

    path = tmp_path_factory.mktemp("reranker") / "tiny.json"
    options = RerankOptions(network=tiny_bundle, proposals=3)
    train_reranker(options, "street:[size=64x96,seed=8,clips=2,frames=2]", path)
    return path
