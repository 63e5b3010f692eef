"""Class lists of the user's own: of a network, or of a data set."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from edge_vss.bundle import ClassInfo
from edge_vss.bundle.schema import repeated_class
from edge_vss.data.classes import some_colour
from edge_vss.errors import BadInput

__all__ = ["ALL", "Classes", "read_classes"]

MAX_CLASSES = 255
WHOLE = re.compile(r"[+-]?[0-9]+")


Classes = tuple[ClassInfo, ...]
ALL = ""


def read_classes(path: Path) -> dict[str, Classes]:
    """Read names and colours: a JSON list of names or ``{"name", "colour"}``, or lines ``name [red green blue]``.

    In text files everything after ``#`` is a comment. Classes without a colour get one of their own. Where outputs
    differ in their classes, the JSON is an object: output name -> list.

    Returns:
        Output name -> classes; ``""`` stands for every output.

    Raises:
        BadInput: Missing, not readable as either, a colour outside 0..255, one name twice, or not 1 to 255 classes.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such class list") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a readable class list: {error}") from None
    if path.suffix.lower() != ".json" and not text.lstrip().startswith(("[", "{")):
        return {ALL: _classes(_from_lines(text), path)}
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{path}: not a JSON list of classes: {error}") from None
    lists = content if isinstance(content, dict) else {ALL: content}
    return {name: _classes(_from_json(entries, path), path) for name, entries in lists.items()}


def _classes(entries: list[tuple[Any, Any]], path: Path) -> Classes:
    if not 1 <= len(entries) <= MAX_CLASSES:
        raise BadInput(f"{path}: want 1 to {MAX_CLASSES} classes, got {len(entries)}")
    found = tuple(_class(place, name, colour, path) for place, (name, colour) in enumerate(entries))
    twice = repeated_class(found)
    if twice is not None:
        raise BadInput(f"{path}: has the class {twice!r} more than once")
    return found


def _from_json(entries: Any, path: Path) -> list[tuple[Any, Any]]:
    if not isinstance(entries, list):
        raise BadInput(f"{path}: want a JSON list of classes")
    found = []
    for entry in entries:
        if isinstance(entry, str):
            entry = {"name": entry}
        if not isinstance(entry, dict) or "name" not in entry:
            raise BadInput(f"{path}: a class is a name or {{'name', 'colour'}}, got {str(entry)[:60]}")
        found.append((entry["name"], entry.get("colour")))
    return found


def _from_lines(text: str) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 3 and all(WHOLE.fullmatch(word) for word in words[-3:]):
            found.append((" ".join(words[:-3]), [int(word) for word in words[-3:]]))
        elif words:
            found.append((" ".join(words), None))
    return found


def _class(place: int, name: Any, colour: Any, path: Path) -> ClassInfo:
    if not isinstance(name, str) or not name.strip():
        raise BadInput(f"{path}: class {place} has no name")
    if not name.isprintable():
        raise BadInput(f"{path}: the name of class {place} cannot be printed: {name!a}")
    if colour is None:
        return ClassInfo(name=name, colour=some_colour(place))
    good = isinstance(colour, list) and len(colour) == 3 and all(type(v) is int and 0 <= v <= 255 for v in colour)
    if not good:
        raise BadInput(f"{path}: class {name!r} has colour {colour}, want three whole numbers in 0..255")
    return ClassInfo(name=name, colour=(colour[0], colour[1], colour[2]))
