"""The enumerations, as the simulated version has them."""

from __future__ import annotations

from simulation import enumeration, state

NUMPY = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "UINT8": "uint8", "INT32": "int32", "INT64": "int64"}
ONNX_TYPES = {
    "tensor(float)": "FLOAT",
    "tensor(float16)": "HALF",
    "tensor(int8)": "INT8",
    "tensor(uint8)": "UINT8",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
}

DataType = enumeration("DataType", *NUMPY)
DeviceType = enumeration("DeviceType", "GPU", "DLA")
MemoryPoolType = enumeration("MemoryPoolType", "WORKSPACE")
ProfilingVerbosity = enumeration("ProfilingVerbosity", "LAYER_NAMES_ONLY", "NONE", "DETAILED")
LayerInformationFormat = enumeration("LayerInformationFormat", "ONELINE", "JSON")
TensorIOMode = enumeration("TensorIOMode", "NONE", "INPUT", "OUTPUT")
BuilderFlag = enumeration("BuilderFlag", "TF32", "GPU_FALLBACK")
if state().generation == 8:
    NetworkDefinitionCreationFlag = enumeration("NetworkDefinitionCreationFlag", "EXPLICIT_BATCH")
else:
    NetworkDefinitionCreationFlag = enumeration("NetworkDefinitionCreationFlag", "EXPLICIT_BATCH", "STRONGLY_TYPED")
if state().generation > 10:
    del NetworkDefinitionCreationFlag.EXPLICIT_BATCH
Severity = enumeration("Severity", "INTERNAL_ERROR", "ERROR", "WARNING")
