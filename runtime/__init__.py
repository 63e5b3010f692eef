"""The native runtime: bundles in, label maps out.

Importing this needs neither torch nor a GPU; ONNX Runtime's library is opened when the first pipeline is.
"""

from edge_vss.runtime.pipeline import (
    OutputInfo,
    Pipeline,
    PipelineInfo,
    Result,
    backends,
    check_bundle,
    include_dir,
    library_path,
    onnxruntime_library,
    overlay,
)
from edge_vss.runtime.sources import NativeSource, NativeVideo

__all__ = [
    "NativeSource",
    "NativeVideo",
    "OutputInfo",
    "Pipeline",
    "PipelineInfo",
    "Result",
    "backends",
    "check_bundle",
    "include_dir",
    "library_path",
    "onnxruntime_library",
    "overlay",
]
