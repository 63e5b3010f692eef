"""A whole profile: what it writes, that page, JSON and terminal say the same, and a simulated board's power in it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board.machines import JETSONS
from board.simulated import SimulatedBoard, steady

from edge_vss.bundle import load_bundle
from edge_vss.errors import BadInput
from edge_vss.profiling.figures import environment_rows, tables, tiles, trust_lines
from edge_vss.profiling.outputs import plain
from edge_vss.profiling.page import build_page
from edge_vss.profiling.report import build_report
from edge_vss.profiling.session import Measurement, ProfileOptions, measure
from edge_vss.profiling.simulate import check_match
from edge_vss.profiling.trace import build_trace

from .made import chain_bundle

STREET = "street:[size=64x96,frames=12,fps=100]"
SLEEPS = {"s1": 1.0, "s3": 2.0}
SHORT = ProfileOptions(schedule="alternate", duration_s=1.2, idle_s=0.6, warm_up_s=0.6)


def quietly(doing: str, share: float) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ["full", "alternate", "pipeline-2", "adaptive"]
    return chain_bundle(tmp_path_factory.mktemp("bundles") / "chain.bundle", SLEEPS, names)


@contextmanager
def simulated_board(root: Path) -> Iterator[Path]:
    board = SimulatedBoard(root, JETSONS[0], steady(7000.0))
    board.pin_clocks()
    with board.running(0.02):
        yield root


@pytest.fixture(scope="module")
def measured(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    with simulated_board(tmp_path_factory.mktemp("board")) as root:
        options = ProfileOptions(**{**vars(SHORT), "root": root})
        return measure(bundle, STREET, options, quietly)


@pytest.fixture(scope="module")
def report(measured: Measurement) -> dict[str, Any]:
    found = plain(build_report(measured))
    assert isinstance(found, dict)
    return found


ADDRESSES = ("src", "srcset", "href", "xlink:href", "action", "data", "poster")


class Text(HTMLParser):
    """Text of a page without its scripts, and every address that it mentions."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action", "data")
        ]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_figures_are_those_of_the_frames(measured: Measurement, report: dict[str, Any]) -> None:
    rows = measured.rows[~measured.rows["seam"]]
    assert report["frames"] == rows.size and report["frames_at_seams"] == int(measured.rows["seam"].sum()) > 3
    latency = sorted((row["end_s"] - row["due_s"]) * 1000 for row in rows)
    assert report["latency_ms"]["max"] == pytest.approx(latency[-1])
    assert report["latency_ms"]["mean"] == pytest.approx(sum(latency) / len(latency))
    assert report["deadline"] is None and report["fallbacks"] == 0
    # Without the seam, a lap of 12 frames fires s3 on frames 2, 4, 6, 8 and 10.
    laps = set(measured.rows["lap"].tolist())
    whole = [lap for lap in laps if (rows["lap"] == lap).sum() == 11]
    assert all(rows["fired"][rows["lap"] == lap][:, 2].sum() == 5 for lap in whole) and len(whole) >= 5
    assert report["age_frames"]["max"] == 1
    assert 2.0 <= report["stages"]["s3"]["p50_ms"] < 6 and report["stages"]["s1"]["p50_ms"] >= 1.0
    assert report["latency_ms"]["p99"] is None and "needs 662" in report["null_because"]["latency_ms.p99"]
    assert report["flags"]["reset"] == report["seams"]
    assert report["load_ms"] > 0 and report["first_frame_ms"] >= 3.0 and report["memory"]["high_water_mib"] > 20


def test_a_deadline_governs_the_run_and_the_report_says_what_became_of_it(bundle: Path) -> None:
    options = ProfileOptions(**{**vars(SHORT), "schedule": "full", "duration_s": 0.8, "idle_s": 0, "deadline_ms": 2.5})
    measured = measure(bundle, STREET, options, quietly)
    report = plain(build_report(measured))
    assert isinstance(report, dict)
    rows, deadline = measured.rows[~measured.rows["seam"]], report["deadline"]
    latency = [(row["end_s"] - row["due_s"]) * 1000 for row in rows]
    assert deadline["ms"] == 2.5 and deadline["misses"] == sum(ms > 2.5 for ms in latency)
    assert deadline["degraded"] > rows.size / 4, "s1 and s3 take 3 ms together"
    assert sum(deadline["schedules"].values()) == pytest.approx(1.0)
    assert set(deadline["schedules"]) <= {*measured.schedules, "reuse"}
    assert any("degraded" in cell for table in tables(report) for row in table.rows for cell in row)
    with pytest.raises(BadInput, match="without --deadline-ms"):
        check_match(report, load_bundle(bundle).manifest)


