"""One PyTorch module → one ONNX engine: static shapes, batch 1, batch norms folded, the graph's tensor names."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from edge_vss.export.proto import OPSET, finish_model
from edge_vss.graph import Tensor

__all__ = ["TORCH_DTYPES", "export_module"]

TORCH_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "uint8": torch.uint8,
    "int8": torch.int8,
    "int32": torch.int32,
    "int64": torch.int64,
}


def export_module(module: nn.Module, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> bytes:
    """Write a module down as ONNX.

    Args:
        module: Takes ``inputs`` positionally, returns a tuple of ``outputs``. It is copied, not changed.
        inputs: Name, shape and type of each input.
        outputs: The same for each output; what the exporter finds must agree.

    Raises:
        ValueError: The module does not give what ``outputs`` says, or has no ONNX form.
    """
    module = copy.deepcopy(module).cpu().float().eval()
    examples = tuple(torch.zeros(tensor.shape, dtype=TORCH_DTYPES[tensor.dtype]) for tensor in inputs)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            examples,
            dynamo=True,
            opset_version=OPSET,
            input_names=[tensor.name for tensor in inputs],
            output_names=[tensor.name for tensor in outputs],
            optimize=True,
            verbose=False,
        )
    assert program is not None
    return finish_model(program.model_proto, inputs, outputs)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks and traces, which nobody asked for, away from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.__trace")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
