"""The training loop and its recipes."""

from edge_vss.training.checkpoint import Checkpoint, CheckpointInfo, InputInfo, load_checkpoint, save_checkpoint
from edge_vss.training.config import AugmentConfig, LossConfig, TrainConfig, load_config
from edge_vss.training.train import TrainOptions, TrainResult, frames_of, train

__all__ = [
    "AugmentConfig",
    "Checkpoint",
    "CheckpointInfo",
    "InputInfo",
    "LossConfig",
    "TrainConfig",
    "TrainOptions",
    "TrainResult",
    "frames_of",
    "load_checkpoint",
    "load_config",
    "save_checkpoint",
    "train",
]
