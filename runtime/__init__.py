"""The native runtime: bundles in, label maps out.

Importing this needs neither torch nor a GPU; ONNX Runtime's library is opened when the first pipeline is.
"""

from edge_vss.program import onnxruntime_library
from edge_vss.runtime.loop import SCENE_CUT, Labelled, Loop, LoopSource, LoopStats
from edge_vss.runtime.pipeline import (
    OutputInfo,
    Pipeline,
    PipelineInfo,
    Result,
    backends,
    check_bundle,
    include_dir,
    library_path,
    overlay,
    run_program,
)
from edge_vss.runtime.shared_labels import SharedLabels
from edge_vss.runtime.sources import NativeSource, NativeVideo

__all__ = [
    "SCENE_CUT",
    "Labelled",
    "Loop",
    "LoopSource",
    "LoopStats",
    "NativeSource",
    "NativeVideo",
    "OutputInfo",
    "Pipeline",
    "PipelineInfo",
    "Result",
    "SharedLabels",
    "backends",
    "check_bundle",
    "include_dir",
    "library_path",
    "onnxruntime_library",
    "overlay",
    "run_program",
]
