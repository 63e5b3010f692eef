"""What the benchmarks share: where a run took place, tables, JSON, and the native programs they time."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the option that every benchmark has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, help="write the rows here as well")
    return made


def environment(**more: object) -> dict[str, object]:
    """Processor, cores and load, and whatever else the benchmark adds."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {"processor": model, "cores": os.cpu_count(), "load_average": round(os.getloadavg()[0], 2), **more}


def print_table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Rows as aligned text; floats with four figures."""
    text = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[i]) for line in text)) for i, column in enumerate(columns)]
    for line in [list(columns), *text]:
        cells = [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))]
        print("  ".join(cells))


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:.6g}" if 0.99 < value < 1 else f"{value:.4g}"
    return "" if value is None else str(value)


def finish(rows: Sequence[dict[str, Any]], columns: Sequence[str], path: Path | None, where: dict[str, object]) -> None:
    """Print the table and where it was measured; write the same as JSON."""
    print_table(rows, columns)
    print("\n".join(f"{key}: {value}" for key, value in where.items()))
    if path:
        path.write_text(json.dumps({"rows": list(rows), "environment": where}, indent=2) + "\n")


def native_program(name: str) -> Path:
    """Build one of the native programs of tests/native, where it is not up to date, and return its path."""
    build = ROOT / "build" / "native-none"
    if not (build / "CMakeCache.txt").exists():
        configure = [
            "cmake",
            "-S",
            str(ROOT),
            "-B",
            str(build),
            "-G",
            "Ninja",  # as the Makefile has it, for the same folder
            "-DCMAKE_BUILD_TYPE=Release",
            "-DEDGE_VSS_BUILD_TESTS=ON",
        ]
        _quietly([*configure, f"-DPython_EXECUTABLE={sys.executable}"])
    _quietly(["cmake", "--build", str(build), "--target", name])
    return build / "tests" / "native" / name


def _quietly(command: Sequence[str]) -> None:
    # cmake and ninja may be those of the environment that runs this.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path})
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
