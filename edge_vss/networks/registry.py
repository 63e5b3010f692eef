"""Networks by name. A new kind is one builder and one entry here."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from edge_vss.errors import BadInput
from edge_vss.networks.clockwork import clockwork
from edge_vss.networks.config import NetworkConfig
from edge_vss.networks.perframe import perframe
from edge_vss.networks.staged import StagedNetwork
from edge_vss.networks.tdnet import tdnet, tdnet_single

__all__ = ["NetworkConfig", "build_network", "network_config", "network_kinds"]

SHALLOW = NetworkConfig(kind="tdnet2", turns=2, deep_dilations=(1, 2, 4, 8), decoder_blocks=1)
"""Sub-networks of about the per-frame student's cost; the four dilations are shared out among them."""

Kind = tuple[Callable[[NetworkConfig], StagedNetwork], NetworkConfig]


def _singles(turns: int) -> dict[str, Kind]:
    """Every one of so many sub-networks, alone; they differ in their share of the dilations."""
    found: dict[str, Kind] = {}
    for share in range(turns):
        name, dilations = f"tdnet{turns}-single", SHALLOW.deep_dilations[share::turns]
        kind = f"{name}-{share}" if share else name
        found[kind] = tdnet_single, msgspec.structs.replace(SHALLOW, kind=kind, turns=1, deep_dilations=dilations)
    return found


KINDS: dict[str, Kind] = {
    "clockwork": (clockwork, NetworkConfig(kind="clockwork")),
    # As many multiply-adds as the clockwork student spends on average when its deep stage fires on every second frame.
    "perframe": (perframe, NetworkConfig(kind="perframe", stem=(24, 32), deep_dilations=(1, 4, 8), decoder_blocks=1)),
    "teacher": (
        perframe,
        NetworkConfig(
            kind="teacher",
            stem=(32, 64),
            fine=128,
            middle=192,
            deep=192,
            deep_dilations=(1, 2, 4, 8, 16, 4, 1),
            decoder_blocks=4,
        ),
    ),
    "tdnet2": (tdnet, SHALLOW),
    "tdnet4": (tdnet, msgspec.structs.replace(SHALLOW, kind="tdnet4", turns=4)),
    "tdnet2-near": (tdnet, msgspec.structs.replace(SHALLOW, kind="tdnet2-near", carry="near")),
    "tdnet2-sum": (tdnet, msgspec.structs.replace(SHALLOW, kind="tdnet2-sum", carry="sum")),
    # Their sub-networks alone, and per-frame students of as many multiply-adds as they spend on every frame.
    **_singles(2),
    **_singles(4),
    "tdnet2-student": (
        perframe,
        NetworkConfig(
            kind="tdnet2-student", stem=(32, 32), middle_blocks=0, deep_dilations=(1, 4, 8), decoder_blocks=1
        ),
    ),
    "tdnet4-student": (
        perframe,
        NetworkConfig(kind="tdnet4-student", stem=(24, 32), deep=64, deep_dilations=(1, 4, 8), decoder_blocks=1),
    ),
}
"""Kind → its builder and default configuration."""


def network_kinds() -> tuple[str, ...]:
    """Names that ``network_config`` takes."""
    return tuple(KINDS)


def network_config(kind: str, *, classes: int) -> NetworkConfig:
    """The default configuration of ``kind`` for a number of classes.

    Raises:
        BadInput: No such kind.
    """
    if kind not in KINDS:
        raise BadInput(f"unknown network {kind!r}; known: {', '.join(KINDS)}")
    return msgspec.structs.replace(KINDS[kind][1], classes=classes)


def build_network(config: NetworkConfig) -> StagedNetwork:
    """A network with fresh weights, drawn from torch's global generator.

    Raises:
        BadInput: No such kind.
    """
    if config.kind not in KINDS:
        raise BadInput(f"unknown network {config.kind!r}; known: {', '.join(KINDS)}")
    return KINDS[config.kind][0](config)
