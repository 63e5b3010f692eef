"""The systemd unit and what it starts."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edge_vss.errors import BadInput
from edge_vss.jetson.service import main, read_command

DEPLOY = Path(__file__).parents[2] / "jetson" / "deploy"
UNIT = (DEPLOY / "edge-vss@.service").read_text()


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_file_stands_for_the_options_of_run(tmp_path: Path) -> None:
    file = write(
        tmp_path / "camera.toml",
        'bundle = "a.bundle"\nsource = "csi://0"\nschedule = "adaptive"\nthreads = 2\ndeadline_ms = 33.5\n'
        'as_fast_as_possible = true\npreview = false\noutput = ["a.mkv", "maps"]\n',
    )
    assert read_command(file) == [
        "run", "--schedule=adaptive", "--threads=2", "--deadline-ms=33.5", "--as-fast-as-possible",
        "--output=a.mkv", "--output=maps", "--", "a.bundle", "csi://0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('source = "csi://0"', 'wants bundle = "…"'),
        ('bundle = "a"\nsource = 0', 'wants source = "…"'),
        ("bundle = a", "is no TOML"),
        ('bundle = "a"\nsource = "b"\n[run]\nthreads = 2', "run is no option"),
        ('bundle = "a"\nsource = "b"\nthreads = 2026-01-01', "threads is no option"),
        ("\udcff", "is no TOML"),
    ],
)
def test_a_file_that_is_no_configuration_is_one_clear_error(
    text: str, reason: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "camera.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadInput, match=re.escape(reason)):
        read_command(file)
    assert main([str(file)]) == 3
    assert capfd.readouterr().err.count("\n") == 1


def test_the_command_without_a_file_says_how_it_is_used(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2 and "usage" in capfd.readouterr().err
    assert main([str(tmp_path / "missing.toml")]) == 3 and "No such file" in capfd.readouterr().err


def serve(file: Path, notify: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NOTIFY_SOCKET": str(notify), "WATCHDOG_USEC": "30000000"}
    command = [sys.executable, "-m", "edge_vss.jetson.service", str(file)]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", check=False)


def test_the_service_labels_frames_and_says_so_from_its_own_process(tiny_bundle: Path, tmp_path: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.setblocking(False)
    out = tmp_path / "maps"
    file = write(
        tmp_path / "street.toml",
        f'bundle = "{tiny_bundle}"\nsource = "street:[size=64x96]"\nframes = 4\nas_fast_as_possible = true\n'
        f'output = ["{out}"]\n',
    )
    done = serve(file, tmp_path / "notify")
    assert done.returncode == 0, done.stderr
    assert len(list(out.glob("*.png"))) == 4
    assert [manager.recv(99) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]
    manager.close()


def test_an_option_that_run_does_not_have_is_wrong_usage(tiny_bundle: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "x.toml", f'bundle = "{tiny_bundle}"\nsource = "street:"\nshedule = "full"\n')
    done = serve(file, tmp_path / "nobody")
    assert done.returncode == 2 and "--shedule" in done.stderr and done.stderr.count("\n") == 1


def test_the_example_configuration_holds_options_that_run_has(tmp_path: Path, tiny_bundle: Path) -> None:
    text = (DEPLOY / "camera.toml").read_text()
    assert read_command(DEPLOY / "camera.toml")[1:] == ["--", "/var/lib/edge-vss/street.bundle", "csi://0"]
    full = re.sub(r"(?m)^# (\w+ = )", r"\1", text)
    options = read_command(write(tmp_path / "full.toml", full))[1:-3]
    assert len(options) == 6
    shown = subprocess.run(
        [sys.executable, "-m", "edge_vss.cli", "run", "--help"], capture_output=True, text=True, check=True, cwd="/"
    ).stdout
    assert all(option.partition("=")[0] in shown for option in options)


def test_the_unit_restarts_what_another_try_may_mend() -> None:
    from edge_vss.errors import BadInput, DeviceError, GateRefused, WrongUsage

    settings = dict(line.split("=", 1) for line in UNIT.splitlines() if "=" in line and not line.startswith("#"))
    assert settings["Type"] == "notify" and int(settings["WatchdogSec"]) > 0
    assert {"nvargus-daemon.service", "nvpmodel.service"} <= set(settings["After"].split())
    assert settings["Restart"] == "on-failure"
    kept_down = set(map(int, settings["RestartPreventExitStatus"].split()))
    assert {kind.exit_code for kind in (WrongUsage, BadInput, GateRefused)} == kept_down
    assert DeviceError.exit_code not in kept_down and 1 not in kept_down
    assert settings["SuccessExitStatus"] == "130", "what run gives when SIGTERM ends it"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze: apt-get install systemd")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    unit = UNIT.replace("@PREFIX@/bin/python", sys.executable).replace("@USER@", "root")
    for name in ("edge-vss@.service", "edge-vss@camera.service"):
        (tmp_path / name).write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "edge-vss@camera.service"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr
    (tmp_path / "edge-vss@camera.service").write_text(unit.replace("WatchdogSec=30", "WatchdogSec=soon"))
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "edge-vss@camera.service"], capture_output=True, text=True, check=False
    )
    assert "Failed to parse sec value" in done.stderr, "verification sees a mistake"


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck: apt-get install shellcheck")
def test_shellcheck_finds_nothing_in_the_install_script() -> None:
    done = subprocess.run(["shellcheck", DEPLOY / "install.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
