"""A procedural street seen from a moving car, with exact labels, instances and depth."""

from edge_vss.data.street.config import STREET_CLASSES, Look, Motion, StreetConfig, StreetFrame
from edge_vss.data.street.world import StreetWorld

__all__ = ["STREET_CLASSES", "Look", "Motion", "StreetConfig", "StreetFrame", "StreetWorld"]
