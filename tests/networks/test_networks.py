"""Networks are graphs of stages: what they cost, what their parts hand over, and that the parts are the whole."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from edge_vss.dry_run import ScriptedExecutor
from edge_vss.errors import BadInput
from edge_vss.export.network import network_schedules
from edge_vss.networks import NetworkConfig, StagedNetwork, build_network, network_config, network_kinds

HEIGHT, WIDTH = 352, 480
TYPES = {torch.float32: "float32", torch.uint8: "uint8"}
SMALL = NetworkConfig(stem=(8, 8), fine=16, middle=16, deep=24, deep_dilations=(1, 2), decoder_blocks=1)


def fresh(kind: str, classes: int = 11) -> StagedNetwork:
    torch.manual_seed(0)
    return build_network(network_config(kind, classes=classes)).eval()


def by_stages(network: StagedNetwork, image: torch.Tensor) -> dict[str, torch.Tensor]:
    values = {"image": image}
    graph = network.graph(*image.shape[-2:])
    for stage in graph.stages:
        outputs = network.stage_modules[stage.name](*(values[read.tensor] for read in stage.inputs))
        values.update(zip(stage.outputs, outputs, strict=True))
    return values


def test_the_clocked_stages_of_the_clockwork_student_hold_most_of_the_multiply_adds() -> None:
    network = fresh("clockwork")
    graph = network.graph(HEIGHT, WIDTH)
    clocked = sum(graph.stage(name).macs for name in network.clocked)
    assert 0.60 <= clocked / graph.macs <= 0.75
    assert graph.params <= 1_500_000
    assert len(graph.stages) >= 4


def test_the_per_frame_student_costs_what_the_clockwork_student_costs_on_average_under_alternate() -> None:
    clockwork = fresh("clockwork").graph(HEIGHT, WIDTH)
    mean = clockwork.macs - clockwork.stage("deep").macs / 2
    assert fresh("perframe").graph(HEIGHT, WIDTH).macs == pytest.approx(mean, rel=0.03)


def test_the_teacher_is_wider_and_deeper() -> None:
    assert 5_000_000 <= fresh("teacher").graph(HEIGHT, WIDTH).params <= 10_000_000


def test_multiply_adds_and_parameters_agree_with_a_count_by_hand() -> None:
    config = NetworkConfig(
        stem=(8, 16),
        fine=32,
        fine_blocks=0,
        middle=64,
        middle_blocks=0,
        deep=64,
        deep_dilations=(),
        decoder_blocks=0,
    )
    graph = build_network(config).graph(64, 96)
    half, quarter, eighth, sixteenth = (32 * 48, 16 * 24, 8 * 12, 4 * 6)
    assert graph.stage("fine").macs == half * 9 * 3 * 8 + quarter * 9 * 8 * 16 + eighth * 9 * 16 * 32
    assert graph.stage("middle").macs == sixteenth * (9 * 32 * 64 + 64 * 11) + eighth * 32 * 32
    assert graph.stage("deep").macs == sixteenth * 64 * 32
    weights = 32 * 32 + 64 * 32 + 32 * 16 + 16 * 16 + 9 * 16 * 16 + 16 * 11
    norms = 2 * (32 + 32 + 16 + 16 + 16)
    assert graph.stage("fuse").params == weights + norms + 11


@pytest.mark.parametrize("kind", [kind for kind in network_kinds() if network_config(kind, classes=2).turns == 1])
def test_stages_run_one_by_one_give_the_logits_of_the_whole_and_the_tensors_of_the_graph(kind: str) -> None:
    network = fresh(kind)
    image = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        values, whole = by_stages(network, image), network(image)
    assert torch.equal(values["logits"], whole["logits"])
    graph = network.graph(96, 128)
    assert {tensor.name for tensor in graph.tensors} == set(values)
    for tensor in graph.tensors:
        assert tuple(values[tensor.name].shape) == tensor.shape
        assert TYPES[values[tensor.name].dtype] == tensor.dtype


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 96), (112, 208)])
def test_any_size_that_is_a_multiple_of_the_stride_will_do(height: int, width: int) -> None:
    network = build_network(SMALL).eval()
    with torch.no_grad():
        logits = network(torch.zeros(2, 3, height, width))["logits"]
    assert logits.shape == (2, 11, height // 4, width // 4)


def test_other_sizes_are_refused() -> None:
    network = build_network(SMALL)
    with pytest.raises(ValueError, match="100x96 is not a multiple of 16"):
        network(torch.zeros(1, 3, 100, 96))
    with pytest.raises(ValueError, match="not a positive multiple of 16"):
        network.graph(0, 96)


def test_the_signal_is_the_argmax_of_a_score_with_a_loss_of_its_own() -> None:
    network = fresh("clockwork")
    stage, tensor = network.signal or ("", "")
    values = by_stages(network, torch.randn(1, 3, 64, 96))
    assert tensor in network.graph(64, 96).stage(stage).outputs
    assert torch.equal(values[tensor], values["score_middle"].argmax(1).to(torch.uint8))
    assert "score_middle" in network.aux
    assert all("score_middle" not in {read.tensor for read in wiring.inputs} for wiring in network.wiring)


def test_what_a_resting_stage_leaves_to_the_others_survives_a_frame() -> None:
    network = fresh("clockwork")
    graph = network.graph(64, 96)
    kept = {tensor.name for tensor in graph.tensors if tensor.lives == "state"}
    written = {name for stage in network.clocked for name in graph.stage(stage).outputs}
    assert written == set(network.states) and kept == written | set(network.kept)


def test_every_fixed_rate_of_the_clockwork_network_is_the_one_it_is_named_after() -> None:
    network = fresh("clockwork")
    graph = network.graph(64, 96)
    schedules = {schedule.name: schedule for schedule in network_schedules(network, graph)}
    played = {}
    for name in ("full", "alternate", "exponential"):
        executor = ScriptedExecutor(graph, schedules[name], lambda stage, frame: False)
        steps = [executor.step(None, sequence=i, pts_us=i).fired for i in range(8)]
        played[name] = {stage: [int(stage in fired) for fired in steps] for stage in ("fine", "middle", "deep", "fuse")}
    assert played["full"] == dict.fromkeys(("fine", "middle", "deep", "fuse"), [1] * 8)
    assert played["alternate"] == played["full"] | {"deep": [1, 0] * 4}
    assert played["exponential"] == played["full"] | {"middle": [1, 0] * 4, "deep": [1, 0, 0, 0] * 2}


def test_every_stage_of_the_chain_reads_the_one_before_it_alone() -> None:
    """Then a pipeline that delays each of these edges by a frame never mixes frames within a stage."""
    network = fresh("clockwork")
    *chain, _ = network.wiring
    for before, stage in itertools.pairwise(chain):
        assert {read.tensor for read in stage.inputs} <= set(before.outputs)


def test_readers_see_what_perturb_makes_of_a_state_and_its_own_loss_does_not() -> None:
    network = fresh("clockwork")
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        plain, perturbed = network(image), network(image, {"deep": torch.zeros_like})
    assert torch.equal(plain["aux/deep"], perturbed["aux/deep"])
    assert not torch.equal(plain["logits"], perturbed["logits"])


@pytest.mark.parametrize("kind", network_kinds())
def test_only_layers_that_fold_and_quantise_are_used(kind: str) -> None:
    allowed = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Identity, nn.Sequential)
    if kind.startswith("tdnet"):
        allowed = (*allowed, nn.GroupNorm)  # over what attention added; it stays float
    for module in fresh(kind).modules():
        if next(module.children(), None) is None:
            assert isinstance(module, allowed)
        if isinstance(module, nn.Conv2d):
            assert module.groups == 1
            assert module.kernel_size in {(1, 1), (3, 3)}


@pytest.mark.parametrize("kind", network_kinds())
def test_deep_channels_are_multiples_of_32(kind: str) -> None:
    config = network_config(kind, classes=11)
    assert all(width % 32 == 0 for width in (config.fine, config.middle, config.deep))


def test_equal_seeds_give_equal_weights() -> None:
    first, second = fresh("clockwork").state_dict(), fresh("clockwork").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_unknown_kind_is_bad_input_and_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match="known: clockwork, perframe, teacher"):
        network_config("transformer", classes=11)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("classes", 1, "2 to 254 classes"),
        ("fine", 4096, "widths"),
        ("deep_dilations", (1,) * 65, "numbers of blocks"),
        ("deep_dilations", (0,), "dilations"),
    ],
)
def test_absurd_configurations_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**{field: value})  # type: ignore[arg-type]
