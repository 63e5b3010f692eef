"""The names of an ONNX file's inputs and outputs, in the file's order, without the ``onnx`` package.

A manifest's tensors and an ONNX file's are matched by place. TensorRT keeps the names, and promises no order.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["onnx_names"]

# Where onnx.proto keeps what is read here.
MODEL_GRAPH = 7
GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT = 5, 11, 12
TENSOR_NAME, VALUE_NAME = 8, 1
VARINT, EIGHT_BYTES, LENGTH_DELIMITED, FOUR_BYTES = 0, 1, 2, 5


def onnx_names(model: bytes) -> tuple[list[str], list[str]]:
    """Names of the inputs and of the outputs; weights that old files list as inputs are left out.

    Raises:
        ValueError: The bytes are not an ONNX model.
    """
    inputs: list[str] = []
    outputs: list[str] = []
    weights: set[str] = set()
    for graph in _parts(memoryview(model), MODEL_GRAPH):
        for field, value in _fields(graph):
            if field == GRAPH_INPUT:
                inputs += _texts(value, VALUE_NAME)
            elif field == GRAPH_OUTPUT:
                outputs += _texts(value, VALUE_NAME)
            elif field == GRAPH_INITIALIZER:
                weights.update(_texts(value, TENSOR_NAME))
    if not outputs:
        raise ValueError("is not an ONNX model: it has no outputs")
    return [name for name in inputs if name not in weights], outputs


def _texts(message: memoryview, wanted: int) -> list[str]:
    return [bytes(value).decode(errors="replace") for value in _parts(message, wanted)]


def _parts(message: memoryview, wanted: int) -> Iterator[memoryview]:
    return (value for field, value in _fields(message) if field == wanted)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The length-delimited fields of a protobuf message; others are stepped over."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        wire = key & 7
        if wire == VARINT:
            _, place = _varint(message, place)
            continue
        if wire == LENGTH_DELIMITED:
            size, place = _varint(message, place)
        elif wire in (EIGHT_BYTES, FOUR_BYTES):
            size = 8 if wire == EIGHT_BYTES else 4
        else:
            raise ValueError(f"is not an ONNX model: wire type {wire}")
        if size > len(message) - place:
            raise ValueError("is not an ONNX model: it ends early")
        if wire == LENGTH_DELIMITED:
            yield key >> 3, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number of variable length, and where the next thing begins."""
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("is not an ONNX model: a number has no end")
