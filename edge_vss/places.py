"""Places to write to: refused before the slow work where nothing can be written, and in words that are true."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from edge_vss.errors import BadInput

__all__ = ["check_folder", "check_place", "make_folder", "write_file"]


def check_place(path: Path) -> None:
    """Really write a small file where ``path``, or the first folder missing above it, is to appear; it is removed.

    Raises:
        BadInput: ``path`` is a device or a pipe, lies inside a bundle, or nothing can be written there.
    """
    for folder in path.resolve().parents:
        if _is_bundle(folder):
            raise BadInput(f"{path}: lies inside the bundle {folder}; choose another output")
    if path.exists() and not path.is_dir() and not path.is_file():
        raise BadInput(f"{path}: is neither a file nor a folder; choose another output")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise BadInput(f"{path}: cannot write here: {above} is not a folder")
    try:
        with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", suffix=".part", dir=above) as probe:
            probe.write(b"edge-vss")
            probe.flush()
    except OSError as error:
        raise BadInput(f"{path}: cannot write here: {above} takes no files ({error.strerror or error})") from None


def _is_bundle(folder: Path) -> bool:
    """Whether a folder looks like a bundle, whole or not: verbs that write bundles replace all of it."""
    return (folder / "manifest.json").is_file() and (folder / "engines").is_dir()


def check_folder(path: Path) -> None:
    """Refuse what ``make_folder`` would, and leave nothing behind; raises as it does."""
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path}: is not a folder; choose another output")
    check_place(path / "file" if path.is_dir() else path)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where missing.

    Raises:
        BadInput: Something else is in the way, or it cannot be written.
    """
    check_folder(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{path}: cannot write here: {error.strerror or error}") from None


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole, or leave what is there: under a temporary name first.

    Raises:
        BadInput: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot write here: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):  # a parent that is a file
            temporary.unlink(missing_ok=True)
