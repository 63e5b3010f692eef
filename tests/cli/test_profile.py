"""``profile``, ``compare`` and ``simulate`` on the command line."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from profiling.made import chain_bundle
from verbs import Cli, assert_one_line

from edge_vss.cli import profile as verb
from edge_vss.profiling.figures import tables
from edge_vss.profiling.outputs import read_report
from edge_vss.profiling.page import build_page

STREET = "street:[size=64x96,frames=12,fps=100]"
FAST = ["--as-fast-as-possible", "--idle", 0, "--warm-up", 0.2]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chain_bundle(tmp_path_factory.mktemp("bundles") / "chain.bundle", {"s1": 1.0}, ["full", "adaptive"])


@pytest.fixture(scope="module")
def made(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of it."""
    from edge_vss.cli import main

    out = tmp_path_factory.mktemp("made") / "profile"
    arguments = ["profile", chain, STREET, "-o", out, "--duration", 0.4, *FAST]
    assert main([str(argument) for argument in arguments]) == 0
    return out / "report.json"


def changed(report: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    found = json.loads(report.read_text())
    change(found)
    target.write_text(json.dumps(found))
    return target


def test_the_verb_writes_three_files_and_prints_what_they_hold(cli: Cli, chain: Path, tmp_path: Path) -> None:
    out = tmp_path / "profile"
    options = ["--duration", 0.4, *FAST, "--schedule", "full", "--json", tmp_path / "again.json"]
    done = cli("profile", chain, STREET, "-o", out, *options)
    assert done.code == 0, done.err
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "report.json", "trace.json"]
    report = read_report(out / "report.json")
    assert (out / "report.html").read_text() == build_page(report)
    assert read_report(tmp_path / "again.json") == report
    printed = " ".join(re.sub(r"[│┃]", " ", done.out).split())
    for table in tables(report):
        for row in table.rows:
            assert " ".join(" ".join(row).split()) in printed, row
    for kind in ("latency", "energy"):
        assert f"{kind}: {'valid' if report['valid'][kind] else 'not valid'}" in done.out


def test_an_interrupted_profile_keeps_what_was_measured(
    cli: Cli, chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    @contextmanager
    def bar(what: str) -> Iterator[Callable[[str, float], None]]:
        def progress(doing: str, share: float) -> None:
            told.append(doing)
            if told.count("measuring") == 4:
                os.kill(os.getpid(), signal.SIGINT)

        yield progress

    monkeypatch.setattr(verb, "share_bar", bar)
    done = cli("profile", chain, STREET, "-o", tmp_path / "out", "--duration", 60, *FAST)
    assert done.code == 130, done.err
    report = read_report(tmp_path / "out" / "report.json")
    assert report["frames"] > 5 and 0 < report["seconds"] < 10 and not report["conclusive"]
    assert any("interrupted" in reason for reason in report["inconclusive_because"])
    assert_one_line(cli("simulate", chain, "--profile", tmp_path / "out" / "report.json"), 3, "profile this bundle")


def test_places_that_cannot_be_written_are_refused_before_the_measurement(
    cli: Cli, chain: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    assert_one_line(cli("profile", chain, STREET, "-o", tmp_path / "file", *FAST), 3, "not a folder")
    assert_one_line(cli("profile", chain, STREET, "-o", chain, *FAST), 3, "inside the bundle")
    assert_one_line(cli("profile", chain, "none.mp4", "-o", tmp_path / "out", *FAST), 3, "none.mp4")
    assert_one_line(cli("profile", chain, STREET, "-o", tmp_path / "out", "--schedule", "odd"), 3, "odd", "full")
    assert_one_line(cli("profile", chain, STREET, "-o", tmp_path / "out", "--duration", -1), 2, "--help")
    assert_one_line(cli("profile", chain, STREET), 2, "--help")
    assert not (tmp_path / "out").exists()


def test_compare_passes_a_report_against_itself_and_stops_a_slower_one(cli: Cli, made: Path, tmp_path: Path) -> None:
    done = cli("compare", made, made, "--json", "-")
    assert done.code == 0 and done.json["worse"] is False

    def slower(report: dict[str, Any]) -> None:
        report["latency_ms"]["p50"] *= 1.2
        report["environment"]["cpu"] = "another"

    worse = changed(made, tmp_path / "worse.json", slower)
    done = cli("compare", made, worse, "--json", tmp_path / "found.json")
    assert done.code == 5 and "p50 by 20.0 %" in done.err and "cpu was" in done.out
    assert json.loads((tmp_path / "found.json").read_text())["figures"]["latency p50, ms"]["worse"] is True
    assert cli("compare", made, worse, "--tolerance-p50", 21).code == 0
    assert cli("compare", worse, made).code == 0


def test_files_that_are_no_reports_are_refused(cli: Cli, chain: Path, made: Path, tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("no report")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "run.json").write_text('{"frames": 3, "latency_ms": {}}')
    old = changed(made, tmp_path / "old.json", lambda report: report.update(format="edge-vss profile 0"))
    cut = changed(made, tmp_path / "cut.json", lambda report: report.pop("stages"))
    below = changed(made, tmp_path / "below.json", lambda report: report["prices"]["own"].update(pre=-1.0))
    (tmp_path / "nan.json").write_text(made.read_text().replace('"p50": ', '"p50": NaN, "was": ', 1))
    (tmp_path / "huge.json").write_text(made.read_text().replace('"p50": ', '"p50": 1e300, "was": ', 1))
    said = {
        "nan": "not JSON",
        "huge": "beyond all measure",
        "none": "none.json",
        "text": "not JSON",
        "list": "no report",
        "run": "no report",
    }
    for name, part in {**said, old.stem: "profile 0", cut.stem: "stages missing", below.stem: "below zero"}.items():
        path = tmp_path / f"{name}.json"
        assert_one_line(cli("compare", made, path), 3, part)
        assert_one_line(cli("compare", path, made), 3, part)
        assert_one_line(cli("simulate", chain, "--profile", path), 3, part)


def test_a_report_of_other_clocks_is_not_priced(cli: Cli, chain: Path, made: Path, tmp_path: Path) -> None:
    other = changed(made, tmp_path / "other.json", lambda report: report.update(clocks="0" * 64))
    assert_one_line(cli("simulate", chain, "--profile", other), 3, "other clocks")


def test_simulate_prices_every_schedule(cli: Cli, chain: Path, made: Path) -> None:
    done = cli("simulate", chain, "--profile", made, "--fps", 50, "--deadline-ms", 15, "--json", "-")
    assert done.code == 0, done.err
    assert set(done.json["schedules"]) == {"full", "adaptive"} and done.json["fps"] == 50
    full = done.json["schedules"]["full"]
    assert full["latency_ms"]["mean"] >= 1.0 and full["update_rate"]["s3"] == 1.0
    assert full["deadline"]["ms"] == 15 and full["power"]["mj_per_frame"] is None
    one = cli("simulate", chain, "--profile", made, "--schedule", "adaptive", "--json", "-")
    assert set(one.json["schedules"]) == {"adaptive"} and one.json["fps"] == 30
    assert_one_line(cli("simulate", chain, "--profile", made, "--schedule", "odd"), 3, "odd")


def test_a_report_of_another_network_is_refused(cli: Cli, tiny_bundle: Path, made: Path) -> None:
    assert_one_line(cli("simulate", tiny_bundle, "--profile", made), 3, "s1, s2, s3, fuse")
