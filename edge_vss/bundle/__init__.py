"""The deploy contract: manifest schema, reader and writer."""

from edge_vss.bundle.checks import check_manifest
from edge_vss.bundle.files import Bundle, load_bundle, read_manifest, write_bundle
from edge_vss.bundle.schema import (
    SCHEMA_VERSION,
    ClassInfo,
    EngineRef,
    FileRecord,
    Golden,
    InputSpec,
    Manifest,
    OutputSpec,
    PixelEngines,
    Storage,
    Variant,
)

__all__ = [
    "SCHEMA_VERSION",
    "Bundle",
    "ClassInfo",
    "EngineRef",
    "FileRecord",
    "Golden",
    "InputSpec",
    "Manifest",
    "OutputSpec",
    "PixelEngines",
    "Storage",
    "Variant",
    "check_manifest",
    "load_bundle",
    "read_manifest",
    "write_bundle",
]
