"""Students and teachers, built from stages."""

from edge_vss.networks.registry import NetworkConfig, build_network, network_config, network_kinds
from edge_vss.networks.staged import StagedNetwork

__all__ = ["NetworkConfig", "StagedNetwork", "build_network", "network_config", "network_kinds"]
