"""Quantisation-aware training: what the forward pass rounds, and that INT8 engines lose less after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edge_vss.deploy import deploy
from edge_vss.errors import WrongUsage
from edge_vss.evaluation import EvalOptions, evaluate_bundle
from edge_vss.networks import build_network, network_config
from edge_vss.networks.blocks import ResidualBlock
from edge_vss.training import TrainOptions, load_checkpoint, save_checkpoint, train
from edge_vss.training.checkpoint import read_tensors
from edge_vss.training.config import TrainConfig
from edge_vss.training.quantisation import quantisation_aware

SCORED = "street:[seed=404,clips=4,frames=8,fps=2,look=camera,size=96x128]"
SEEN = "street:[seed=50,look=camera,frames=16,size=96x128]"
TRAINED = "street:[seed=9000,clips=16,frames=6,fps=2,look=camera,size=96x128]"
CONFIG = TrainConfig(
    height=96, width=128, crop_height=96, crop_width=128, batch=8, epochs=3, rate=2e-4, validate_every=0, ema=0.9
)


def hardened(path: Path, factor: float) -> Path:
    """The street student, computing the same, with a few inner channels so large that the others share few levels."""
    checkpoint = load_checkpoint("zoo:clockwork-street")
    generator = torch.Generator().manual_seed(0)
    for module in checkpoint.network.modules():
        if isinstance(module, ResidualBlock):
            norm, after = module.first[1], module.second[0]
            picked = torch.randperm(norm.weight.numel(), generator=generator)[: norm.weight.numel() // 16]
            with torch.no_grad():
                norm.weight[picked] *= factor
                norm.bias[picked] *= factor
                after.weight[:, picked] /= factor
    save_checkpoint(path, checkpoint.network.state_dict(), checkpoint.info)
    return path


def scores(checkpoint: Path, out: Path) -> dict[str, float]:
    deploy(checkpoint, out, height=96, width=128, calibration=SEEN, precisions=("fp32", "int8"))
    found = {}
    for precision in ("fp32", "int8"):
        options = EvalOptions(schedules=("full",), precision=precision, consistency=False)
        found[precision] = 100 * evaluate_bundle(out, SCORED, options)[0].miou
    return found


def test_int8_loses_less_after_training_for_it(tmp_path: Path) -> None:
    hard = hardened(tmp_path / "hard.safetensors", 100.0)
    before = scores(hard, tmp_path / "before.bundle")
    assert before["fp32"] - before["int8"] > 1.5, "the case is not hard"
    options = TrainOptions(recipe="qat", data=[TRAINED], out=tmp_path / "run", init=str(hard), config=CONFIG)
    done = train(options)
    after = scores(done.checkpoint, tmp_path / "after.bundle")
    assert after["fp32"] - after["int8"] < 0.5 * (before["fp32"] - before["int8"])
    assert after["int8"] > before["int8"] + 1.0 and after["fp32"] > before["fp32"] - 0.5
    kept, given = read_tensors(done.checkpoint)[0], load_checkpoint(hard).network.state_dict()
    assert set(kept) == set(given)
    for name, tensor in given.items():
        if name.endswith(("running_mean", "running_var")):
            np.testing.assert_allclose(kept[name].float(), tensor.float(), rtol=2e-3, atol=1e-3)


def test_the_forward_pass_rounds_inputs_and_weights() -> None:
    torch.manual_seed(1)
    network = build_network(network_config("perframe", classes=5)).eval()
    images = torch.randn(2, 3, 32, 32)
    plain = {name: module for name, module in network.named_modules() if isinstance(module, torch.nn.Conv2d)}
    first = next(iter(plain.values()))
    quantisation_aware(network, [images], method="minmax")
    low, high = min(0.0, float(images.min())), max(0.0, float(images.max()))
    scale = (high - low) / 255
    zero = round(-low / scale)
    levels = (np.clip(np.rint(images.numpy() / scale) + zero, 0, 255) - zero) * scale
    weight = first.weight.detach().numpy()
    steps = np.abs(weight).reshape(len(weight), -1).max(1).reshape(-1, 1, 1, 1) / 127
    wanted = torch.nn.functional.conv2d(
        torch.tensor(levels, dtype=torch.float32),
        torch.tensor(np.rint(weight / steps) * steps, dtype=torch.float32),
        None,
        first.stride,
        first.padding,
    )
    with torch.no_grad():
        found = first(images)
    assert float((found - wanted).abs().max()) < 1.01 * scale * float(np.abs(weight).max())  # a tie rounds either way
    assert float((found - wanted).abs().mean()) < 1e-4


def test_it_starts_from_a_trained_network(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="needs --init"):
        train(TrainOptions(recipe="qat", data=[TRAINED], out=tmp_path / "run"))
