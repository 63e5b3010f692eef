"""Signs of life, received on a real socket as systemd has it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_vss.jetson.notify import Notifier


class Manager:
    """The other end."""

    def __init__(self, address: str) -> None:
        self.name = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    def messages(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@edge-vss-test-{os.getpid()}"
    manager = Manager(name)
    yield manager
    manager.socket.close()


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_first_frame_makes_a_service_ready_and_later_ones_keep_it_alive(manager: Manager) -> None:
    clock = Clock()
    notifier = Notifier({"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "8000000"}, clock)
    assert notifier.active and notifier.watchdog_s == 8.0 and manager.messages() == []
    notifier.alive()
    assert manager.messages() == ["READY=1", "WATCHDOG=1"]
    for _ in range(80):
        clock.now_s += 0.125
        notifier.alive()
    assert manager.messages() == ["WATCHDOG=1"] * 5
    notifier.status("12 frames\na second")
    notifier.stopping()
    notifier.alive()
    assert manager.messages() == ["STATUS=12 frames a second", "STOPPING=1"] and not notifier.active


@pytest.mark.parametrize("watch", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "1"}])
def test_nobody_watches_unless_this_process_is_told_so(manager: Manager, watch: dict[str, str]) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.name, **watch})
    notifier.alive()
    notifier.alive()
    assert notifier.watchdog_s is None and manager.messages() == ["READY=1"]


def test_outside_of_a_service_nothing_is_sent() -> None:
    for environment in ({}, {"NOTIFY_SOCKET": "vsock:2:1234"}):
        notifier = Notifier(environment)
        notifier.alive()
        notifier.stopping()
        assert not notifier.active


def test_a_manager_that_is_gone_or_does_not_read_stops_nothing(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    notifier = Notifier({"NOTIFY_SOCKET": manager.name})
    for _ in range(5000):  # more than any queue holds
        notifier.status("x" * 200)
    manager.socket.close()
    (tmp_path / "notify").unlink()
    notifier.alive()
    notifier.stopping()


def test_run_tells_the_service_manager_that_frames_are_labelled(
    manager: Manager, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from edge_vss.cli import main

    monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    run = ["run", str(tiny_bundle), "street:[size=64x96]", "--as-fast-as-possible"]
    assert main([*run, "--frames", "5"]) == 0, capfd.readouterr().err
    assert manager.messages() == ["READY=1", "WATCHDOG=1", "STOPPING=1"]
    assert main(["run", str(tiny_bundle), "no-such-video.mp4"]) == 3
    assert manager.messages() == []
