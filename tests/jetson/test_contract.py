"""Every name of TensorRT that this project touches exists in the real bindings, oldest and newest.

The names are not listed anywhere: a build is run from end to end over the simulated TensorRT, which records them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_vss.jetson.build import build_bundle
from edge_vss.jetson.plans import BuildOptions

from .bindings import WHEELS, ask, fetch, unpack
from .conftest import Machine

SCRIPT = Path(__file__).with_name("look_at_bindings.py")


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Package -> environment in which its bindings load. Fails, and does not skip, where they cannot be had."""
    return {package: unpack(fetch(package), tmp_path_factory.mktemp(package)) for package in WHEELS}


@pytest.fixture
def uses(machine: Machine, plans: Path, plain: Path, half: Path) -> dict[str, Any]:
    """What the builder, the read-back and the golden check use, on every path through them."""
    found: dict[str, Any] = {}
    for version in ("10.3.0", "11.4.0.106"):
        for faults in ({"parser"}, {"build"}, {"deserialise"}, {"json"}, {"execute"}, {"context"}, set[str]()):
            state = machine(version=version, faults=faults, dla_cores=1, types=("FP16",))
            for bundle, options in ((plain, BuildOptions()), (half, BuildOptions(workspace_mib=9, dla=0))):
                try:
                    build_bundle(bundle, options)
                except Exception as error:
                    assert faults, error
            for name, use in state.used.items():
                into = found.setdefault(name, {"calls": set(), "set": False})
                into["calls"] |= use.calls
                into["set"] |= use.set
            for path in plans.glob("*"):
                path.unlink()
    return {name: {"calls": sorted(use["calls"]), "set": use["set"]} for name, use in sorted(found.items())}


def test_the_record_holds_what_a_build_cannot_do_without(uses: dict[str, Any]) -> None:
    assert {
        "__version__",
        "Builder",
        "Builder.__init__",
        "Builder.build_serialized_network",
        "Builder.create_network",
        "Builder.num_DLA_cores",
        "BuilderFlag.GPU_FALLBACK",
        "BuilderFlag.TF32",
        "DataType.FLOAT",
        "EngineInspector.get_engine_information",
        "IBuilderConfig.DLA_core",
        "IBuilderConfig.builder_optimization_level",
        "IBuilderConfig.progress_monitor",
        "IBuilderConfig.set_timing_cache",
        "ICudaEngine.get_tensor_dtype",
        "IExecutionContext.execute_async_v3",
        "IExecutionContext.set_tensor_address",
        "ILogger.ERROR",
        "ILogger.log",
        "IProgressMonitor.phase_start",
        "IProgressMonitor.step_complete",
        "ITimingCache.serialize",
        "LayerInformationFormat.ONELINE",
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "OnnxParser.get_error",
        "OnnxParser.parse",
        "ParserError.node_operator",
        "Runtime.DLA_core",
        "Runtime.deserialize_cuda_engine",
    } <= set(uses)
    assert uses["IBuilderConfig.builder_optimization_level"]["set"] and uses["Runtime.DLA_core"]["set"]
    assert uses["Builder.build_serialized_network"]["calls"] == [2]


@pytest.mark.parametrize("package", sorted(WHEELS))
def test_every_name_exists_in_the_real_bindings_and_takes_these_arguments(
    environments: dict[str, dict[str, str]], uses: dict[str, Any], package: str
) -> None:
    answer = ask(environments[package], uses, SCRIPT)
    assert answer["version"] == WHEELS[package]
    assert not answer["problems"] and not answer["after"]
    assert not answer["unseen"], "hiding one of these would go unnoticed"


@pytest.mark.parametrize("package", sorted(WHEELS))
@pytest.mark.parametrize(
    ("name", "use", "problem"),
    [
        ("BuilderFlag.NONE_SUCH", {"calls": [], "set": False}, "BuilderFlag.NONE_SUCH does not exist"),
        ("Builder.build_engine", {"calls": [2], "set": False}, "Builder.build_engine does not exist"),
        ("OnnxParser.parse", {"calls": [3], "set": False}, "OnnxParser.parse does not take 3 arguments"),
        ("OnnxParser.num_errors", {"calls": [], "set": True}, "OnnxParser.num_errors cannot be set"),
    ],
)
def test_a_name_that_does_not_fit_is_found(
    environments: dict[str, dict[str, str]], package: str, name: str, use: dict[str, Any], problem: str
) -> None:
    fine = {"Builder.build_serialized_network": {"calls": [2], "set": False}}
    assert ask(environments[package], {**fine, name: use}, SCRIPT)["problems"] == [problem]


def test_a_name_that_a_newer_version_took_away_is_found_there_alone(environments: dict[str, dict[str, str]]) -> None:
    gone = {"BuilderFlag.FP16": {"calls": [], "set": False}}
    old, new = (ask(environments[package], gone, SCRIPT)["problems"] for package in sorted(WHEELS))
    assert not old and new == ["BuilderFlag.FP16 does not exist"]
