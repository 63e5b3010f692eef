"""``run`` on cameras: what it reports, how it ends, and that the camera's session ends with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

SIZE = ("--camera-size", "64x96", "--camera-fps", "60")


def run(edge_vss, *arguments, environment=None):
    return subprocess.run(
        [*edge_vss, "run", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        timeout=120,
    )


def test_three_hundred_test_pictures_are_labelled(edge_vss, tiny_bundle):
    done = run(edge_vss, tiny_bundle, "test:", "--frames", 300, *SIZE, "--json", "-")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["frames"] == 300
    assert 50 < found["fps"] < 62
    assert set(found["dropped"]) <= {"newer"}


def test_a_camera_that_fails_and_returns_costs_frames_but_not_the_run(edge_vss, tiny_bundle, fault_camera, tmp_path):
    faults = "20:error:300,50:green:200,80:eos:300,110:repeat:300,160:short:200"
    log = tmp_path / "camera.log"
    environment = {**fault_camera, "EVSS_FAULTS": faults, "EVSS_CAMERA_LOG": str(log)}
    done = run(edge_vss, tiny_bundle, "csi://0", "--frames", 200, *SIZE, "--json", "-", environment=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["frames"] == 200
    assert found["dropped"]["damaged"] >= 5
    assert found["flags"]["suspect_green"] >= 5
    assert found["flags"]["suspect_frozen"] >= 5
    assert set(log.read_text().splitlines()) == {"ended"}


def test_a_lost_camera_is_exit_code_four_and_says_what_to_do(edge_vss, tiny_bundle, fault_camera):
    environment = {**fault_camera, "EVSS_FAULTS": "20:error:600000"}
    done = run(edge_vss, tiny_bundle, "csi://0", *SIZE, environment=environment)
    assert done.returncode == 4
    assert "sudo systemctl restart nvargus-daemon" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_session_of_the_camera(edge_vss, tiny_bundle, fault_camera, tmp_path, stop):
    log = tmp_path / "camera.log"
    environment = {**os.environ, **fault_camera, "EVSS_CAMERA_LOG": str(log)}
    command = [*edge_vss, "run", str(tiny_bundle), "csi://0", *SIZE, "--output", str(tmp_path / "v.mkv")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = time.monotonic()
    while not list(tmp_path.glob("*v.mkv*")) and time.monotonic() - begun < 30:
        time.sleep(0.1)
    time.sleep(1.0)
    process.send_signal(stop)
    process.wait(10)
    assert log.read_text().splitlines() == ["ended"]


def test_a_program_that_forgets_its_camera_ends_the_session_on_exit(fault_camera, in_child, tmp_path):
    code = """
import os, sys
from edge_vss.runtime import NativeSource
kept = NativeSource("csi://0", height=64, width=96)
kept.next(1000)
print(0, flush=True)
import ctypes
ctypes.CDLL(None).exit(0)
"""
    log = tmp_path / "camera.log"
    in_child(code, {**fault_camera, "EVSS_CAMERA_LOG": str(log)})
    assert log.read_text().splitlines() == ["ended"]


def test_a_pipeline_of_the_users_is_taken_as_it_is(edge_vss, tiny_bundle):
    text = "videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=96,height=64,framerate=25/1 ! appsink"
    done = run(edge_vss, tiny_bundle, "mine", "--gst-pipeline", text, "--as-fast-as-possible", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 20
    refused = run(edge_vss, tiny_bundle, "mine", "--gst-pipeline", "videotestsrc ! fakesink")
    assert refused.returncode == 3
    assert "must hold one appsink" in refused.stderr


def test_options_of_cameras_are_refused_for_files(edge_vss, tiny_bundle):
    done = run(edge_vss, tiny_bundle, "street:[frames=2,size=64x96]", "--camera-size", "64x96")
    assert done.returncode == 3
    assert "options of cameras" in done.stderr
