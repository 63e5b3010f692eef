"""How to train: every number that a run depends on besides the recipe, the data and the seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from edge_vss.errors import BadInput

__all__ = ["AugmentConfig", "LossConfig", "TrainConfig", "load_config"]


def check_finite(part: msgspec.Struct) -> None:
    """ValueError where a number of a configuration is nan or infinite."""
    for name in part.__struct_fields__:
        value = getattr(part, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            raise ValueError(f"{name} wants finite numbers, got {value}")


def check_range(part: msgspec.Struct, name: str, limits: Mapping[str, float]) -> None:
    """ValueError where a number of a table of a configuration is negative, above its limit, or none."""
    for field, limit in limits.items():
        value = getattr(part, field)
        if isinstance(value, int | float) and not 0 <= value <= limit:
            raise ValueError(f"{name}.{field} lies in [0, {limit:g}], got {value}")


class AugmentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to a training frame before the network sees it; all strengths 0 = the plain frame, resized."""

    scale: tuple[float, float] = (0.5, 2.0)
    """Range of the random zoom, log-uniform."""
    stretch: float = 0.1
    """Width against height varies by this share."""
    rotate_deg: float = 3.0
    """Largest rotation either way."""
    flip: bool = True
    """Mirror half of the frames."""
    brightness: float = 0.3
    """Largest shift, as a share of full scale."""
    contrast: float = 0.3
    """Largest relative change."""
    gamma: float = 0.4
    """Largest change of log gamma."""
    hue_deg: float = 15.0
    """Largest turn of the colour circle."""
    saturation: float = 0.5
    """Largest relative change."""
    tint: float = 0.1
    """Largest gain of one channel against the others: white balance."""
    blur: float = 0.2
    """Share of frames that are blurred."""
    noise: float = 0.2
    """Share of frames that get sensor noise."""
    cutout: float = 0.0
    """Share of frames in which a rectangle becomes noise and is ignored."""

    def __post_init__(self) -> None:
        limits = {"stretch": 0.9, "rotate_deg": 180, "gamma": 4, "hue_deg": 180}
        check_range(self, "augment", {**dict.fromkeys(self.__struct_fields__, 1.0), **limits})
        if not 0.05 <= self.scale[0] <= self.scale[1] <= 20:
            raise ValueError(f"augment.scale is a rising pair in [0.05, 20], got {self.scale}")


class LossConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weights of the parts of the loss."""

    balance: float = 0.5
    """Class weights are frequency ** -balance, mean 1 over pixels; 0 treats all pixels alike."""
    ohem: float = 1.0
    """Share of the pixels, the hardest ones, that the cross-entropy of ``logits`` looks at."""
    smoothing: float = 0.0
    """Label smoothing, in [0, 1)."""
    jaccard: float = 0.5
    """Weight of the soft IoU loss on ``logits``."""
    aux: float = 0.4
    """Weight of the cross-entropy of each auxiliary score."""
    distil: float = 1.0
    """Recipes with a teacher: weight of the pixel-wise divergence from it."""
    temperature: float = 2.0
    """Recipes with a teacher: softens both score maps."""
    similarity: float = 1.0
    """Recipe ``distill``: weight of the feature similarity loss."""
    sub: float = 0.5
    """Recipe ``tdnet``: weight of the cross-entropy of the sub-network's own scores."""
    temporal: float = 0.1
    """Recipe ``etc``: weight of the difference to the frames before, along the flow."""
    pair: float = 0.1
    """Recipe ``etc``: weight of the similarities between two frames against the teacher's."""
    sequence: float = 0.1
    """Recipe ``etc``: weight of the similarities over all frames against the teacher's."""
    memory: float = 1.0
    """Recipe ``weclick``: weight of the difference to what the frames before were taken for, along the flow."""
    propagation: float = 0.0
    """Recipe ``weclick``: weight of the difference of the frames before to what the labelled one was taken for."""
    flow: bool = True
    """Recipes ``etc``, ``weclick``: false takes every point to stay where it is, to see what flow is good for."""
    adversary: float = 1e-3
    """Recipe ``uda``: weight of deceiving the discriminator."""
    adversary_frames: int = 2
    """Recipe ``uda``: frames that the discriminator sees at once, 1 or as many as ``frames_before`` + 1."""
    group: float = 0.5
    """Recipe ``tdnet``: weight of the divergence of those from the teacher's group; 0 = the teacher is not split."""
    iou_after: float = 0.4
    """Recipe ``iou``: share of the steps, the first, under cross-entropy, before union over intersection."""
    iou_frames: int = 0
    """Recipe ``iou``: frames that stand for the corpus, a share of the batch; 0 = all of it."""

    def __post_init__(self) -> None:
        limits = {"balance": 4, "ohem": 1, "iou_after": 1}
        check_range(self, "loss", {**dict.fromkeys(self.__struct_fields__, 1e6), **limits})
        if self.smoothing >= 1 or self.ohem == 0 or self.temperature == 0:
            got = f"{self.smoothing}, {self.ohem} and {self.temperature}"
            raise ValueError(f"loss.smoothing lies in [0, 1), ohem in (0, 1], temperature is positive; got {got}")


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training run. Read from TOML, with these names; what is left out keeps its default.

    Raises:
        ValueError: From construction, when a field is out of range.
    """

    network: str = "clockwork"
    """Kind of network: a name of ``edge_vss.networks.network_kinds()``."""
    height: int = 352
    """Input height of the network as shipped; validation resizes frames to it."""
    width: int = 480
    """Input width of the network as shipped."""
    crop_height: int = 288
    """Height of a training crop."""
    crop_width: int = 384
    """Width of a training crop."""
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Subtracted from red, green and blue, in 0-255 units."""
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Divides red, green and blue, in 0-255 units."""
    epochs: int = 100
    batch: int = 16
    """Frames per step and process."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    rate: float = 2e-3
    """Peak learning rate."""
    warm_up: float = 0.03
    """Share of all steps in which the rate rises from 0."""
    power: float = 0.9
    """The rate falls as (1 - progress) ** power."""
    weight_decay: float = 0.02
    """Not on norms and biases."""
    momentum: float = 0.9
    """SGD's momentum; AdamW's first beta."""
    clip: float = 5.0
    """Largest gradient norm."""
    ema: float = 0.998
    """Decay per step of the averaged weights, which are what the checkpoint holds."""
    stale: float = 0.5
    """Share of frames whose state tensors are shifted and zoomed, as if they were a few camera frames old."""
    still: float = 0.5
    """Recipe ``tdnet``: share of the steps, the first, in which a clip is one frame repeated."""
    clip_rate: float = 0.1
    """Recipe ``tdnet``: peak learning rate on real clips over ``rate``."""
    key_stride: int = 4
    """Recipe ``tdnet``: of a past frame at 1/8 every so-manieth row and column is kept; fewer suit small frames."""
    frames_before: int = 1
    """Recipes ``clockwork``, ``etc``, ``weclick``, ``uda``: frames before each labelled one that are looked at."""
    labelled_every: int = 1
    """Every so-manieth frame of a clip counts as labelled."""
    clicks: bool = False
    """One labelled pixel per object instead of whole label maps; maps that hold such clicks stay as they are."""
    held_out: float = 0.0
    """Share of every training clip, its end, that is kept for validation and never trained on."""
    validate_every: int = 10
    """Epochs between validations on the held-out part; the best is kept. 0 = never: the last weights are kept."""
    save_every: int = 5
    """Epochs between resume points."""
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()

    def __post_init__(self) -> None:
        check_finite(self)
        if not 0 <= self.momentum < 1 or self.weight_decay < 0:
            got = f"{self.momentum} and {self.weight_decay}"
            raise ValueError(f"momentum lies in [0, 1), weight_decay is not negative; got {got}")
        for name in ("height", "width", "crop_height", "crop_width"):
            size = getattr(self, name)
            if size < 32 or size > 8192 or size % 16:
                raise ValueError(f"{name} is a multiple of 16 in [32, 8192], got {size}")
        for name, low, high in (
            ("epochs", 1, 1_000_000),
            ("batch", 1, 65_536),
            ("save_every", 1, 1_000_000),
            ("validate_every", 0, 1_000_000),
            ("power", 0, 100),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} lies in [{low}, {high}], got {getattr(self, name)}")
        if self.rate <= 0 or self.clip_rate <= 0 or self.clip <= 0:
            raise ValueError("rate, clip_rate and clip are positive")
        if not all(abs(mean) <= 1e4 and 1e-3 <= std <= 1e4 for mean, std in zip(self.mean, self.std)):
            raise ValueError(f"mean lies in [-1e4, 1e4], std in [1e-3, 1e4], got {self.mean} and {self.std}")
        for name in ("warm_up", "held_out", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is a share in [0, 1), got {getattr(self, name)}")
        for name in ("stale", "still"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share in [0, 1], got {getattr(self, name)}")
        if not 1 <= self.frames_before <= 32 or not 1 <= self.key_stride <= 8 or self.labelled_every < 1:
            raise ValueError("frames_before lies in [1, 32], key_stride in [1, 8], labelled_every is at least 1")
        if not 1 <= self.loss.adversary_frames <= self.frames_before + 1:
            raise ValueError("loss.adversary_frames lies in [1, frames_before + 1]")


DEFAULT = TrainConfig()


def load_config(path: Path, default: TrainConfig = DEFAULT) -> TrainConfig:
    """Reads a TOML file; what it leaves out is as in ``default``.

    Raises:
        BadInput: It cannot be read, or a name or value in it is not one of ``TrainConfig``.
    """
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
        merged = msgspec.to_builtins(default)
        for name, value in found.items():
            nested = isinstance(value, dict) and isinstance(merged.get(name), dict)
            merged[name] = {**merged[name], **value} if nested else value
        return msgspec.convert(merged, TrainConfig)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if isinstance(error, msgspec.ValidationError):
            raise BadInput(f"{path}: {error}; docs/training.md lists the keys") from error
        raise BadInput(f"{path}: is no TOML ({error}); docs/training.md has an example") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadInput(f"{path}: {error}") from error
