"""A data set that is learnt in seconds: coloured bands, each class a colour."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from edge_vss.training import AugmentConfig, TrainConfig

COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)


@pytest.fixture(scope="session")
def bands(tmp_path_factory: pytest.TempPathFactory) -> str:
    """DATA: 12 frames of 64x96 with 3 classes, sky over wall over floor at random heights, 255 in one corner."""
    root = tmp_path_factory.mktemp("bands")
    rng = np.random.default_rng(0)
    for name in ("images", "labels"):
        (root / name).mkdir()
    for index in range(12):
        first, second = sorted(rng.integers(8, 56, 2))
        labels = np.zeros((64, 96), np.uint8)
        labels[first:], labels[second:] = 1, 2
        rgb = np.clip(COLOURS[labels].astype(np.int16) + rng.integers(-30, 31, (64, 96, 3)), 0, 255).astype(np.uint8)
        labels[:4, :4] = 255
        cv2.imwrite(str(root / "images" / f"{index:02}.png"), rgb[..., ::-1])
        cv2.imwrite(str(root / "labels" / f"{index:02}.png"), labels)
    (root / "classes.json").write_text(json.dumps(["sky", "wall", "floor"]))
    return f"folder:{root}"


@pytest.fixture(scope="session")
def tiny() -> TrainConfig:
    """A run of 12 steps on those."""
    return TrainConfig(
        height=64,
        width=96,
        crop_height=32,
        crop_width=64,
        epochs=4,
        batch=4,
        held_out=0.25,
        validate_every=2,
        save_every=1,
        ema=0.5,
        augment=AugmentConfig(scale=(0.8, 1.25)),
    )


@pytest.fixture(scope="session")
def plain() -> AugmentConfig:
    """Frames as they are."""
    return AugmentConfig(
        scale=(1, 1),
        stretch=0,
        rotate_deg=0,
        flip=False,
        brightness=0,
        contrast=0,
        gamma=0,
        hue_deg=0,
        saturation=0,
        tint=0,
        blur=0,
        noise=0,
    )
