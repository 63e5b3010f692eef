"""From one ONNX file to one TensorRT plan."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from edge_vss.errors import BadInput, DeviceError
from edge_vss.jetson.plans import BuildOptions
from edge_vss.jetson.precision import Layer, read_layers
from edge_vss.jetson.tensorrt_python import Log, load_plan, make_log

__all__ = ["build_plan", "inspect_plan", "usable_dla"]

MIB = 1 << 20


def usable_dla(trt: ModuleType, options: BuildOptions) -> None:
    """Raise DeviceError where the deep-learning accelerator that the options name is not there."""
    if options.dla is None:
        return
    log = make_log(trt)
    count = _builder(trt, log).num_DLA_cores
    if options.dla >= count:
        raise DeviceError(f"there is no DLA {options.dla}: TensorRT finds {count} on this device; leave out --dla")


def build_plan(
    trt: ModuleType,
    onnx: bytes,
    *,
    where: str,
    precision: str,
    options: BuildOptions,
    timing: bytes,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[bytes, bytes]:
    """Build a plan.

    Args:
        onnx: The file's content; its types are the plan's types, nothing is lowered here.
        where: Names the file in messages.
        timing: A timing cache of earlier builds, or empty. One that TensorRT refuses is left out.
        progress: Called with the share in [0, 1] that is behind, where TensorRT tells it.

    Returns:
        The plan, and the timing cache with what this build measured.

    Raises:
        BadInput: TensorRT's parser refuses the file.
        DeviceError: The build fails.
    """
    log = make_log(trt)
    builder = _builder(trt, log)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(onnx):
        raise BadInput(f"{where}: {_parser_errors(parser)}")
    config = builder.create_builder_config()
    _configure(trt, config, precision, options)
    cache = _attach_timing(config, timing, log)
    monitor = _monitor(trt, config, progress)
    plan = builder.build_serialized_network(network, config)
    del monitor  # kept until here: the builder does not own it
    if plan is None:
        raise DeviceError(f"{where}: TensorRT {trt.__version__} builds no plan: {log.reason()}")
    return bytes(plan), bytes(cache.serialize()) if cache is not None else b""


def inspect_plan(trt: ModuleType, plan: bytes, dla: int | None = None) -> tuple[tuple[Layer, ...] | None, str]:
    """Load a plan and read its layers back.

    Returns:
        The layers, or None where TensorRT does not load the plan; and then the reason.
    """
    log = make_log(trt)
    _runtime, engine = load_plan(trt, log, plan, dla)
    if engine is None:
        return None, log.reason()
    inspector = engine.create_engine_inspector()
    formats = trt.LayerInformationFormat
    layers = read_layers(
        inspector.get_engine_information(formats.JSON), lambda: inspector.get_engine_information(formats.ONELINE)
    )
    return layers, ""


def _builder(trt: ModuleType, log: Log) -> Any:
    try:
        return trt.Builder(log)
    except TypeError:  # what the binding makes of a null pointer
        raise DeviceError(f"TensorRT {trt.__version__} does not start on this GPU: {log.reason()}") from None


def _network_flags(trt: ModuleType) -> int:
    """Types come from the file; where the flag is gone, no other kind of network is left."""
    flags = trt.NetworkDefinitionCreationFlag
    return 1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0


def _parser_errors(parser: Any) -> str:
    count = parser.num_errors
    if not count:
        return "TensorRT's parser refuses it without a reason"
    first = parser.get_error(0)
    node = f"node {first.node()} {first.node_name()!r} ({first.node_operator()})"
    total = f"{count} errors of TensorRT's parser, the first" if count > 1 else "TensorRT's parser refuses it"
    return f"{total}: {node}: {' '.join(first.desc().split())}"


def _configure(trt: ModuleType, config: Any, precision: str, options: BuildOptions) -> None:
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib * MIB)
    config.builder_optimization_level = options.level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # or the inspector has names only
    if precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default, and it keeps ten bits of the mantissa
    if options.dla is not None:
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = options.dla
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)  # most networks hold something that the DLA lacks


def _attach_timing(config: Any, timing: bytes, log: Log) -> Any:
    cache = config.create_timing_cache(timing)
    if cache is None or not config.set_timing_cache(cache, False):
        log.errors.clear()  # a stale timing cache is no reason for what may fail later
        cache = config.create_timing_cache(b"")
        if cache is None or not config.set_timing_cache(cache, False):
            return None
    return cache


def _monitor(trt: ModuleType, config: Any, progress: Callable[[float], None]) -> Any:
    if not hasattr(trt, "IProgressMonitor"):
        return None

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.outermost, self.steps = "", 1

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if not parent_phase:
                self.outermost, self.steps = phase_name, max(1, num_steps)

        def phase_finish(self, phase_name: str) -> None:
            if phase_name == self.outermost:
                progress(1.0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name == self.outermost:
                progress(min(1.0, (step + 1) / self.steps))
            return True  # go on

    monitor = Monitor()
    config.progress_monitor = monitor
    return monitor
