"""Real-time priority: which threads have it, which have not, and what is said where the system does not permit it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from graphs import chain_graph, chain_graph_schedules

from edge_vss.runtime import Loop, Pipeline

from .plain_bundles import random_frames, write_plain_bundle

PRIORITY = 7
CAP_SYS_NICE = 23
WITHOUT_THE_RIGHT = f"""
import ctypes, resource, sys
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
libc = ctypes.CDLL(None, use_errno=True)
header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert libc.capget(header, sets) == 0
for word in range(3):
    sets[word] &= ~(1 << {CAP_SYS_NICE})
assert libc.capset(header, sets) == 0, ctypes.get_errno()
sys.argv[0] = "edge-vss"
from edge_vss.cli import main
sys.exit(main())
"""


def permitted() -> bool:
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    except PermissionError:
        return False
    os.sched_setscheduler(0, *before)
    return True


def policies(known: set[int]) -> Counter[tuple[int, int]]:
    """(Policy, priority) of the threads that came since."""
    found: Counter[tuple[int, int]] = Counter()
    for thread in threads() - known:
        found[os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority] += 1
    return found


def threads() -> set[int]:
    return {int(thread.name) for thread in Path("/proc/self/task").iterdir()}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    graph = chain_graph()
    return write_plain_bundle(tmp_path / "b", graph, chain_graph_schedules(graph)).path


def test_the_threads_that_label_are_urgent_and_those_in_the_background_and_of_the_caller_are_not(bundle: Path) -> None:
    if not permitted():
        with pytest.raises(Exception, match="real-time priority 7: Operation not permitted"):
            Pipeline(bundle, realtime_priority=PRIORITY)
        return
    frames = random_frames(32, 48, 12)
    with Pipeline(bundle, threads=2) as pipeline:
        want = [pipeline.process(frame) for frame in frames]
    known = threads()
    with Pipeline(bundle, threads=2, deadline_ms=1000.0, realtime_priority=PRIORITY) as pipeline:
        made = policies(known)
        assert made.pop((os.SCHED_IDLE, 0)) == 1, "the crew in the background"
        assert set(made) == {(os.SCHED_RR, PRIORITY)}
        loop_thread: list[tuple[int, int]] = []
        with Loop(pipeline, frames, scene_cut=0) as loop:
            before = known | threads()
            for expected, got in zip(want, loop):
                np.testing.assert_array_equal(got.result.labels["logits"], expected.labels["logits"])
            loop_thread = [key for key in policies(known) if key[0] == os.SCHED_RR]
        assert before and loop_thread == [(os.SCHED_RR, PRIORITY)]
    assert os.sched_getscheduler(threading.get_native_id()) == os.SCHED_OTHER


def test_what_the_system_does_not_permit_is_one_line_and_exit_code_4(bundle: Path) -> None:
    words = ["run", str(bundle), "test:", "--frames", "3", "--realtime-priority", "7"]
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_RIGHT, *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 4, run.stderr
    assert "real-time priority 7: Operation not permitted; run as root, or allow it with LimitRTPRIO=" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("priority", [-1, 100])
def test_a_priority_that_is_none_is_refused(bundle: Path, priority: int) -> None:
    with pytest.raises(ValueError, match=r"realtime_priority must be in 0\.\.99"):
        Pipeline(bundle, realtime_priority=priority)
