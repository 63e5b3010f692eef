"""What tests of several folders share: where real data lies, and one small bundle."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Where a result must not depend on luck, the same examples every time; a developer's run looks for new ones.
settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or leaves anything in the user's caches."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings, from ``EDGE_VSS_DATA``."""
    folder = Path(os.environ.get("EDGE_VSS_DATA", ROOT / ".." / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set EDGE_VSS_DATA")
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained clockwork network for 64x96 pictures of the street world's classes."""
    torch = pytest.importorskip("torch", reason="making a checkpoint needs the train extra")
    from edge_vss.data.classes import CAMVID_CLASSES
    from edge_vss.networks import build_network, network_config
    from edge_vss.training import CheckpointInfo, InputInfo, save_checkpoint

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(7)
        config = network_config("clockwork", classes=len(CAMVID_CLASSES))
        network = build_network(config)
    numbers = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    info = CheckpointInfo(
        network=config,
        classes=CAMVID_CLASSES,
        input=InputInfo(height=64, width=96, mean=numbers[0], std=numbers[1]),
    )
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(path, network.state_dict(), info)
    return path


@pytest.fixture(scope="session")
def tiny_bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That network as a bundle, its clocks set on a few generated frames. Not to be changed: copy it first."""
    pytest.importorskip("onnx", reason="exporting needs the train extra")
    from edge_vss.deploy import deploy

    out = tmp_path_factory.mktemp("bundle") / "tiny.bundle"
    deploy(tiny_checkpoint, out, calibration="street:[size=64x96,frames=16,seed=3]")
    return out
