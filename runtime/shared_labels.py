"""Label maps in shared memory, for other processes; ``edge_vss_shm.h`` describes the segment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_vss.runtime import _native
from edge_vss.runtime.pipeline import FLAGS, Result

__all__ = ["SharedLabels"]


class SharedLabels:
    """Writes the label maps of one output to ``/dev/shm/NAME``; readers never make it wait.

    Args:
        name: Without a slash.
        output: Which of the label maps.
        palette: (classes, 3) uint8 RGB.
        height: Of the label maps, pixels, as ``width``.

    Raises:
        ValueError: The name cannot be, or another process writes to it.
    """

    def __init__(self, name: str, *, output: str, palette: NDArray[np.uint8], height: int, width: int) -> None:
        self._output = output
        self._native = _native.SharedLabels(name, output, np.ascontiguousarray(palette), height, width)

    def write(self, result: Result) -> None:
        """Publish the label map of a result."""
        self._native.write(
            result.labels[self._output],
            result.sequence,
            result.pts_us,
            result.captured_ns,
            result.done_ns,
            sum(bit for bit, name in FLAGS.items() if name in result.flags),
            result.age_frames[self._output],
        )

    def close(self) -> None:
        """Mark the segment as left, and remove its name. Closing twice is harmless."""
        self._native.close()
