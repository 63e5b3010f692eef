"""Where the page listens, and who may see it there.

On loopback whoever is on this machine may, as long as the browser was really sent there: a ``Host`` of another name is
a page elsewhere that had its name point here. Elsewhere a token is wanted.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from edge_vss.errors import WrongUsage

__all__ = ["DEFAULT_ADDRESS", "TOKEN_VARIABLE", "Access", "Address", "parse_address"]

DEFAULT_ADDRESS = "127.0.0.1:8077"
TOKEN_VARIABLE = "EDGE_VSS_PREVIEW_TOKEN"
TOKEN = re.compile(r"[A-Za-z0-9_-]{16,256}")
TOKEN_BYTES = 24
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_HOST = re.compile(r"(\[[^\]]*\]|[^:\]]*)(:[0-9]{1,5})?")
_NOWHERE = ("192.0.2.1", 9)
"""An address for documentation: connecting a datagram socket to it sends nothing and tells the way out."""


@dataclass(frozen=True)
class Address:
    """A place to listen at."""

    host: str
    """Name or number, IPv6 without brackets."""
    port: int
    """0 = any that is free."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """``HOST:PORT`` -> its parts; IPv6 in brackets.

    Raises:
        WrongUsage: It is nothing of the kind.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[2]) > 65535:
        raise WrongUsage(f"--preview wants HOST:PORT such as {DEFAULT_ADDRESS} or 0.0.0.0:8077, got {text!r}")
    return Address(found[1].strip("[]"), int(found[2]))


class Access:
    """Who may see the page.

    Args:
        bound: What the socket is bound to.
        environment: Where ``TOKEN_VARIABLE`` is looked up.

    Raises:
        WrongUsage: A token is needed, and the one in the environment is too short to be one.
    """

    def __init__(self, bound: Address, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        given = environment.get(TOKEN_VARIABLE, "")
        self.loopback = is_loopback(bound.host)
        self.token: str | None = None
        """None = nobody is asked for one."""
        if not self.loopback:
            if given and not TOKEN.fullmatch(given):
                raise WrongUsage(f"{TOKEN_VARIABLE} wants 16 to 256 letters, digits, - or _")
            self.token = given or secrets.token_urlsafe(TOKEN_BYTES)
        self.cookie_name = f"edge_vss_preview_{bound.port}"
        """Cookies do not know ports: two previews of one machine need two names."""
        shown = str(Address(_way_in(bound.host), bound.port))
        self.url = f"http://{shown}/"
        """To be told to whoever started the run; holds the token where it was made up here."""
        if self.token:
            self.url += f"?token=${TOKEN_VARIABLE}" if given else f"?token={self.token}"

    def host_fits(self, host: str) -> bool:
        """Whether a request with this ``Host`` was meant for here: always, where a token says so."""
        found = _HOST.fullmatch(host.strip())
        name = found[1].strip("[]").lower() if found else ""
        return not self.loopback or name == "localhost" or is_loopback(name)

    def token_fits(self, token: str) -> bool:
        """Whether this is the token, in a time that does not tell how much of it is right."""
        return self.token is None or hmac.compare_digest(token.encode(errors="replace"), self.token.encode())

    def cookie(self) -> str:
        """What a browser that knows the token is given to keep, for ``Set-Cookie``."""
        return f"{self.cookie_name}={self.token}; Path=/; HttpOnly; SameSite=Strict"

    def token_of(self, cookies: str) -> str:
        """The token that a ``Cookie`` header holds; "" where it holds none."""
        found = re.search(rf"(?:^|;)\s*{self.cookie_name}=([A-Za-z0-9_-]+)\s*(?:;|$)", cookies)
        return found[1] if found else ""


def is_loopback(host: str) -> bool:
    """Whether a number is one of this machine that nothing outside can reach; names are not looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _way_in(host: str) -> str:
    """An address that others can type: for "all of them" the one of the default route, or this machine's name."""
    if host not in ("0.0.0.0", "::"):
        return host
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect(_NOWHERE)
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
