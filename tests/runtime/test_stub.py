"""The committed stubs say what the extension really has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STUBS = Path(__file__).parents[2] / "runtime" / "_native"


def test_committed_stubs_are_those_of_the_extension(tmp_path: Path) -> None:
    pytest.importorskip("nanobind", reason="stubs are written by nanobind, of the dev extra")
    command = [
        sys.executable,
        "-m",
        "nanobind.stubgen",
        "-q",
        "-r",
        "-m",
        "edge_vss.runtime._native",
        "-O",
        str(tmp_path),
    ]
    subprocess.run(command, check=True, cwd="/")
    written = {path.name: path.read_text() for path in (tmp_path / "_native").iterdir()}
    assert written == {path.name: path.read_text() for path in STUBS.iterdir()}, "make stubs, and commit them"
