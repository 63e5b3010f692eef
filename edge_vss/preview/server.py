"""What can be asked for over HTTP: the page, its picture and its figures; nothing else, and no file by its name."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edge_vss.preview.address import Access, Address
from edge_vss.preview.connections import SEND_S, BoundedReader, BoundedServer, HeadTooLarge
from edge_vss.preview.page import Page

__all__ = ["Answer", "PreviewServer"]

MAX_FIELDS = 8
"""Of a query."""
POLL_S = 0.1
"""Longest time until the server notices that it is to end."""
_TEXT = "text/plain; charset=utf-8"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NOTHING_ALLOWED = "default-src 'none'; frame-ancestors 'none'"


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    body: bytes
    kind: str = _TEXT
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] | None = None


def say(status: HTTPStatus, text: str, **headers: str) -> Answer:
    """One line of text."""
    return Answer(f"{text}\n".encode(), status=status, headers={key.replace("_", "-"): headers[key] for key in headers})


class PreviewServer(BoundedServer):
    """Serves the page.

    Args:
        picture: Query field by field -> the newest picture.
        figures: What ``/stats.json`` holds.

    Raises:
        DeviceError: Nothing can listen at this address now.
        WrongUsage: It wants a token, and the one in the environment is none.
    """

    def __init__(
        self,
        address: Address,
        *,
        page: Page,
        picture: Callable[[Mapping[str, str]], Answer],
        figures: Callable[[], dict[str, Any]],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(address, _Handler)
        try:
            self.access = Access(self.bound, environment)
        except BaseException:
            self.server_close()
            raise
        self._page, self._picture, self._figures = page, picture, figures
        self._thread = threading.Thread(target=self.serve_forever, args=(POLL_S,), name="edge-vss-preview", daemon=True)
        self._thread.start()

    def answer(self, path: str, query: Mapping[str, str]) -> Answer:
        """What is at this path."""
        if path == "/":
            return Answer(
                self._page.html, "text/html; charset=utf-8", headers={"Content-Security-Policy": self._page.policy}
            )
        if path == "/stats.json":
            return Answer(json.dumps(self._figures(), allow_nan=False).encode(), "application/json")
        if path == "/frame.jpg":
            return self._picture(query)
        return say(HTTPStatus.NOT_FOUND, "nothing here; there are /, /frame.jpg and /stats.json")

    def end(self) -> None:
        super().end()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: PreviewServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = SEND_S

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._reader = BoundedReader(self.connection)
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        """Serve one request; whoever is too slow, sends too much or leaves loses the connection."""
        self._reader.begin()
        self.command, self.requestline = "", ""
        try:
            super().handle_one_request()
        except HeadTooLarge:
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        except OSError:
            self.close_connection = True

    def do_GET(self) -> None:
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # what follows is no request
        self._send(self._answer())

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self) -> Answer:
        access = self.server.access
        if not access.host_fits(self.headers.get("Host", "")):
            return say(HTTPStatus.FORBIDDEN, "this page is for this machine: open it as localhost or 127.0.0.1")
        try:
            parts = urlsplit(self.path)
            fields = parse_qs(parts.query, max_num_fields=MAX_FIELDS)
        except ValueError:
            return say(HTTPStatus.BAD_REQUEST, "not an address, or one with too many fields")
        query = {key: values[-1] for key, values in fields.items()}
        if access.token is None:
            return self.server.answer(parts.path, query)
        given = query.get("token")
        if not access.token_fits(access.token_of(self.headers.get("Cookie", "")) if given is None else given):
            return say(HTTPStatus.FORBIDDEN, "the token is missing or wrong: open the address that the run has printed")
        answer = self.server.answer(parts.path, query)
        if given is None:
            return answer
        return Answer(
            answer.body, answer.kind, answer.status, {**(answer.headers or {}), "Set-Cookie": access.cookie()}
        )

    def _send(self, answer: Answer) -> None:
        """Head and body in one go, which has ``SEND_S`` to be taken."""
        viewer, self.wfile = self.wfile, io.BytesIO()
        try:
            self.send_response(answer.status)
            own = {"Content-Security-Policy": _NOTHING_ALLOWED, **_HEADERS, **(answer.headers or {})}
            for name, value in own.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
            content = self.wfile.getvalue()
        finally:
            self.wfile = viewer
        self.connection.settimeout(SEND_S)
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses, in our words."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            answer = say(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", Allow="GET, HEAD")
        else:
            status = HTTPStatus(code)
            answer = say(status, status.phrase.lower())
        self.close_connection, self.request_version = True, self.protocol_version
        try:
            self._send(answer)
        except OSError:  # it has left, or does not listen
            return

    def version_string(self) -> str:
        return "edge-vss"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the journal is for the run."""
