"""Clicks instead of label maps: one labelled pixel per object, as an annotator would leave them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_vss.data.classes import IGNORE

__all__ = ["click_labels"]

SMALLEST_PX = 16
"""Regions of fewer pixels nobody clicks on."""


def click_labels(
    labels: NDArray[np.uint8], instances: NDArray[np.uint16] | None, seed: tuple[int, ...]
) -> NDArray[np.uint8]:
    """One pixel per instance and, of what has no instances, per connected region of a class.

    Liu et al., *WeClick: Weakly-Supervised Video Semantic Segmentation with Click Annotations*, 2021, section 3.1.
    A click lies well inside: on one of the pixels that are at least half as far from the region's edge as the
    innermost one. A label map without any region large enough holds clicks already and stays as it is.

    Args:
        labels: (H, W), 255 = not labelled.
        instances: (H, W), 0 = none.
        seed: Which pixels are chosen.

    Returns:
        (H, W), 255 but for the clicks; new, or ``labels`` where they are clicks.
    """
    rng = np.random.default_rng(seed)
    clicked = np.full_like(labels, IGNORE)
    numbers = np.zeros(labels.shape, np.uint16) if instances is None else instances
    for label in np.unique(labels[labels != IGNORE]):
        here = labels == label
        for number in np.unique(numbers[here]):
            part = np.ascontiguousarray(here & (numbers == number), np.uint8)
            regions = [part] if number else _regions(part)
            for region in regions:
                if np.count_nonzero(region) >= SMALLEST_PX:
                    clicked[_click(region, rng)] = label
    return clicked if (clicked != IGNORE).any() else labels


def _regions(part: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    count, marks = cv2.connectedComponents(part, connectivity=8)
    return [np.asarray(marks == mark, np.uint8) for mark in range(1, count)]


def _click(region: NDArray[np.uint8], rng: np.random.Generator) -> tuple[int, int]:
    padded = np.pad(region, 1)
    depth = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 3))[1:-1, 1:-1]
    inner = np.argwhere(depth >= depth.max() / 2)
    row, column = inner[rng.integers(len(inner))]
    return int(row), int(column)
