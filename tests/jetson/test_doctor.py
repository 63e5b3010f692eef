"""What ``doctor`` says of simulated boards and of PCs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from board.machines import JETSONS, Machine, machine
from board.simulated import SimulatedBoard

from edge_vss.jetson.checks import Check
from edge_vss.jetson.doctor import examine

every_board = pytest.mark.parametrize("spec", JETSONS, ids=lambda spec: spec.name)
PLUGINS = ("appsink", "videoconvert", "videotestsrc", "decodebin", "v4l2src", "jpegdec", "rtspsrc", "matroskamux")


@pytest.fixture
def inspector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only ``gst-inspect-1.0`` on the path; ``elements`` beside it lists what it knows."""
    folder = tmp_path / "programs"
    folder.mkdir()
    program = folder / "gst-inspect-1.0"
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\nname = sys.argv[1]\n"
        "known = pathlib.Path(__file__).with_name('elements').read_text().split()\n"
        "print('gst-inspect-1.0 version 1.20.3' if name == '--version' else name)\n"
        "sys.exit(name != '--version' and name not in known)\n"
    )
    program.chmod(0o755)
    (folder / "elements").write_text(" ".join(PLUGINS))
    monkeypatch.setenv("PATH", str(folder))
    return folder / "elements"


def checks_of(root: Path) -> dict[str, Check]:
    found = examine(root)
    assert len({check.name for check in found}) == len(found)
    return {check.name: check for check in found}


@every_board
def test_doctor_tells_what_a_board_is(spec: Machine, tmp_path: Path, inspector: Path) -> None:
    SimulatedBoard(tmp_path / "root", spec)
    checks = checks_of(tmp_path / "root")
    assert spec.module_name in checks["machine"].found and "{}.{}".format(*spec.capability) in checks["machine"].found
    assert checks["jetpack"].found == f"{spec.jetpack} (Jetson Linux {spec.l4t})"
    assert checks["power mode"].found == f"{spec.mode} ({spec.modes[spec.mode]})"
    assert checks["power sensors"].ok and spec.kind in checks["power sensors"].found
    total = checks["power sensors"].found.partition("total: ")[2].partition(" (")[0].split(" + ")
    assert sorted(total) == sorted(spec.total) and "not wall" in checks["power sensors"].found


def test_a_jetpack_without_the_tensorrt_that_bundles_need_is_told_from_one_that_has_it(
    tmp_path: Path, inspector: Path
) -> None:
    states = {}
    for spec in JETSONS:
        SimulatedBoard(tmp_path / spec.name, spec)
        states[spec.name] = checks_of(tmp_path / spec.name)["jetpack"].state
    old = {"orin-nx-jetpack6", "agx-xavier-jetpack5", "xavier-nx-jetpack5", "nano-jetpack4"}
    assert {name for name, state in states.items() if state == "missing"} == old
    assert {name for name, state in states.items() if state == "ok"} == set(states) - old


def test_clocks_heat_and_throttling_are_told(tmp_path: Path, inspector: Path) -> None:
    board = SimulatedBoard(tmp_path / "root", machine("orin-nano-jetpack6"))
    checks = checks_of(board.root)
    assert checks["clocks"].ok and "not pinned" in checks["clocks"].found
    assert checks["clocks"].fix == "before measuring: sudo jetson_clocks"
    assert checks["heat"].ok and "hottest cpu-thermal 52.9 °C" in checks["heat"].found
    assert checks["memory"].found == "7619 MiB, 5000 of them available"
    board.pin_clocks()
    board.throttle(2)
    checks = checks_of(board.root)
    assert checks["clocks"].found.endswith("; pinned") and not checks["clocks"].fix
    assert checks["heat"].state == "missing" and "slowed down: gpu-throttle-alert" in checks["heat"].found
    assert "oc3 2" in checks["heat"].found


def test_missing_plug_ins_come_with_the_packages_that_have_them(tmp_path: Path, inspector: Path) -> None:
    board = SimulatedBoard(tmp_path / "root", machine("orin-nano-jetpack6"))
    checks = checks_of(board.root)
    assert checks["gstreamer plug-ins"].found.endswith("; missing h264parse")
    assert "apt-get install gstreamer1.0-plugins-bad;" in checks["gstreamer plug-ins"].fix
    assert checks["jetson plug-ins"].state == "missing" and "nvidia-l4t-gstreamer" in checks["jetson plug-ins"].fix
    inspector.write_text(" ".join((*PLUGINS, "h264parse", "nvarguscamerasrc nvvidconv nvv4l2decoder nvjpegdec")))
    checks = checks_of(board.root)
    assert checks["gstreamer plug-ins"].ok and checks["jetson plug-ins"].ok
    assert "nvarguscamerasrc" in checks["jetson plug-ins"].found


