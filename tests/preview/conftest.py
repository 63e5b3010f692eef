"""Runs with their pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphs import chain_graph, two_headed_graph
from live_run import LiveRun, Start
from runtime.plain_bundles import write_plain_bundle

from edge_vss.schedule import Every, Schedule


@pytest.fixture(scope="session")
def plain_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stages of arithmetic, the deepest on every second frame."""
    schedule = Schedule(name="alternate", clocks={"s3": Every(k=2)})
    return Path(write_plain_bundle(tmp_path_factory.mktemp("plain") / "b", chain_graph(), [schedule]).path)


@pytest.fixture(scope="session")
def two_headed_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph, schedule = two_headed_graph()
    return Path(write_plain_bundle(tmp_path_factory.mktemp("heads") / "b", graph, [schedule]).path)


@pytest.fixture
def start(plain_bundle: Path) -> Iterator[Start]:
    """``start(address, bundle=..., **options of LiveRun)``; stopped when the test ends."""
    runs: list[LiveRun] = []

    def begin(*arguments: Any, bundle: Path = plain_bundle, **options: Any) -> LiveRun:
        runs.append(LiveRun(bundle, *arguments, **options))
        return runs[-1]

    yield begin
    for run in runs:
        run.stop()
