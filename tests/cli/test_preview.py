"""``run --preview``: the value may be left out, the address is told, and the page ends with the run."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphs import chain_graph
from runtime.plain_bundles import write_plain_bundle
from verbs import Cli, assert_one_line

from edge_vss.preview import DEFAULT_ADDRESS
from edge_vss.schedule import Schedule

STREET = "street:[frames=3,size=64x96]"
CODE = "import sys; from edge_vss.cli import main; sys.exit(main())"


@pytest.fixture
def plain(tmp_path: Path) -> str:
    return str(write_plain_bundle(tmp_path / "b", chain_graph(), [Schedule(name="full")]).path)


@contextlib.contextmanager
def default_port_free() -> Iterator[None]:
    host, _, port = DEFAULT_ADDRESS.partition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            pytest.skip(f"somebody else listens at {DEFAULT_ADDRESS}")
    yield


@pytest.mark.parametrize(
    "arguments",
    [
        ("{bundle}", "{source}", "--preview"),
        ("--preview", "{bundle}", "{source}"),
        ("{bundle}", "--preview", "{source}"),
        ("{bundle}", "{source}", "--preview", "--as-fast-as-possible"),
        ("--preview", "--", "{bundle}", "{source}"),
    ],
    ids=" ".join,
)
def test_without_a_value_the_page_is_for_this_machine(cli: Cli, plain: str, arguments: tuple[str, ...]) -> None:
    with default_port_free():
        done = cli("run", *(each.format(bundle=plain, source=STREET) for each in arguments))
    assert done.code == 0 and done.err == f"preview: http://{DEFAULT_ADDRESS}/\n"


@pytest.mark.parametrize("form", [("--preview", "127.0.0.1:0"), ("--preview=127.0.0.1:0",), ("--preview", "[::1]:0")])
def test_with_port_0_any_free_port_is_told(cli: Cli, plain: str, form: tuple[str, ...]) -> None:
    done = cli("run", plain, STREET, *form, "--json", "-")
    assert done.code == 0 and done.json["frames"] == 3
    assert re.search(r"^preview: http://(127\.0\.0\.1|\[::1\]):[1-9][0-9]*/$", done.err, re.MULTILINE)


@pytest.mark.parametrize("value", ["0.0.0.0", "8077", "localhost", "a:99999"])
def test_what_is_no_address_is_wrong_usage(cli: Cli, plain: str, value: str) -> None:
    assert_one_line(cli("run", plain, STREET, "--preview", value), 2, "--preview wants HOST:PORT")


@pytest.mark.parametrize("value", ["nonsense", "[::1]:x", "http://127.0.0.1:8077"])
def test_whatever_follows_an_equals_sign_is_meant_as_an_address(cli: Cli, plain: str, value: str) -> None:
    assert_one_line(cli("run", plain, STREET, f"--preview={value}"), 2, "--preview wants HOST:PORT")


def test_an_address_in_use_ends_the_run_before_it_begins(cli: Cli, plain: str, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        out = tmp_path / "out.mkv"
        done = cli("run", plain, STREET, "--preview", address, "--output", out)
    assert_one_line(done, 4, address, "cannot listen here (address already in use)")
    assert not out.exists() and list(tmp_path.glob(".*")) == []


def test_a_weak_token_is_wrong_usage(cli: Cli, plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_VSS_PREVIEW_TOKEN", "123")
    assert_one_line(cli("run", plain, STREET, "--preview", "0.0.0.0:0"), 2, "EDGE_VSS_PREVIEW_TOKEN wants 16")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_page_with_the_run(plain: str, number: signal.Signals) -> None:
    endless = "street:[frames=100000,size=64x96]"
    command = [sys.executable, "-c", CODE, "run", plain, endless, "--preview", "127.0.0.1:0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd="/")
    assert process.stderr is not None
    port = int(process.stderr.readline().rpartition(":")[2].strip(" /\n"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/frame.jpg")
    assert connection.getresponse().read()[:2] == b"\xff\xd8"
    connection.request("GET", "/stats.json")
    assert json.loads(connection.getresponse().read())["frames"] > 0
    waiting = socket.create_connection(("127.0.0.1", port))
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and err == "edge-vss: interrupted\n"
    with waiting, contextlib.suppress(ConnectionResetError):
        assert waiting.recv(10) == b""
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
