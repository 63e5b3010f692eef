"""Where TensorRT plans lie and what they are called.

A plan works with the very TensorRT build and GPU architecture that built it, so a bundle holds ONNX files and plans
lie in a folder of the machine. Their names say what they were built from and for:
``<sha256 of the ONNX file>.trt-<TensorRT version>.sm<NN>.<precision>.<flags>.plan``. The native engine finds them by
that name.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from edge_vss.cache import cache_folder
from edge_vss.errors import BadInput
from edge_vss.jetson.device import Device

__all__ = ["BuildOptions", "PlanFolder", "plans_path"]

MAX_LEVEL = 5
VERSION = re.compile(r"\d+(\.\d+){0,3}")
"""The numbers of a version: packages add ``.post1`` and the like, of which the library knows nothing."""


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What a plan depends on besides the ONNX file, TensorRT and the GPU."""

    workspace_mib: int = 1024
    """Most scratch memory that a layer may take, MiB, >= 1."""
    level: int = 3
    """TensorRT's builder optimisation level, 0..5; 3 is its default."""
    dla: int | None = None
    """Number of the deep-learning accelerator to use, >= 0; None = the GPU alone."""

    def __post_init__(self) -> None:
        if self.workspace_mib < 1:
            raise ValueError(f"workspace_mib must be >= 1, got {self.workspace_mib}")
        if not 0 <= self.level <= MAX_LEVEL:
            raise ValueError(f"level must be in 0..{MAX_LEVEL}, got {self.level}")
        if self.dla is not None and self.dla < 0:
            raise ValueError(f"dla must be >= 0, got {self.dla}")

    @property
    def flags(self) -> str:
        """As plan names have it, such as ``o3-w1024`` or ``o3-w1024-dla0``."""
        return f"o{self.level}-w{self.workspace_mib}" + ("" if self.dla is None else f"-dla{self.dla}")


def plans_path() -> Path:
    """``EDGE_VSS_PLANS``, else ``$XDG_CACHE_HOME/edge-vss/plans``, else ``~/.cache/edge-vss/plans``."""
    return cache_folder("plans", "EDGE_VSS_PLANS")


class PlanFolder:
    """The plans of one TensorRT version and one GPU architecture.

    Raises:
        BadInput: The folder cannot be made or written to; said before anything is built.
    """

    def __init__(self, version: str, device: Device) -> None:
        self.path = plans_path()
        numbers = VERSION.match(version)
        self._suffix = f"trt-{numbers[0] if numbers else version}.{device.sm}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise BadInput(f"{self.path}: cannot write here; set EDGE_VSS_PLANS to a folder that can be written to")

    def plan(self, onnx: bytes, precision: str, options: BuildOptions) -> Path:
        """Where the plan of an ONNX file lies or will lie."""
        digest = hashlib.sha256(onnx).hexdigest()
        return self.path / f"{digest}.{self._suffix}.{precision}.{options.flags}.plan"

    def read_plan(self, path: Path) -> bytes:
        """A plan's bytes; empty where there is none.

        A plan that is used becomes the newest one of its ONNX file, which is the one that the runtime takes.
        """
        try:
            data = path.read_bytes()
            os.utime(path)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._unwritable(error) from None
        return data

    def read_timing(self) -> bytes:
        """The timing cache, which makes later builds faster; empty where there is none."""
        try:
            return self._timing.read_bytes()
        except OSError:
            return b""

    def write(self, path: Path, data: bytes) -> None:
        """Write a file of the folder whole: under a temporary name, then renamed."""
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            try:
                part.write_bytes(data)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def write_timing(self, data: bytes) -> None:
        """Keep the timing cache for later builds."""
        self.write(self._timing, data)

    @property
    def _timing(self) -> Path:
        return self.path / f"timing.{self._suffix}.cache"

    def _unwritable(self, error: OSError) -> BadInput:
        reason = error.strerror or str(error)
        return BadInput(f"{self.path}: cannot write here: {reason}; set EDGE_VSS_PLANS to a folder of your own")
