"""What a built plan really computes in, read back with TensorRT's engine inspector.

A builder may leave layers in another type than was asked for. The inspector's JSON differs between versions:
TensorRT 10 gives every tensor one text ``Format/Datatype``, TensorRT 11 splits format and type; both are read here,
and the plain text form where the JSON cannot be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Layer", "count_types", "read_layers", "refusal"]

NAMES = {
    "INT4": ("int4",),
    "FP4": ("fp4",),
    "INT8": ("int8", "i8"),
    "FP8": ("fp8", "e4m3", "fp8e4m3"),
    "FP16": ("fp16", "half", "float16"),
    "BF16": ("bf16", "bfloat16", "bfloat"),
    "FP32": ("fp32", "float", "float32", "tf32"),
    "other": ("uint8", "int32", "int64", "bool"),
}
"""Type -> how versions of TensorRT write it, narrowest first."""
TYPE_OF = {spelling: name for name, spellings in NAMES.items() for spelling in spellings}
TYPE_WORD = re.compile(r"\b(" + "|".join(sorted(TYPE_OF, key=len, reverse=True)) + r")\b", re.IGNORECASE)
RANK = {name: place for place, name in enumerate(NAMES)}
TYPE_KEYS = ("Format/Datatype", "Datatype", "DataType", "Type", "Precision")
MOVING = frozenset({"reformat", "noop", "constant", "signal", "wait", "shapehosttodevicecopy"})
"""Layers that carry data without computing: a copy between types says nothing of the types computed in."""
MAX_LISTED = 12


@dataclass(frozen=True)
class Layer:
    """One layer of a plan."""

    name: str
    kind: str
    """TensorRT's own word for the layer, such as ``CaskConvolution``; empty where it does not say."""
    type: str
    """Narrowest type that the layer reads (weights included): INT8, FP16, FP32, ...; "other" for integers, or
    "unknown"."""

    @property
    def computes(self) -> bool:
        """Whether it does more than to carry data."""
        return self.kind.lower() not in MOVING

    @property
    def on_dla(self) -> bool:
        """Whether it runs on a deep-learning accelerator."""
        return self.kind.lower() == "dla"


def read_layers(information: str, oneline: Callable[[], str]) -> tuple[Layer, ...]:
    """The layers of a plan.

    Args:
        information: What the inspector says of the engine as JSON.
        oneline: Gives the same as plain text, a layer a line; called only where the JSON has no layers with types.
    """
    try:
        found = json.loads(information)
    except json.JSONDecodeError:
        found = {}
    entries = found.get("Layers", []) if isinstance(found, dict) else []
    if entries and all(isinstance(entry, dict) for entry in entries):
        return tuple(_layer(entry) for entry in entries)
    return tuple(_layer_of_line(line) for line in _layer_lines(oneline()))


def count_types(layers: Sequence[Layer]) -> dict[str, int]:
    """Type -> number of computing layers, narrowest type first."""
    types = [layer.type for layer in layers if layer.computes]
    return {name: types.count(name) for name in sorted(set(types), key=lambda name: RANK.get(name, len(RANK)))}


def refusal(asked: str, layers: Sequence[Layer]) -> str:
    """Why a plan is not what was asked for; empty where it is.

    Args:
        asked: Precision of the variant. ``int8`` and ``fp16`` may hold wider layers, but not those alone.
    """
    if asked not in ("int8", "fp16"):
        return ""
    counts = count_types(layers)
    if any(RANK.get(name, len(RANK)) < RANK["FP32"] for name in counts):
        return ""
    wide = [layer for layer in layers if layer.computes and layer.type == "FP32"]
    if wide:
        listed = ", ".join(f"{layer.name} {layer.type}" for layer in wide[:MAX_LISTED])
        more = f" and {len(wide) - MAX_LISTED} more" if len(wide) > MAX_LISTED else ""
        return f"asked for as {asked.upper()}, came out FP32 throughout: {listed}{more}"
    if not layers or "unknown" in counts:
        return f"asked for as {asked.upper()}, and the engine inspector does not say what it computes in"
    return ""  # integers alone, such as a stage that only picks labels


def _layer(entry: Mapping[str, Any]) -> Layer:
    texts = [_type_text(tensor) for tensor in entry.get("Inputs") or ()]
    weights = entry.get("Weights")
    if isinstance(weights, dict) and weights.get("Count", 1):
        texts.append(_type_text(weights))
    if not any(texts):  # a layer without inputs, or one whose tensors carry no type
        texts = [_type_text(tensor) for tensor in entry.get("Outputs") or ()] + [_type_text(entry)]
    return Layer(str(entry.get("Name", "")), str(entry.get("LayerType", "")), _narrowest(texts))


def _type_text(tensor: Any) -> str:
    if not isinstance(tensor, dict):
        return ""
    return next((str(tensor[key]) for key in TYPE_KEYS if key in tensor), "")


def _narrowest(texts: Sequence[str]) -> str:
    found = [TYPE_OF[word.lower()] for text in texts for word in TYPE_WORD.findall(text)]
    return min(found, key=RANK.__getitem__, default="unknown")


def _layer_lines(text: str) -> list[str]:
    """Lines that describe layers: those before the list of inputs and outputs of the engine."""
    lines = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if re.match(r"(Bindings|I/O Tensors)\b", line):
            break
        if not re.fullmatch(r"Layers:?", line):
            lines.append(line)
    return lines


def _layer_of_line(line: str) -> Layer:
    """``Name: n, LayerType: k, Inputs: [...], Outputs: [...]`` or ``Layer(k): n, Tactic: t, in (T[..]) -> out``."""
    name = re.search(r"\bName: ([^,]*)|^Layer\([^)]*\): ([^,]*)", line)
    kind = re.search(r"\bLayerType: ([^,]*)|^Layer\(([^)]*)\)", line)
    inputs = re.split(r"\bOutputs:|->", line)[0]
    return Layer(
        next(filter(None, name.groups()), line) if name else line,
        next(filter(None, kind.groups()), "") if kind else "",
        _narrowest([inputs]),
    )
