"""Random views of a training frame: where it is looked at, and through which camera."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_vss.data.classes import IGNORE
from edge_vss.training.config import AugmentConfig

__all__ = ["View", "resized"]

RGB = NDArray[np.uint8]
Labels = NDArray[np.uint8]
LUMA = np.array([0.299, 0.587, 0.114])


class View:
    """One random view of the frames of a clip: all of them are looked at from one place, through one camera.

    Args:
        shape: Rows and columns of the frames.
        config: Strengths; all 0 = the plain frame.
        height: Rows of the view.
        width: Columns of the view.
        rng: Every random choice comes from here, so a seed fixes the view.
    """

    def __init__(
        self, shape: tuple[int, ...], config: AugmentConfig, height: int, width: int, rng: np.random.Generator
    ) -> None:
        self.config, self.size = config, (width, height)
        self.matrix, self.zoom = _geometry(shape[0], shape[1], config, height, width, rng)
        self.rng, self.state = rng, rng.bit_generator.state

    def seen(self, rgb: RGB, labels: Labels, points: bool = False) -> tuple[RGB, Labels]:
        """A frame with its labels.

        Args:
            rgb: (H, W, 3) uint8.
            labels: (H, W) uint8; 255 = ignore.
            points: Labels are single pixels; each stays one, wherever it comes to lie.

        Returns:
            (height, width, 3) and (height, width) uint8; what lies outside the frame is ignored.
        """
        view, box = self._through_the_camera(rgb)
        marks = self._points(labels) if points else self._warped(labels, cv2.INTER_NEAREST, IGNORE)
        if box is not None:
            marks[box] = IGNORE
        return view, marks

    def rgb(self, rgb: RGB) -> RGB:
        """Another frame of the clip."""
        return self._through_the_camera(rgb)[0]

    def moved(
        self, flow: NDArray[np.floating[Any]], visible: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Flow (H, W, 2) and where it is known (H, W), between frames of the clip as they are viewed."""
        moved = self._warped(flow.astype(np.float32), cv2.INTER_NEAREST, 0) @ self.matrix[:, :2].T.astype(np.float32)
        return moved, self._warped(visible.astype(np.uint8), cv2.INTER_NEAREST, 0).astype(np.bool_)

    def _warped(self, array: NDArray[Any], sampling: int, outside: int) -> NDArray[Any]:
        return np.asarray(
            cv2.warpAffine(
                array, self.matrix, self.size, flags=sampling, borderMode=cv2.BORDER_CONSTANT, borderValue=outside
            )
        )

    def _points(self, labels: Labels) -> Labels:
        width, height = self.size
        marks = np.full((height, width), IGNORE, np.uint8)
        rows, columns = np.nonzero(labels != IGNORE)
        x, y = np.rint(self.matrix @ np.stack([columns, rows, np.ones_like(rows)])).astype(np.int64)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        marks[y[inside], x[inside]] = labels[rows, columns][inside]
        return marks

    def _through_the_camera(self, rgb: RGB) -> tuple[RGB, tuple[slice, slice] | None]:
        """The picture, and the box that was cut out of it."""
        config, rng, (width, height) = self.config, self.rng, self.size
        rng.bit_generator.state = self.state
        if self.zoom < 0.75:  # Bilinear sampling would alias.
            rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 0.4 / self.zoom), np.uint8)
        view = cv2.warpAffine(rgb, self.matrix, self.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        view = _colours(np.asarray(view, np.uint8), config, rng)
        if rng.random() < config.blur:
            view = np.asarray(cv2.GaussianBlur(view, (0, 0), float(rng.uniform(0.4, 1.6))), np.uint8)
        if rng.random() < config.noise:
            view = _noisy(view, float(rng.uniform(2, 12)), rng)
        if rng.random() >= config.cutout:
            return view, None
        top, left = int(rng.integers(height)), int(rng.integers(width))
        box = np.s_[top : top + height // 4, left : left + width // 4]
        view[box] = rng.integers(0, 256, view[box].shape, np.uint8)
        return view, box


def resized(rgb: RGB, height: int, width: int) -> RGB:
    """The whole frame, stretched: (height, width, 3) uint8."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _geometry(
    rows: int, columns: int, config: AugmentConfig, height: int, width: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], float]:
    """A 2x3 matrix from frame to view, and its zoom; the view lies inside the frame where it is small enough."""
    low, high = (math.log(scale) for scale in config.scale)
    zoom = math.exp(rng.uniform(low, high))
    stretch = math.exp(rng.uniform(-config.stretch, config.stretch) / 2)
    zoom_x, zoom_y = zoom * stretch, zoom / stretch
    angle = math.radians(rng.uniform(-config.rotate_deg, config.rotate_deg))
    mirror = -1.0 if config.flip and rng.random() < 0.5 else 1.0
    linear = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = linear @ np.diag([zoom_x * mirror, zoom_y])
    # Room between view and frame, in view pixels; negative where the frame is the smaller one.
    room = np.array([columns * zoom_x - width, rows * zoom_y - height])
    offset = rng.uniform(-0.5, 0.5, 2) * np.abs(room)
    frame_centre, view_centre = np.array([columns - 1, rows - 1]) / 2, np.array([width - 1, height - 1]) / 2
    shift = view_centre + offset - linear @ frame_centre
    return np.column_stack([linear, shift]), zoom


def _colours(rgb: RGB, config: AugmentConfig, rng: np.random.Generator) -> RGB:
    """Hue, saturation and white balance as one matrix, then brightness, contrast and gamma as one table."""
    angle = math.radians(rng.uniform(-config.hue_deg, config.hue_deg))
    saturation = 1 + rng.uniform(-config.saturation, config.saturation)
    gains = 1 + rng.uniform(-config.tint, config.tint, 3)
    grey = np.tile(LUMA, (3, 1))
    # Rodrigues' rotation about the grey axis turns the hue.
    axis = np.full(3, 1 / math.sqrt(3))
    cross = np.cross(np.eye(3), axis)
    turn = math.cos(angle) * np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * np.outer(axis, axis)
    matrix = np.diag(gains) @ (grey + saturation * (turn - grey))
    brightness = rng.uniform(-config.brightness, config.brightness)
    contrast = 1 + rng.uniform(-config.contrast, config.contrast)
    gamma = math.exp(rng.uniform(-config.gamma, config.gamma))
    ramp = np.linspace(0, 1, 256) ** gamma
    table = np.clip(((ramp - 0.5) * contrast + 0.5 + brightness) * 255, 0, 255).round().astype(np.uint8)
    return np.asarray(cv2.LUT(np.asarray(cv2.transform(rgb, matrix), np.uint8), table), np.uint8)


def _noisy(rgb: RGB, sigma: float, rng: np.random.Generator) -> RGB:
    """Gaussian noise; one small random field is tiled, as drawing every pixel would cost more than the warp."""
    field = np.clip(rng.normal(0, sigma, (61, 67, 3)), -60, 60).round().astype(np.int16)
    rows, columns = -(-rgb.shape[0] // 61), -(-rgb.shape[1] // 67)
    tiled = np.tile(field, (rows, columns, 1))[: rgb.shape[0], : rgb.shape[1]]
    noisy: RGB = np.clip(rgb.astype(np.int16) + tiled, 0, 255).astype(np.uint8)
    return noisy
