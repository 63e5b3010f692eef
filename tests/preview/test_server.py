"""The page over HTTP: what it serves, what it refuses, and how it ends."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from live_run import LiveRun, Start, wait_until

from edge_vss.preview import connections, pictures, server
from edge_vss.run_stats import RunStats

HEAD = b"GET /stats.json HTTP/1.1\r\nHost: localhost\r\n"


def test_the_page_needs_nothing_else_and_its_policy_allows_nothing_else(start: Start) -> None:
    reply = start().ask("/")
    assert reply.status == 200 and reply.headers["content-type"] == "text/html; charset=utf-8"
    html, policy = reply.body.decode(), reply.headers["content-security-policy"]
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"(?!data:)", html)
    for tag in ("script", "style"):
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert len(found) == 1
        digest = base64.b64encode(hashlib.sha256(found[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';") and "http" not in policy and "unsafe" not in policy
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", html)


@pytest.mark.parametrize("path", ["/", "/frame.jpg", "/stats.json", "/nothing"])
def test_every_answer_is_kept_nowhere_and_shown_nowhere_else(start: Start, path: str) -> None:
    headers = start().ask(path).headers
    assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY" and headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers and "Python" not in headers["server"]


def test_pictures_go_on_with_the_run(start: Start) -> None:
    run = start()
    replies = [run.ask("/frame.jpg") for _ in range(4)]
    sequences = [int(reply.headers["x-frame-sequence"]) for reply in replies]
    assert sequences == sorted(set(sequences)) and len({reply.body for reply in replies}) == 4
    assert all(reply.body[:3] == b"\xff\xd8\xff" and reply.headers["content-type"] == "image/jpeg" for reply in replies)


def test_a_run_that_stands_still_is_shown_as_it_stands(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_vss.preview.preview.FRESH_S", 0.3)
    run = start(limit=20)
    assert run.ask("/frame.jpg").status == 200
    run.wait_frames(20)
    first, second = run.ask("/frame.jpg"), run.ask("/frame.jpg")
    assert first.body == second.body and int(second.headers["x-frame-age-ms"]) > 300
    assert json.loads(run.ask().body)["since_frame_ms"] > 300


def test_before_the_first_frame_the_page_says_so(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_vss.preview.preview.FRESH_S", 0.1)
    run = start(limit=0)
    reply, found = run.ask("/frame.jpg"), json.loads(run.ask().body)
    assert reply.status == 503 and reply.body == b"no frame has been labelled yet\n"
    assert found["frames"] == 0 and found["since_frame_ms"] is None and found["latency_ms"]["p50"] is None


def test_figures_are_those_of_the_run(start: Start) -> None:
    latency_ms: list[float] = []
    fired: list[tuple[str, ...]] = []

    def observe(stats: RunStats) -> None:
        assert stats.last is not None
        latency_ms.append(stats.last.latency_ms)
        fired.append(stats.last.fired)

    run = start(limit=400, interval_s=0.0, observe=observe)
    run.wait_frames(400)
    found = json.loads(run.ask().body)
    assert found["frames"] == 400 and found["sequence"] == 399 and found["schedule"] == "alternate"
    for name, share in (("p50", 50), ("p90", 90), ("p99", 99)):
        assert found["latency_ms"][name] == pytest.approx(np.percentile(latency_ms[-300:], share))
    assert found["recent"]["sequence"] == list(range(100, 400))
    assert found["recent"]["latency_ms"] == pytest.approx(latency_ms[-300:], abs=0.001)
    names = list(found["stages"])
    assert [tuple(names[place] for place in places) for places in found["recent"]["fired"]] == fired[-300:]
    for name in names:
        assert found["stages"][name]["fired"] == sum(name in each for each in fired)
        assert found["stages"][name]["fired_now"] == (name in fired[-1])
    assert found["stages"]["s3"]["fired"] == 200 and found["flags"] == {"reset": 1}
    run.stop()
    wanted = run.stats.as_dict()
    assert found["flags"] == wanted["flags"] and found["age_frames"]["max"] == wanted["age_frames"]["max"]


def test_each_output_can_be_looked_at(start: Start, two_headed_bundle: Path) -> None:
    run = start(bundle=two_headed_bundle)
    bodies = {run.ask(f"/frame.jpg?output={name}&view=labels").body for name in ("labels", "drivable")}
    assert len(bodies) == 2
    assert run.ask("/frame.jpg?output=nothing").status == 400 and run.ask("/frame.jpg?view=x-ray").status == 400
    assert set(json.loads(run.ask().body)["outputs"]) == {"labels", "drivable"}


def test_only_three_things_are_served_and_no_file(start: Start) -> None:
    run = start()
    for path in ("/page.js", "/page.html", "/../preview/page.js", "/%2e%2e/page.py", "/stats.json/", "/etc/passwd"):
        assert run.ask(path).status == 404, path
    assert run.ask("/?" + "&".join(f"a{i}=1" for i in range(50))).status == 400


def test_looking_is_all_that_can_be_done(start: Start) -> None:
    run = start()
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "FOO"):
        refused = run.ask("/", method)
        assert refused.status == 405 and refused.headers["allow"] == "GET, HEAD", method
    head, whole = run.ask("/", "HEAD"), run.ask("/")
    assert head.status == 200 and head.body == b"" and head.headers["content-length"] == str(len(whole.body))


def test_one_connection_serves_many_requests(start: Start) -> None:
    run = start()
    answers = run.send(HEAD + b"\r\n" + HEAD + b"\r\n" + HEAD + b"Connection: close\r\n\r\n")
    assert answers.count(b"HTTP/1.1 200 OK") == 3


def test_what_follows_a_body_is_not_taken_for_a_request(start: Start) -> None:
    hidden = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for header in (f"Content-Length: {len(hidden)}", "Transfer-Encoding: chunked"):
        answers = start().send(HEAD + header.encode() + b"\r\n\r\n" + hidden)
        assert answers.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HEAD + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X%d: 1\r\n" % i for i in range(3000)) + b"\r\n",
    ],
    ids=["long line", "long header", "many headers"],
)
def test_a_request_that_is_too_large_is_refused(start: Start, request_: bytes) -> None:
    run = start()
    with run.connect() as connection:
        connection.sendall(request_[: connections.HEAD_BYTES])
        assert connection.recv(65536).startswith(b"HTTP/1.1 431 ")
    wait_until(lambda: run.preview.server.connections == 0)
    assert run.ask().status == 200


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A B C D E\r\n\r\n"]
)
def test_what_is_no_request_is_refused_and_the_server_goes_on(start: Start, garbage: bytes) -> None:
    run = start()
    assert b"HTTP/1.1 4" in run.send(garbage) or b"HTTP/1.1 505" in run.send(garbage)
    assert run.ask().status == 200


def test_a_request_that_drips_in_is_given_up_on(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.6)
    run = start()
    began_s = time.monotonic()
    with run.connect() as connection:
        connection.sendall(HEAD)
        with pytest.raises(OSError):
            while time.monotonic() - began_s < 10:
                connection.sendall(b"X: y\r\n")
                time.sleep(0.05)
    assert time.monotonic() - began_s < 5
    wait_until(lambda: run.preview.server.connections == 0)


def test_too_many_viewers_are_told_so_and_have_a_place_again_when_others_leave(start: Start) -> None:
    run = start()
    held = [run.connect() for _ in range(connections.MAX_CONNECTIONS)]
    wait_until(lambda: run.preview.server.connections == connections.MAX_CONNECTIONS)
    refused = run.ask("/")
    assert refused.status == 503 and refused.body == b"too many viewers\n"
    for connection in held:
        connection.close()
    wait_until(lambda: run.preview.server.connections == 0)
    assert run.ask("/").status == 200


def test_several_viewers_share_one_copy_and_one_encoding(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    encode = pictures.encode_jpeg
    monkeypatch.setattr(pictures, "encode_jpeg", lambda rgb: encoded.append(1) or encode(rgb))
    run = start()
    began_s = time.monotonic()
    with ThreadPoolExecutor(8) as viewers:
        replies = list(viewers.map(lambda _: run.ask("/frame.jpg"), range(64)))
    most = (time.monotonic() - began_s) * pictures.PICTURES_PER_S + 1
    assert all(reply.status == 200 for reply in replies)
    by_frame = {reply.headers["x-frame-sequence"]: reply.body for reply in replies}
    assert all(by_frame[reply.headers["x-frame-sequence"]] == reply.body for reply in replies)
    assert len(by_frame) <= len(encoded) <= most < 64


def test_viewers_that_stall_lose_the_connection_and_the_loop_does_not_notice(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SEND_S", 2.0)
    ends_s: list[float] = []
    run = start(size=(540, 960), interval_s=0.0, observe=lambda stats: ends_s.append(time.perf_counter()))
    run.wait_frames(50)  # warm
    alone = len(ends_s)
    run.wait_frames(alone + 300)
    alone_ms = np.diff(ends_s[alone:]) * 1e3
    asked = b"GET /frame.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40
    stalled = [run.connect(receive_bytes=4096) for _ in range(6)]
    for connection in stalled:
        connection.sendall(asked)  # and never reads
    wait_until(lambda: run.preview.server.connections == 6)
    assert run.ask("/frame.jpg").status == 200
    first, began_s = len(ends_s), time.monotonic()
    wait_until(lambda: run.preview.server.connections == 0, timeout_s=40)
    held_s = time.monotonic() - began_s
    with_ms = np.diff(ends_s[first:]) * 1e3
    for connection in stalled:
        connection.close()
    assert held_s >= 1.5, "the server has waited for them, in vain"
    assert with_ms.max() < 1000, "the loop has waited for a viewer"
    assert np.median(with_ms) < 1.5 * np.median(alone_ms) + 1.0


def test_the_end_of_the_run_ends_whoever_still_waits(start: Start) -> None:
    run = start(limit=3)
    run.wait_frames(3)
    waiting = [run.connect() for _ in range(4)]
    for connection in waiting:
        connection.sendall(b"GET /frame.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
    idle = run.connect()
    wait_until(lambda: run.preview.server.connections == 5)
    began_s = time.monotonic()
    run.stop()
    assert time.monotonic() - began_s < 1.5
    for connection in (*waiting, idle):
        while connection.recv(65536):
            pass
        connection.close()
    with pytest.raises(ConnectionRefusedError):
        run.ask()


def test_pages_leave_no_thread_and_no_file_behind(plain_bundle: Path) -> None:
    def once() -> tuple[int, int]:
        run = LiveRun(plain_bundle)
        assert run.ask("/frame.jpg").status == 200
        run.connect().close()
        kept = run.connect()
        kept.sendall(HEAD + b"\r\n")
        assert kept.recv(100)
        run.stop()
        kept.close()
        wait_until(lambda: not any("preview" in thread.name for thread in threading.enumerate()))
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    first = once()
    assert {once() for _ in range(5)} == {first}
