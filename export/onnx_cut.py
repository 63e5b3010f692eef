"""Cutting an ONNX network at named tensors: parts in order, and every tensor that crosses from one to another."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from edge_vss.errors import BadInput
from edge_vss.export.onnx_file import node_reads

__all__ = ["Part", "cut_model", "extract", "plain_names"]

MAX_PARTS = 32


@dataclass(frozen=True)
class Part:
    """Some nodes of a network that run together."""

    nodes: tuple[int, ...]
    """Places in the model's node list, in order."""
    inputs: tuple[str, ...]
    """Tensors from other parts, or the image."""
    outputs: tuple[str, ...]
    """Tensors that other parts read, or outputs of the network."""


def cut_model(model: onnx.ModelProto, cut: Iterable[str], path: Path) -> tuple[Part, ...]:
    """Sort the nodes into parts: each cut tensor ends one, with all that it needs and no part before it holds.

    Args:
        cut: Tensor names, in any order; none gives one part.

    Raises:
        BadInput: A name that no node writes (the nearest ones are suggested), an output, or nothing left to cut off.
    """
    nodes = list(model.graph.node)
    writer = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    outputs = [value.name for value in model.graph.output]
    names = list(dict.fromkeys(cut))
    for name in names:
        if name not in writer:
            near = difflib.get_close_matches(name, writer, 3, 0.4)
            hint = f"; near names: {', '.join(near)}" if near else ""
            raise BadInput(f"{path}: no tensor {name!r} to cut at{hint}")
        if name in outputs:
            raise BadInput(f"{path}: {name!r} is an output, so nothing comes after a cut there")
    if len(names) >= MAX_PARTS:
        raise BadInput(f"{path}: {len(names)} cuts are too many, want at most {MAX_PARTS - 1}")
    reads = [[writer[name] for name in node_reads(node) if name in writer] for node in nodes]
    taken: set[int] = set()
    groups = []
    for goal in [*([name] for name in sorted(names, key=writer.__getitem__)), outputs]:
        needed = _above([writer[name] for name in goal if name in writer], reads) - taken
        if not needed:
            raise BadInput(f"{path}: the cut at {goal[0]!r} leaves a part without anything to compute")
        taken |= needed
        groups.append(sorted(needed))
    return _with_crossings(model, groups)


def _above(goals: Iterable[int], reads: Sequence[Sequence[int]]) -> set[int]:
    """Places of the nodes that ``goals`` need, themselves included."""
    found: set[int] = set()
    todo = list(goals)
    while todo:
        place = todo.pop()
        if place not in found:
            found.add(place)
            todo += reads[place]
    return found


def _with_crossings(model: onnx.ModelProto, groups: Sequence[Sequence[int]]) -> tuple[Part, ...]:
    nodes = list(model.graph.node)
    image, final = model.graph.input[0].name, {value.name for value in model.graph.output}
    home = {name: part for part, group in enumerate(groups) for place in group for name in nodes[place].output if name}
    wanted: list[dict[str, None]] = [{} for _ in groups]
    crossing = set(final)
    for part, group in enumerate(groups):
        for place in group:
            for name in node_reads(nodes[place]):
                if name == image or (name in home and home[name] != part):
                    wanted[part][name] = None
                    crossing.add(name)
    return tuple(
        Part(
            nodes=tuple(group),
            inputs=tuple(wanted[part]),
            outputs=tuple(name for place in group for name in nodes[place].output if name in crossing),
        )
        for part, group in enumerate(groups)
    )


def extract(
    model: onnx.ModelProto, part: Part, names: Mapping[str, str], values: Mapping[str, onnx.ValueInfoProto]
) -> onnx.ModelProto:
    """One part as a model of its own, weights embedded.

    Args:
        names: Tensor that crosses -> its name in the engine.
        values: Tensor that crosses -> its type and shape.
    """
    nodes = [onnx.NodeProto.FromString(model.graph.node[place].SerializeToString()) for place in part.nodes]
    used = {name for node in nodes for name in node_reads(node)}
    weights = [tensor for tensor in model.graph.initializer if tensor.name in used]
    graph = onnx.helper.make_graph(
        nodes,
        "part",
        [values[name] for name in part.inputs],
        [values[name] for name in part.outputs],
        initializer=weights,
    )
    _rename(graph, {name: names[name] for name in (*part.inputs, *part.outputs)})
    found = onnx.helper.make_model(graph, opset_imports=model.opset_import)
    found.ir_version = min(found.ir_version, max(model.ir_version, 4))
    return found


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Rename tensors everywhere; what already has one of the new names makes room."""
    new = set(names.values()) - set(names)
    known = {name for node in graph.node for name in (*node.input, *node.output)} | {t.name for t in graph.initializer}
    full = dict(names) | {name: f"{name}.inner" for name in new & known}
    _rename_in(graph, full)


def _rename_in(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for field in (node.input, node.output):
            for place, name in enumerate(field):
                field[place] = names.get(name, name)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename_in(inner, names)


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Tensor name of a file -> a name for the manifest: letters, digits, '_', '.' and '-', all different."""
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_.\-]+", "_", name).strip("_.-")[:96] or "tensor"
        if not plain[0].isalpha():
            plain = f"t_{plain}"
        taken = set(found.values())
        found[name] = next(p for p in (plain, *(f"{plain}_{i}" for i in range(2, 10000))) if p not in taken)
    return found
