"""Reading what the kernel tells in files: under any root, so that a simulated board is read by the same code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["hwmon_devices", "numbered", "read_int", "read_text"]


def read_text(path: Path) -> str | None:
    """A small file without the blanks and zero bytes around its content; None where it cannot be read."""
    try:
        return path.read_bytes().decode(errors="replace").strip("\0 \t\r\n")
    except OSError:
        return None


def read_int(path: Path) -> int | None:
    """A file that holds one whole number; None where it cannot be read or holds something else."""
    try:
        return int(path.read_bytes())
    except (OSError, ValueError):
        return None


def numbered(folder: Path, pattern: str) -> list[Path]:
    """What matches in a folder, in the order of the numbers in the names; empty where there is none."""
    try:
        found = list(folder.glob(pattern))
    except OSError:
        return []
    return sorted(found, key=lambda path: [int(number) for number in re.findall(r"\d+", path.name)])


def hwmon_devices(root: Path, name: str) -> Iterator[Path]:
    """The sensors of one driver, each once. Their numbers change from one start of the machine to the next."""
    seen = set()
    for device in numbered(root / "sys/class/hwmon", "hwmon*"):
        where = device.resolve()
        if where not in seen and read_text(device / "name") == name:
            seen.add(where)
            yield device
