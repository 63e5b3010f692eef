"""Stages of a network as ONNX engines."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from edge_vss.dry_run import check_schedule
from edge_vss.errors import BadInput, EdgeVssError, WrongUsage
from edge_vss.executor import ReferenceExecutor
from edge_vss.export import (
    ExportedNetwork,
    cost_of_cutting,
    export_network,
    export_whole,
    network_schedules,
    stage_parity,
    torch_functions,
)
from edge_vss.export.torch_stage import export_module
from edge_vss.networks import StagedNetwork, build_network, network_config
from edge_vss.reference_engines import engine_function
from edge_vss.schedule import Adaptive, Schedule

HEIGHT, WIDTH = 32, 48


def lively(network: StagedNetwork) -> StagedNetwork:
    """Batch norms with statistics of their own, so that folding them wrongly shows."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.bias):
                assert values is not None
                nn.init.normal_(values, std=0.2)
            for values in (module.running_var, module.weight):
                assert values is not None
                nn.init.uniform_(values, 0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def network() -> StagedNetwork:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        config = msgspec.structs.replace(
            network_config("clockwork", classes=7), stem_blocks=0, deep_dilations=(2,), decoder_blocks=1
        )
        return lively(build_network(config))


@pytest.fixture(scope="module")
def exported(network: StagedNetwork) -> ExportedNetwork:
    return export_network(network, HEIGHT, WIDTH)


def an_image() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(4).normal(size=(1, 3, HEIGHT, WIDTH)).astype(np.float32)


def test_every_stage_matches_pytorch(network: StagedNetwork, exported: ExportedNetwork) -> None:
    engines = {stage: engine_function(engine) for stage, engine in exported.engines.items()}
    parities = stage_parity(exported.graph, torch_functions(network), engines, an_image())
    assert list(parities) == ["fine", "middle", "deep", "fuse"]
    for parity in parities.values():
        assert 0 < parity.relative < 1e-5
    assert parities["middle"].labels == 1.0
    assert parities["fine"].labels is None


def test_parity_sees_a_wrong_weight(network: StagedNetwork, exported: ExportedNetwork) -> None:
    model = onnx.load_from_string(exported.engines["deep"])
    weight = onnx.numpy_helper.to_array(model.graph.initializer[0]) * 1.01
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weight, model.graph.initializer[0].name))
    engines = {stage: engine_function(engine) for stage, engine in exported.engines.items()}
    engines["deep"] = engine_function(model.SerializeToString())
    parities = stage_parity(exported.graph, torch_functions(network), engines, an_image())
    assert parities["deep"].relative > 1e-4 > parities["fuse"].relative


def test_engines_are_what_a_tensorrt_of_jetpack_6_reads(exported: ExportedNetwork) -> None:
    for name, engine in exported.engines.items():
        model = onnx.load_from_string(engine)
        assert (model.ir_version, model.opset_import[0].version) == (9, 19)
        stage = exported.graph.stage(name)
        assert [value.name for value in model.graph.input] == [read.tensor for read in stage.inputs]
        assert [value.name for value in model.graph.output] == list(stage.outputs)
        assert {node.op_type for node in model.graph.node} <= {"Conv", "Relu", "Add", "Resize", "ArgMax", "Cast"}


def test_engines_say_nothing_of_the_machine_that_wrote_them(exported: ExportedNetwork) -> None:
    for engine in exported.engines.values():
        assert str(Path.cwd()).encode() not in engine
        assert b".py" not in engine


def test_exporting_twice_gives_the_same_bytes(network: StagedNetwork, exported: ExportedNetwork) -> None:
    stage = exported.graph.stage("middle")
    inputs, outputs = ([exported.graph.tensor(n) for n in names] for names in (("fine",), stage.outputs))
    assert export_module(network.stage_modules["middle"], inputs, outputs) == exported.engines["middle"]


def test_one_whole_engine_computes_what_all_stages_do(network: StagedNetwork, exported: ExportedNetwork) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    whole = export_whole(network, exported.graph)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert whole is not None
    engines = {stage: engine_function(engine) for stage, engine in exported.engines.items()}
    step = ReferenceExecutor(exported.graph, Schedule(name="full"), engines).step(an_image(), sequence=0, pts_us=0)
    session = onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": an_image()})
    np.testing.assert_allclose(step.outputs["logits"], logits, atol=1e-4)
    assert 0.2 < cost_of_cutting(exported.graph, exported.engines, whole, an_image()) < 10


def test_every_schedule_of_every_network_can_be_played() -> None:
    for kind in ("clockwork", "perframe", "teacher", "tdnet2", "tdnet4"):
        network = build_network(network_config(kind, classes=7))
        graph = network.graph(HEIGHT, WIDTH)
        schedules = {schedule.name: schedule for schedule in network_schedules(network, graph)}
        wanted = {"cycle", "alone"} if network.turns > 1 else {"full", "alternate"}
        assert {"reuse", *wanted} <= set(schedules)
        for schedule in schedules.values():
            check_schedule(graph, schedule)
        if kind == "clockwork":
            clock = schedules["adaptive"].clocks["deep"]
            assert isinstance(clock, Adaptive) and clock.signal.tensor == "labels_middle"


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        ((33, 48), BadInput),
        ((0, 48), BadInput),
        ((-16, 48), BadInput),
        ((1 << 20, 16), WrongUsage),
        ((8192, 8192), WrongUsage),
    ],
)
def test_sizes_that_do_not_suit_the_network_are_refused_in_one_line(
    network: StagedNetwork, size: tuple[int, int], kind: type[EdgeVssError]
) -> None:
    with pytest.raises(kind) as caught:
        export_network(network, *size)
    assert "\n" not in str(caught.value) and f"{size[0]}x{size[1]}" in str(caught.value)
