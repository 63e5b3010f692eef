"""Pre- and post-processing engines for the variants of a bundle."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from edge_vss.bundle import Manifest, PixelEngines, Storage, Variant
from edge_vss.export.pixel_stages import PixelKind, post_stage, pre_stage
from edge_vss.graph import DType

__all__ = ["with_pixel_engines"]


def with_pixel_engines(
    manifest: Manifest, kind: PixelKind, variants: Collection[str]
) -> tuple[Manifest, dict[str, bytes]]:
    """Give variants engines for camera frames of one kind: ``pre``, and ``post`` for every output.

    Args:
        kind: (format, height, width) of the frames; label maps have their size.
        variants: Names.

    Returns:
        The manifest, and the new files. Variants that store the image and the outputs alike share them.
    """
    found, files = [], {}
    for variant in manifest.variants:
        if variant.name in variants:
            engines, made = _engines(manifest, variant, kind)
            variant = msgspec.structs.replace(variant, pixels=engines)
            files.update(made)
        found.append(variant)
    return msgspec.structs.replace(manifest, variants=tuple(found)), files


def _engines(manifest: Manifest, variant: Variant, kind: PixelKind) -> tuple[PixelEngines, dict[str, bytes]]:
    (pixel_format, height, width), spec, graph = kind, manifest.input, manifest.graph
    stored = manifest.storage(variant, graph.image)
    pre = f"pixels/pre.{pixel_format}.{height}x{width}{_mark(variant, stored, graph.tensor(graph.image).dtype)}.onnx"
    files = {pre: pre_stage(spec, pixel_format, height, width, stored, graph.image)}
    post: dict[str, str] = {}
    for output in manifest.outputs:
        tensor, stored = graph.tensor(output.tensor), manifest.storage(variant, output.tensor)
        file = f"pixels/post.{output.name}.{height}x{width}{_mark(variant, stored, tensor.dtype)}.onnx"
        files[file] = post_stage(output, tensor, spec, (height, width), stored)
        post[output.name] = file
    return PixelEngines(format=pixel_format, height=height, width=width, pre=pre, post=post), files


def _mark(variant: Variant, stored: Storage, usual: DType) -> str:
    """What tells apart the files of variants that store a tensor differently."""
    if stored == Storage(dtype=usual):
        return ""
    return f".{stored.dtype}" if stored.dtype == "float16" else f".{variant.name}"
