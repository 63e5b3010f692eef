"""Class lists: names, and the colours that label maps are shown in."""

from __future__ import annotations

import colorsys

from edge_vss.bundle import ClassInfo

__all__ = ["CAMVID_CLASSES", "IGNORE", "ClassInfo", "some_colour"]

IGNORE = 255
"""Label of pixels that count neither for training nor for a metric."""

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


def some_colour(index: int) -> tuple[int, int, int]:
    """A colour for a class that brings none: hues by the golden ratio, so that neighbours look different."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1.0, 0.75, 0.6 + 0.35 * (index % 2))
    return round(red * 255), round(green * 255), round(blue * 255)
