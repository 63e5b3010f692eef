"""Whether TensorRT will take the engine files of a bundle as they are meant, judged without a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from edge_vss.bundle import Bundle, Storage
from edge_vss.bundle.pixel_graph import pixel_stages
from edge_vss.calibration.engine_view import EngineView
from edge_vss.calibration.lint_rules import RULES
from edge_vss.errors import BadInput
from edge_vss.graph import Graph, Stage

__all__ = ["FileFinding", "Finding", "LintReport", "lint_bundle", "lint_engine"]


@dataclass(frozen=True)
class Finding:
    """A rule that a node breaks."""

    node: str
    """Its name, the name of a boundary tensor, or ``(file)``."""
    rule: str
    """One of ``edge_vss.calibration.lint_rules.RULES``."""
    text: str


@dataclass(frozen=True)
class FileFinding:
    """A finding and where it was made."""

    variant: str
    stage: str
    file: str
    """Inside the bundle."""
    finding: Finding

    def as_dict(self) -> dict[str, str]:
        """Plain values: variant, stage, file, node, rule, text."""
        found = self.finding
        where = {"variant": self.variant, "stage": self.stage, "file": self.file}
        return where | {"node": found.node, "rule": found.rule, "text": found.text}


@dataclass(frozen=True)
class LintReport:
    """What was looked at and what was found."""

    variants: tuple[str, ...]
    """Names of the variants for TensorRT."""
    files: tuple[str, ...]
    """Engine files that were checked."""
    findings: tuple[FileFinding, ...]


def lint_engine(
    model: onnx.ModelProto, stage: Stage, graph: Graph, storages: Mapping[str, Storage] | None = None
) -> list[Finding]:
    """Check one engine against every rule.

    Args:
        stage: The stage of ``graph`` that the engine computes.
        storages: How the variant stores tensors, by name; others cross as trained.

    Returns:
        In the order of the rules, then of the nodes; empty where all is well.
    """
    engine = EngineView(model, stage, graph, storages)
    return [Finding(node, name, text) for name, rule in RULES.items() for node, text in rule(engine)]


def lint_bundle(bundle: Bundle) -> LintReport:
    """Check every engine file of every variant for TensorRT.

    Raises:
        BadInput: A file is missing, changed or not a sound ONNX file.
    """
    graph = bundle.manifest.graph
    variants = [variant for variant in bundle.manifest.variants if variant.backend == "tensorrt"]
    files: dict[str, None] = {}
    found: list[FileFinding] = []
    for variant in variants:
        for stage in graph.stages:
            file = variant.engines[stage.name].file
            if not file:  # an operation of the host
                continue
            files[file] = None
            for finding in lint_engine(_loaded(bundle, file), stage, graph, variant.tensors):
                found.append(FileFinding(variant.name, stage.name, file, finding))
        for each in pixel_stages(bundle.manifest, variant):
            files[each.file] = None
            for finding in lint_engine(_loaded(bundle, each.file), each.stage, each.graph, variant.tensors):
                found.append(FileFinding(variant.name, each.stage.name, each.file, finding))
    return LintReport(tuple(variant.name for variant in variants), tuple(files), tuple(found))


def _loaded(bundle: Bundle, file: str) -> onnx.ModelProto:
    data = bundle.read(file)
    try:
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf's own, which differ from version to version
        raise BadInput(f"{bundle.path}: {file} is not a sound ONNX file: {str(error)[:200]}") from None
    return model