def test_keys_that_scripts_rely_on_are_there(report: dict[str, Any]) -> None:
    for key in (
        *(
            "frames",
            "dropped",
            "fps",
            "latency_ms",
            "stages",
            "age_frames",
            "flags",
            "backend",
            "schedule",
            "precision",
        ),
        *("environment", "power", "valid", "conclusive", "invalid_because"),
    ):
        assert key in report, key
    assert set(report["valid"]) == {"latency", "energy"}
    assert {"available", "rails", "mean_w", "idle_w", "mj_per_frame"} <= set(report["power"])
    assert {"fired", "p50_ms", "p99_ms"} <= set(report["stages"]["s1"])
    environment = report["environment"]
    assert environment["jetpack"] == JETSONS[0].jetpack and environment["clocks_pinned"] is True
    assert environment["temperatures_c"]["start"] and environment["onnxruntime"]


def test_power_of_a_steady_board_is_that_of_its_module(report: dict[str, Any]) -> None:
    power = report["power"]
    assert power["available"] and power["total_rails"] == list(JETSONS[0].total)
    assert power["mean_w"] == pytest.approx(7.0, rel=0.01) and power["idle_w"] == pytest.approx(7.0, rel=0.01)
    assert power["stages_mj"] is None and report["null_because"]["power.stages_mj"]


def test_page_terminal_and_json_say_the_same(report: dict[str, Any]) -> None:
    words = " ".join(Text(build_page(report)).words)
    shown = [cell for table in tables(report) for row in table.rows for cell in row if cell]
    shown += [value for _, value in environment_rows(report)] + [figure for _, figure, _ in tiles(report)]
    shown += [reason for _, _, reasons in trust_lines(report) for reason in reasons]
    assert len(shown) > 80
    for text in shown:
        assert text.strip() in words, text
    for name, value in report["latency_ms"].items():
        assert (f"{value:.2f}" if value is not None else "–") in [cell.strip() for cell in shown], name
    for stage, found in report["stages"].items():
        row = next(row for table in tables(report) for row in table.rows if row[0] == stage)
        assert row[1] == str(found["fired"]) and row[4] == f"{found['p50_ms']:.2f}"
        assert row[2] == f"{report['update_rate'][stage]:.1%}"


def test_the_page_needs_no_network(report: dict[str, Any]) -> None:
    page = build_page(report)
    found = Text(page)
    assert not found.addresses and not found.tags & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page)
    assert page.count("<svg") == 2 * 6 and "prefers-color-scheme: dark" in page


def test_words_from_outside_are_escaped_on_the_page(report: dict[str, Any]) -> None:
    page = build_page({**report, "source": "<script>alert(1)</script>", "bundle": "a<b>&c"})
    assert "<script" not in page and html.escape("a<b>&c") in page


def test_a_report_without_power_and_with_hardly_a_frame_still_makes_a_page(bundle: Path) -> None:
    options = ProfileOptions(duration_s=0.3, idle_s=0.0, warm_up_s=0.1, frames=2, realtime=False, root=Path("/nowhere"))
    report = plain(build_report(measure(bundle, STREET, options, quietly)))
    assert report["frames"] == 2 and report["valid"] == {"latency": False, "energy": False}
    assert report["pacing"]["by"] == "as fast as possible" and report["lateness_ms"] is None
    assert report["environment"]["board"] is None and report["power"]["available"] is False
    page = build_page(report)
    assert "not available" in page and "service time" in page
    json.dumps(report, allow_nan=False)


def test_the_trace_lays_parts_inside_their_frames(measured: Measurement) -> None:
    events = build_trace(measured)["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    frames = {event["args"]["frame"]: event for event in spans if event["name"] == "frame"}
    assert len(frames) == measured.rows.size
    for event in spans:
        frame = frames[event["args"]["frame"]]
        assert event["ts"] >= frame["ts"] - 1 and event["ts"] + event["dur"] <= frame["ts"] + frame["dur"] + 300
    starts = [frame["ts"] for _, frame in sorted(frames.items())]
    assert starts == sorted(starts) and np.median(np.diff(starts)) == pytest.approx(10_000, abs=2_000)
    fired = sum(event["name"] == "s3" for event in spans)
    assert fired == int(measured.rows["fired"][:, 2].sum())
