"""Class lists: names, and the colours that label maps are shown in."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CAMVID_CLASSES", "IGNORE", "ClassInfo"]

IGNORE = 255
"""Label of pixels that count neither for training nor for a metric."""


@dataclass(frozen=True)
class ClassInfo:
    """One class of a label map; its id is its place in the list."""

    name: str
    """As in the data set's own documentation."""
    colour: tuple[int, int, int]
    """Red, green, blue, each 0-255."""


CAMVID_CLASSES: tuple[ClassInfo, ...] = (
    ClassInfo("Sky", (128, 128, 128)),
    ClassInfo("Building", (128, 0, 0)),
    ClassInfo("Pole", (192, 192, 128)),
    ClassInfo("Road", (128, 64, 128)),
    ClassInfo("Pavement", (60, 40, 222)),
    ClassInfo("Tree", (128, 128, 0)),
    ClassInfo("SignSymbol", (192, 128, 128)),
    ClassInfo("Fence", (64, 64, 128)),
    ClassInfo("Car", (64, 0, 128)),
    ClassInfo("Pedestrian", (64, 64, 0)),
    ClassInfo("Bicyclist", (0, 128, 192)),
)
"""The 11 classes that CamVid is scored on, in the usual order and colours."""
