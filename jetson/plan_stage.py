"""A TensorRT plan as the plain callable that the reference executor takes, through pycuda.

It is made for checking, not for speed: every call copies its inputs to the device and its outputs back.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.bundle import Storage
from edge_vss.errors import BadInput, DeviceError
from edge_vss.graph import Tensor
from edge_vss.jetson.onnx_names import onnx_names
from edge_vss.jetson.tensorrt_python import load_plan, make_log

__all__ = ["PYCUDA_INSTALL", "PlanStage", "StoredTensor", "cuda_context", "load_cuda"]

PYCUDA_INSTALL = "pip install edge-vss[jetson]"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor at the border of a stage, and how a variant stores it."""

    tensor: Tensor
    storage: Storage

    def store(self, value: NDArray[Any]) -> NDArray[Any]:
        """A value as trained -> the stored array, contiguous."""
        want = np.dtype(self.storage.dtype)
        value = np.asarray(value)
        if self._as_trained or not np.issubdtype(want, np.integer):
            return np.ascontiguousarray(value, want)
        limits = np.iinfo(want)
        scaled = np.rint(value.astype(np.float32) / np.float32(self.storage.scale)) + self.storage.zero_point
        return np.ascontiguousarray(np.clip(scaled, limits.min, limits.max).astype(want))

    def restore(self, stored: NDArray[Any]) -> NDArray[Any]:
        """A stored array -> the value as trained."""
        if self._as_trained:
            return stored
        real = (stored.astype(np.float32) - self.storage.zero_point) * np.float32(self.storage.scale)
        return np.asarray(real, self.tensor.dtype)

    @property
    def _as_trained(self) -> bool:
        return bool(self.storage == Storage(dtype=self.tensor.dtype))


def load_cuda() -> ModuleType:
    """``pycuda.driver``.

    Raises:
        DeviceError: It is not installed or does not load; says what to do.
    """
    try:
        cuda = importlib.import_module("pycuda.driver")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "pycuda":
            raise DeviceError(f"pycuda is not installed; {PYCUDA_INSTALL}") from None
        raise DeviceError(f"pycuda does not load: {error}; {PYCUDA_INSTALL}") from None
    except (ImportError, OSError) as error:
        raise DeviceError(f"pycuda does not load: {error}; {PYCUDA_INSTALL}") from None
    return cuda


@contextmanager
def cuda_context(cuda: ModuleType) -> Iterator[None]:
    """The device's primary context, which TensorRT uses too, for as long as the block lasts."""
    try:
        cuda.init()
        context = cuda.Device(0).retain_primary_context()
        context.push()
    except cuda.Error as error:
        raise DeviceError(f"the GPU cannot be used: {error}") from None
    try:
        yield
    finally:
        context.pop()
        context.detach()


