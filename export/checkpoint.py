"""A checkpoint of ours → engines, schedules, and how to feed and read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from edge_vss.bundle import InputSpec, OutputSpec
from edge_vss.errors import BadInput
from edge_vss.export.exported import Exported, bundle_name
from edge_vss.export.network import export_network, export_whole, network_schedules, torch_functions
from edge_vss.networks.staged import LOGITS
from edge_vss.training.checkpoint import Checkpoint, load_checkpoint

__all__ = ["checkpoint_specs", "exported_checkpoint"]


def exported_checkpoint(
    source: str | Path,
    height: int | None = None,
    width: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Exported:
    """Load a checkpoint and export its network.

    Args:
        source: A file, or ``zoo:NAME``.
        height: Of the network's input, pixels; both sides as trained where not given.
        progress: Called with the name of each stage before it is exported.

    Raises:
        BadInput: The checkpoint does not load, or the size does not suit its network.
    """
    checkpoint = load_checkpoint(source)
    trained = checkpoint.info.input
    if (height is None) != (width is None):
        raise BadInput("give both height and width of the input, or neither")
    height, width = height or trained.height, width or trained.width
    fed, read = checkpoint_specs(checkpoint, height, width)
    network = export_network(checkpoint.network, height, width, progress=progress)
    return Exported(
        name=bundle_name(Path(str(source).removeprefix("zoo:")).stem),
        graph=network.graph,
        engines=network.engines,
        whole=export_whole(checkpoint.network, network.graph),
        functions=torch_functions(checkpoint.network),
        input=fed,
        outputs=read,
        schedules=network_schedules(checkpoint.network, network.graph),
        provenance={
            "checkpoint": Path(source).name if not str(source).startswith("zoo:") else str(source),
            "network": checkpoint.info.network.kind,
            "training": msgspec.json.encode(checkpoint.info.training).decode(),
        },
    )


def checkpoint_specs(checkpoint: Checkpoint, height: int, width: int) -> tuple[InputSpec, tuple[OutputSpec, ...]]:
    """How a checkpoint's network is fed at one input size, and read."""
    trained = checkpoint.info.input
    return (
        InputSpec(height=height, width=width, mean=trained.mean, std=trained.std),
        (OutputSpec(name="labels", tensor=LOGITS, classes=checkpoint.info.classes),),
    )
