"""The folder that a profile leaves behind: ``report.json``, ``report.html`` and ``trace.json``, whole or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_vss.errors import BadInput
from edge_vss.places import check_place, make_folder, write_file
from edge_vss.profiling.page import build_page
from edge_vss.profiling.report import FORMAT

__all__ = ["check_folder", "plain", "read_report", "write_outputs"]

LARGEST = 1e19
MAX_BYTES = 64 << 20
GROUPS = ("latency_ms", "environment", "valid", "stages", "update_rate", "samples", "prices", "power", "pacing")


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written, before the measurement rather than after it.

    Raises:
        BadInput: Something else is in the way, or nothing can be written there.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder}: is not a folder; choose another output")
    check_place(folder / "report.json" if folder.is_dir() else folder)


def write_outputs(folder: Path, report: Mapping[str, Any], trace: Mapping[str, Any]) -> list[Path]:
    """Write the three files; earlier ones are replaced, each at once.

    Raises:
        BadInput: They cannot be written.
    """
    contents = {
        "trace.json": json.dumps(trace, separators=(",", ":"), allow_nan=False),
        "report.html": build_page(report),
        "report.json": json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    }
    make_folder(folder)
    for name, text in contents.items():
        write_file(folder / name, text.encode())
    return [folder / name for name in reversed(contents)]


def plain(value: Any) -> Any:
    """Numbers that JSON knows: what is not finite becomes None, so that all outputs say the same."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _finite(value: Any) -> bool:
    """Whether every number is of a size that can have been measured; bytes and nanoseconds are the largest."""
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, int | float) or abs(value) < LARGEST


def _below_zero(value: Any) -> bool:
    """Whether a price is; what is left over between parts of a frame may be, by a little."""
    if isinstance(value, Mapping):
        return any(_below_zero(found) for key, found in value.items() if key not in ("rest", "between"))
    if isinstance(value, list):
        return any(map(_below_zero, value))
    return isinstance(value, int | float) and value < 0


def read_report(path: Path) -> dict[str, Any]:
    """A ``report.json``.

    Raises:
        BadInput: It is missing, no report, or one of another version.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path}: is too large for a report of edge-vss profile")
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise BadInput(f"{path}: is not JSON; give a report.json of edge-vss profile") from None
    kind = found.get("format") if isinstance(found, dict) else None
    if kind != FORMAT:
        if isinstance(kind, str) and kind.startswith(FORMAT.rpartition(" ")[0]):
            raise BadInput(f"{path}: is {kind!r}, this build reads {FORMAT!r}; profile again")
        raise BadInput(f"{path}: is no report of edge-vss profile; give its report.json")
    if not _finite(found):
        raise BadInput(f"{path}: is a damaged report: a number in it is beyond all measure; profile again")
    missing = [key for key in GROUPS if not isinstance(found.get(key), dict)]
    if missing:
        raise BadInput(f"{path}: is a damaged report: {', '.join(missing)} missing; profile again")
    if _below_zero(found.get("prices")):
        raise BadInput(f"{path}: is a damaged report: a price in it is below zero; profile again")
    return dict(found)