def test_cameras_are_named_and_the_camera_daemon_is_looked_for(tmp_path: Path, inspector: Path) -> None:
    board = SimulatedBoard(tmp_path / "root", machine("orin-nano-jetpack6"))
    checks = checks_of(board.root)
    assert checks["cameras"].state == "missing" and "jetson-io" in checks["cameras"].fix
    assert checks["nvargus-daemon"].fix == "sudo systemctl restart nvargus-daemon"
    for path, text in (("dev/video0", ""), ("dev/video10", ""), ("tmp/argus_socket", "")):
        board.write(board.root / path, text)
    board.write(board.root / "sys/class/video4linux/video0/name", "vi-output, imx219 9-0010")
    checks = checks_of(board.root)
    assert checks["cameras"].found == "/dev/video0 (vi-output, imx219 9-0010), /dev/video10"
    assert checks["nvargus-daemon"].ok


def test_a_sensor_that_does_not_answer_is_told_from_none(tmp_path: Path, inspector: Path) -> None:
    board = SimulatedBoard(tmp_path / "root", machine("orin-nano-jetpack7"))
    for rail in board.machine.rails:
        board.fail(board.channel(rail))
    power = checks_of(board.root)["power sensors"]
    assert not power.ok and power.found == "INA3221, which does not answer"


def test_a_pc_lacks_nothing_of_a_jetson(tmp_path: Path, inspector: Path) -> None:
    root = tmp_path / "pc"
    root.mkdir()
    checks = checks_of(root)
    for name in ("jetpack", "power mode", "jetson plug-ins", "power sensors", "cameras", "clocks", "heat"):
        assert checks[name].state == "not available" and not checks[name].fix, checks[name]
    assert "nvargus-daemon" not in checks
    assert "no Jetson" in checks["machine"].found


def test_a_pc_whose_energy_counters_may_not_be_read_is_told_how_to_open_them(tmp_path: Path, inspector: Path) -> None:
    zone = tmp_path / "pc/sys/class/powercap/intel-rapl:0"
    (zone / "energy_uj").mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    power = checks_of(tmp_path / "pc")["power sensors"]
    assert power.state == "missing" and power.fix.startswith("sudo chmod a+r")


def test_a_machine_without_gstreamer_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = checks_of(tmp_path)
    assert checks["gstreamer"].state == "missing" and "apt-get install gstreamer1.0-tools" in checks["gstreamer"].fix
    assert checks["gstreamer plug-ins"].state == "not available"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_user_outside_the_groups_is_told_which_to_join(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    code = (
        "import os, sys, json; from pathlib import Path; from edge_vss.jetson.board import read_board\n"
        "from edge_vss.jetson import doctor_devices as d\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "board = d.Board(model=None, module=None, module_name=None, chip='tegra234', l4t=None, jetpack=None, "
        "capability=None, power_mode=None)\n"
        "print(json.dumps([d._groups(board, True).as_dict(), d._realtime().as_dict()]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    check, urgent = json.loads(done.stdout)
    assert not urgent["ok"] and "rtprio 50" in urgent["fix"], "a user without a limit of their own"
    assert not check["ok"] and check["found"] == "in none of video, render, i2c"
    assert check["fix"].startswith("sudo usermod -aG video") and check["fix"].endswith("$USER, then log in again")


def test_cuda_without_a_gpu_that_answers_is_not_called_ok(
    tmp_path: Path, inspector: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_vss.jetson import doctor_devices

    monkeypatch.setattr("ctypes.util.find_library", lambda name: f"lib{name}.so.12" if name == "cudart" else None)
    with_gpu, without = doctor_devices._cuda(tmp_path, True), doctor_devices._cuda(tmp_path, False)
    assert with_gpu.ok and with_gpu.found == "libcudart.so.12"
    assert not without.ok and "of no use without a GPU" in without.found and not without.fix
