"""Variants for other machines, computed on this one: ONNX Runtime takes the engines as they are written.

QuantizeLinear and DequantizeLinear are computed one by one, in float, as ONNX defines them, so an engine's accuracy can
be judged without its back end. Its speed cannot. float16 becomes float32 inside ONNX Runtime's kernels on CPUs:
overflow does not show here, which is what the calibrated islands are for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from edge_vss.bundle import Bundle, EngineRef, Variant, write_bundle
from edge_vss.reference_engines import engine_function

__all__ = ["emulated"]

Operations = dict[str, Callable[..., Sequence[Any]]]


@contextmanager
def emulated(bundle: Bundle, variant: Variant, *, threads: int = 0) -> Iterator[tuple[Path, Operations]]:
    """A bundle whose only variant calls back for every stage, and the operations to give to ``Pipeline``.

    Raises:
        BadInput: An engine is missing or changed, or ONNX Runtime does not take it.
    """
    operations, engines = {}, {}
    for stage, engine in variant.engines.items():
        name = f"emulated/{variant.name}/{stage}"
        operations[name] = engine_function(bundle.read(engine.file), name=name, threads=threads, emulated=True)
        engines[stage] = EngineRef(operation=name)
    calling = msgspec.structs.replace(variant, backend="plain", engines=engines, golden={}, pixels=None)
    manifest = msgspec.structs.replace(bundle.manifest, variants=(calling,), golden_frames="", files={})
    with tempfile.TemporaryDirectory(prefix="edge-vss-") as folder:
        path = Path(folder) / "emulated.bundle"
        write_bundle(path, manifest, {})
        yield path, operations