class PlanStage:
    """One stage: arrays as trained in and out, in graph order; stored arrays on the device.

    The ONNX file that the plan was built from says in which order its inputs and outputs come. Buffers are allocated
    once. Use it as a context manager, inside ``cuda_context``.

    Raises:
        BadInput: The plan's inputs and outputs are not those of the stage.
        DeviceError: The plan does not load, memory is short, or execution fails.
    """

    def __init__(
        self,
        trt: ModuleType,
        cuda: ModuleType,
        plan: bytes,
        *,
        onnx: bytes,
        where: str,
        reads: Sequence[StoredTensor],
        writes: Sequence[StoredTensor],
        dla: int | None = None,
    ) -> None:
        self._cuda, self._where = cuda, where
        self._reads, self._writes = tuple(reads), tuple(writes)
        self._buffers: list[Any] = []
        self._context: Any = None
        self._stream: Any = None
        self._log = make_log(trt)
        self._runtime, self._engine = load_plan(trt, self._log, plan, dla)
        if self._engine is None:
            raise DeviceError(f"{where}: TensorRT does not load the plan: {self._log.reason()}")
        try:
            self._prepare(self._check_tensors(trt, onnx))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> PlanStage:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give everything back to the device."""
        for buffer in self._buffers:
            buffer.free()
        self._buffers = []
        self._context = self._stream = self._engine = self._runtime = None

    def __call__(self, *values: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """Run the plan once: one array per input, in graph order, of the tensor's shape and trained type."""
        stored = [tensor.store(value) for tensor, value in zip(self._reads, values, strict=True)]
        outputs = [np.empty(tensor.tensor.shape, tensor.storage.dtype) for tensor in self._writes]
        inputs, results = self._buffers[: len(stored)], self._buffers[len(stored) :]
        try:
            for buffer, array in zip(inputs, stored):
                self._cuda.memcpy_htod_async(buffer, array, self._stream)
            if not self._context.execute_async_v3(self._stream.handle):
                raise DeviceError(f"{self._where}: TensorRT does not run the plan: {self._log.reason()}")
            for array, buffer in zip(outputs, results):
                self._cuda.memcpy_dtoh_async(array, buffer, self._stream)
            self._stream.synchronize()
        except self._cuda.Error as error:
            raise DeviceError(f"{self._where}: the GPU fails: {error}") from None
        return [tensor.restore(array) for tensor, array in zip(self._writes, outputs)]

    def _check_tensors(self, trt: ModuleType, onnx: bytes) -> list[str]:
        """Names of the plan's tensors in the ONNX file's order, after they were compared with the stage's."""
        try:
            inputs, outputs = onnx_names(onnx)
        except ValueError as error:
            raise BadInput(f"{self._where}: its engine file {error}") from None
        wanted = dict.fromkeys(inputs, trt.TensorIOMode.INPUT) | dict.fromkeys(outputs, trt.TensorIOMode.OUTPUT)
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        if wanted != {name: self._engine.get_tensor_mode(name) for name in names}:
            raise BadInput(f"{self._where}: the plan's tensors are not those of its engine file: {', '.join(names)}")
        if (len(inputs), len(outputs)) != (len(self._reads), len(self._writes)):
            raise BadInput(
                f"{self._where}: has {len(inputs)} inputs and {len(outputs)} outputs, the stage reads "
                f"{len(self._reads)} and writes {len(self._writes)}"
            )
        types = _numpy_types(trt)
        for name, want in zip(inputs + outputs, self._reads + self._writes):
            shape = tuple(self._engine.get_tensor_shape(name))
            kind = self._engine.get_tensor_dtype(name)
            if shape != want.tensor.shape or types.get(kind) != want.storage.dtype:
                raise BadInput(
                    f"{self._where}: {name!r} is {types.get(kind, kind)} {shape}, the manifest says that "
                    f"{want.tensor.name!r} is {want.storage.dtype} {want.tensor.shape}"
                )
        return inputs + outputs

    def _prepare(self, names: Sequence[str]) -> None:
        """Execution context, stream and buffers."""
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise DeviceError(f"{self._where}: no execution context, memory may be short: {self._log.reason()}")
        try:
            self._stream = self._cuda.Stream()
            for name, tensor in zip(names, self._reads + self._writes):
                size = tensor.tensor.elements * np.dtype(tensor.storage.dtype).itemsize
                self._buffers.append(self._cuda.mem_alloc(size))
                if not self._context.set_tensor_address(name, int(self._buffers[-1])):
                    raise DeviceError(f"{self._where}: TensorRT refuses the buffer of {name!r}: {self._log.reason()}")
        except self._cuda.MemoryError:
            raise DeviceError(f"{self._where}: out of device memory; close other programs that use the GPU") from None
        except self._cuda.Error as error:
            raise DeviceError(f"{self._where}: the GPU fails: {error}") from None


def _numpy_types(trt: ModuleType) -> dict[Any, str]:
    """TensorRT's types -> those that a manifest knows."""
    kinds = trt.DataType
    return {
        kinds.FLOAT: "float32",
        kinds.HALF: "float16",
        kinds.INT8: "int8",
        kinds.UINT8: "uint8",
        kinds.INT32: "int32",
        kinds.INT64: "int64",
    }
