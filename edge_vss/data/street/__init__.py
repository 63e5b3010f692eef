"""A procedural street seen from a moving car, with exact labels, instances, depth and flow."""

from edge_vss.data.street.config import STREET_CLASSES, STREET_THINGS, Look, Motion, StreetConfig, StreetFrame
from edge_vss.data.street.world import StreetWorld

__all__ = ["STREET_CLASSES", "STREET_THINGS", "Look", "Motion", "StreetConfig", "StreetFrame", "StreetWorld"]
