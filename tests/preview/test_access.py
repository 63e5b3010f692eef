"""Who may see the page: addresses, host names, tokens."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from live_run import LiveRun, Start

from edge_vss.errors import DeviceError, WrongUsage
from edge_vss.preview import TOKEN_VARIABLE, Address, parse_address

TOKEN = "correct-horse-battery"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8077", "127.0.0.1", 8077), ("[::1]:0", "::1", 0), ("orin-nano.local:80", "orin-nano.local", 80)],
)
def test_an_address_has_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port) and str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text", ["", "0.0.0.0", "8077", ":8077", "::1:8077", "a:70000", "a:-1", "a:b", "http://a:1", "a b:1"]
)
def test_what_is_no_address_is_wrong_usage(text: str) -> None:
    with pytest.raises(WrongUsage, match="--preview wants HOST:PORT"):
        parse_address(text)


def test_an_address_in_use_is_a_device_error(start: Start) -> None:
    taken = start().preview.server.bound
    with pytest.raises(DeviceError, match=f"{taken}: the preview cannot listen here"):
        start(str(taken))


def test_an_address_of_another_machine_is_a_device_error(start: Start) -> None:
    for address in ("192.0.2.7:0", "no-such-name.invalid:0"):
        with pytest.raises(DeviceError, match="cannot listen here"):
            start(address)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.0.0.1:9000", "LOCALHOST:80", "[::1]:8077", "127.8.9.1"]
)
def test_on_loopback_names_of_this_machine_are_served(start: Start, host: str) -> None:
    assert start().ask(Host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "192.168.0.9", "", "a b", "[::2]"]
)
def test_on_loopback_a_name_that_was_made_to_point_here_is_refused(start: Start, host: str) -> None:
    run = start()
    for path in ("/", "/frame.jpg", "/stats.json"):
        refused = run.ask(path, Host=host)
        assert refused.status == 403 and b"open it as localhost" in refused.body


def test_a_request_without_a_host_is_refused_on_loopback(start: Start) -> None:
    assert start().send(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 403 ")


def test_bound_elsewhere_nothing_is_served_without_the_token(start: Start) -> None:
    run = start("0.0.0.0:0")
    token = re.fullmatch(r"http://[^/]+/\?token=([\w-]{32})", run.preview.url)
    assert token
    for path in ("/", "/frame.jpg", "/stats.json", "/nothing"):
        for query in ("", "?token=", f"?token={token[1][:-1]}", f"?token={token[1]}x", "?token=%F0%9F%94%91"):
            refused = run.ask(path + query)
            assert refused.status == 403 and b"token is missing or wrong" in refused.body
            assert "set-cookie" not in refused.headers
    assert run.ask(f"/?token={token[1]}").status == 200
    assert run.ask(f"/stats.json?token={token[1]}").status == 200


def test_every_run_makes_up_a_token_of_its_own(start: Start) -> None:
    assert len({start("0.0.0.0:0").preview.url.partition("token=")[2] for _ in range(3)}) == 3


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_cannot_use(start: Start) -> None:
    run = start("0.0.0.0:0", environment={TOKEN_VARIABLE: TOKEN})
    cookie = run.ask(f"/?token={TOKEN}").headers["set-cookie"]
    pair, *attributes = cookie.split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} == set(attributes) and str(run.port) in pair
    assert run.ask(Cookie=pair).status == 200
    assert run.ask(Cookie=f'theme="{{a}}"; x; {pair}; other=1').status == 200
    assert run.ask(Cookie=f"{pair}x").status == 403
    assert run.ask(Cookie=f"not{pair}").status == 403
    assert run.ask(f"/stats.json?token={TOKEN}x", Cookie=pair).status == 403, "what was typed counts"


def test_a_token_of_the_environment_is_not_told(start: Start) -> None:
    url = start("0.0.0.0:0", environment={TOKEN_VARIABLE: TOKEN}).preview.url
    assert TOKEN not in url and url.endswith(f"?token=${TOKEN_VARIABLE}")


@pytest.mark.parametrize("token", ["short", "with space and more", "ünder-the-sea-we-go"])
def test_a_token_that_is_too_weak_is_wrong_usage_and_frees_the_port(plain_bundle: Path, token: str) -> None:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port = probe.getsockname()[1]
    with pytest.raises(WrongUsage, match=TOKEN_VARIABLE):
        LiveRun(plain_bundle, f"0.0.0.0:{port}", environment={TOKEN_VARIABLE: token})
    with socket.socket() as again:
        again.bind(("0.0.0.0", port))


def test_loopback_asks_for_no_token(start: Start) -> None:
    run = start("127.0.0.1:0", environment={TOKEN_VARIABLE: TOKEN})
    assert run.preview.url == f"http://127.0.0.1:{run.port}/"
    assert run.ask().status == 200
