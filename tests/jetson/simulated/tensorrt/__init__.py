"""A stand-in for ``tensorrt`` that computes with ONNX Runtime. Its classes carry the real ones' names."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import numpy as np
import onnx
import onnxruntime
from simulation import Object, record_module, state

from .enumerations import (
    NUMPY,
    ONNX_TYPES,
    DataType,
    DeviceType,
    LayerInformationFormat,
    NetworkDefinitionCreationFlag,
    ProfilingVerbosity,
    Severity,
    TensorIOMode,
)
from .enumerations import BuilderFlag as BuilderFlag
from .enumerations import MemoryPoolType as MemoryPoolType

MAGIC = b"simulated plan\n"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return state().version
    raise AttributeError(name)


class ILogger(Object):
    INTERNAL_ERROR, ERROR, WARNING = Severity.INTERNAL_ERROR, Severity.ERROR, Severity.WARNING

    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError


class IProgressMonitor(Object):
    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None: ...

    def phase_finish(self, phase_name: str) -> None: ...

    def step_complete(self, phase_name: str, step: int) -> bool:
        return True


class IHostMemory(Object):
    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bytes__(self) -> bytes:  # the real one has the buffer protocol, which Python classes get in 3.12
        return self._data


class ITimingCache(Object):
    def __init__(self, data: bytes) -> None:
        self._data = data

    def serialize(self) -> IHostMemory:
        return IHostMemory(self._data)


class INetworkDefinition(Object):
    def __init__(self) -> None:
        self._onnx = b""


class IBuilderConfig(Object):
    builder_optimization_level = None
    profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
    default_device_type = DeviceType.GPU
    DLA_core = -1
    progress_monitor: Any = None

    def __init__(self, logger: ILogger) -> None:
        self._log = logger
        self._pools: dict[str, int] = {}
        self._flags = {"TF32"}
        self._cache: ITimingCache | None = None

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self._pools[pool.name] = pool_size

    def set_flag(self, flag: Any) -> None:
        self._flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self._flags.discard(flag.name)

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        if cache._data and not cache._data.startswith(b"timing"):
            self._log.log(ILogger.ERROR, "the timing cache is of another device")
            return False
        self._cache = cache
        return True


class Builder(Object):
    def __init__(self, logger: ILogger) -> None:
        if "builder" in state().faults:
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._log = logger

    @property
    def num_DLA_cores(self) -> int:  # noqa: N802
        return state().dla_cores

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        strong = getattr(NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        assert strong is None or flags == 1 << int(strong), "the network would be weakly typed"
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig(self._log)

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory | None:
        if "build" in state().faults:
            self._log.log(ILogger.WARNING, "this is only a warning")
            self._log.log(ILogger.ERROR, "[builder] could not find any implementation\nfor node /conv")
            return None
        monitor = config.progress_monitor
        if monitor is not None:
            monitor.phase_start("Building", None, 2)
            monitor.phase_start("Tactics", "Building", 9)
            monitor.step_complete("Tactics", 0)
            monitor.phase_finish("Tactics")
            for step in range(2):
                assert monitor.step_complete("Building", step) is True
            monitor.phase_finish("Building")
        state().builds += 1
        before = b""
        if config._cache is not None:
            before = config._cache._data
            config._cache._data = (before or b"timing") + b"+"
        facts = {
            "level": config.builder_optimization_level,
            "workspace": config._pools.get("WORKSPACE"),
            "detailed": config.profiling_verbosity is ProfilingVerbosity.DETAILED,
            "flags": sorted(config._flags),
            "device": config.default_device_type.name,
            "dla": config.DLA_core,
            "timing": len(before),
        }
        state().configs.append(facts)
        body = json.dumps(facts).encode() + b"\n" + network._onnx
        return IHostMemory(MAGIC + hashlib.sha256(body).digest() + body)


class ParserError(Object):
    def desc(self) -> str:
        return "No importer registered for op:\nNothing"

    def node(self) -> int:
        return 7

    def node_name(self) -> str:
        return "/odd"

    def node_operator(self) -> str:
        return "Nothing"


class OnnxParser(Object):
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network, self._errors = network, 0

    def parse(self, model: bytes) -> bool:
        if "parser" in state().faults:
            self._errors = 2
            return False
        onnx.load_from_string(model)
        self._network._onnx = model
        return True

    @property
    def num_errors(self) -> int:
        return self._errors

    def get_error(self, index: int) -> ParserError:
        return ParserError()


class Runtime(Object):
    DLA_core = -1

    def __init__(self, logger: ILogger) -> None:
        self._log = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        start = len(MAGIC) + 32
        digest, body = serialized_engine[len(MAGIC) : start], serialized_engine[start:]
        if "deserialise" in state().faults or hashlib.sha256(body).digest() != digest:
            self._log.log(ILogger.ERROR, "Serialization assertion failed")
            return None
        facts, _, model = body.partition(b"\n")
        return ICudaEngine(model, json.loads(facts), self._log)


class ICudaEngine(Object):
    def __init__(self, model: bytes, facts: dict[str, Any], logger: ILogger) -> None:
        self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._inputs = {value.name: value for value in self._session.get_inputs()}
        self._outputs = {value.name: value for value in self._session.get_outputs()}
        self._model, self._facts, self._log = model, facts, logger

    @property
    def num_io_tensors(self) -> int:
        return len(self._inputs) + len(self._outputs)

    def get_tensor_name(self, index: int) -> str:
        return sorted([*self._inputs, *self._outputs])[index]  # the real one promises no order

    def get_tensor_mode(self, name: str) -> Any:
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple((self._inputs | self._outputs)[name].shape)

    def get_tensor_dtype(self, name: str) -> Any:
        return getattr(DataType, ONNX_TYPES[(self._inputs | self._outputs)[name].type])

    def create_engine_inspector(self) -> EngineInspector:
        return EngineInspector(self)

    def create_execution_context(self) -> IExecutionContext | None:
        if "context" in state().faults:
            self._log.log(ILogger.ERROR, "CUDA error 2 allocating 1048576-byte buffer: out of memory")
            return None
        return IExecutionContext(self)


class EngineInspector(Object):
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine

    def get_engine_information(self, format: Any) -> str:
        nodes = onnx.load_from_string(self._engine._model).graph.node
        kinds = state().types
        rows = [(node.name or node.output[0], node.op_type, kinds[i % len(kinds)]) for i, node in enumerate(nodes)]
        faults = state().faults
        if "silent" in faults or not self._engine._facts["detailed"]:
            return json.dumps({"Layers": [name for name, _, _ in rows], "Bindings": []})
        if format is LayerInformationFormat.ONELINE:
            lines = [
                f"Name: {name}, LayerType: {kind}, Inputs: [ {{ Name: x, Format/Datatype: {word} }} ], "
                f"Outputs: [ {{ Name: y, Format/Datatype: Float }} ]"
                for name, kind, word in rows
            ]
            return "Layers:\n" + "\n".join(lines) + "\nBindings:\nimage\n"
        if "json" in faults:
            return '{"Layers": ['
        layers = [
            {"Name": name, "LayerType": kind, "Inputs": [_tensor(word)], "Outputs": [_tensor("FP32")]}
            for name, kind, word in rows
        ]
        # A copy between types, as TensorRT adds them at the borders: it must not count as FP16 computing.
        copy = {"Name": "copy", "LayerType": "Reformat", "Inputs": [_tensor("FP16")], "Outputs": [_tensor("FP32")]}
        tail = {"I/O Tensors": [{"Name": "image"}]} if state().generation > 10 else {"Bindings": ["image"]}
        return json.dumps({"Layers": [copy, *layers], **tail})


def _tensor(word: str) -> dict[str, Any]:
    """A tensor as the inspector of either generation tells it."""
    if state().generation > 10:
        return {"Name": "x", "Dimensions": [1, 3], "Format": "LINEAR", "DataType": word}
    words = {"FP32": "Row major linear FP32 format", "FP16": "Half", "INT8": "Thirty-two wide Int8 format"}
    return {"Name": "x", "Dimensions": [1, 3], "Format/Datatype": words[word]}


class IExecutionContext(Object):
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if "address" in state().faults:
            return False
        assert isinstance(memory, int)
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine = self._engine
        if "execute" in state().faults or set(self._addresses) != {*engine._inputs, *engine._outputs}:
            engine._log.log(ILogger.ERROR, "enqueueV3 failed")
            return False

        def work() -> None:
            inputs = {name: self._array(name) for name in engine._inputs}
            for name, value in zip(engine._outputs, engine._session.run(None, inputs)):
                self._array(name)[...] = value

        state().queues[stream_handle].append(work)
        return True

    def _array(self, name: str) -> Any:
        """A tensor where it lies in device memory."""
        dtype = np.dtype(NUMPY[self._engine.get_tensor_dtype(name).name])
        return np.frombuffer(state().memory[self._addresses[name]], dtype).reshape(self._engine.get_tensor_shape(name))


record_module(sys.modules[__name__])
