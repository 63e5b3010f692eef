"""The page as one file: markup, style and script put together, with a policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Page", "load_page"]


@dataclass(frozen=True)
class Page:
    """A page that needs no other file."""

    html: bytes
    policy: str
    """``Content-Security-Policy``: this style, this script, and pictures and figures of this server."""


def load_page() -> Page:
    """Put together ``page.html``, ``page.css`` and ``page.js`` from the folder of this module."""
    folder = Path(__file__).parent
    markup, style, script = (
        (folder / f"page.{suffix}").read_text(encoding="utf-8") for suffix in ("html", "css", "js")
    )
    html = markup.replace("/* page.css */", style).replace("/* page.js */", script)
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html.encode(), policy)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
