"""Optical flow in files: the 16-bit PNGs of the KITTI benchmark.

Three channels: 64 dx + 32768, 64 dy + 32768, and 1 where there is a flow. That keeps a 64th of a pixel between -512
and +512; flow beyond, which leads out of any picture of that size, is stored as none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.images import read_rgb16
from edge_vss.data.video import write_png

__all__ = ["read_flow", "write_flow"]

_SCALE, _ZERO = 64, 1 << 15


def write_flow(path: Path | str, flow: NDArray[np.floating[Any]]) -> None:
    """Write (H, W, 2) pixels (dx, dy), nan = none.

    Raises:
        BadInput: The place cannot be written.
    """
    with np.errstate(invalid="ignore"):
        stored = np.rint(flow * _SCALE) + _ZERO
        kept = ((stored >= 0) & (stored < 1 << 16)).all(axis=2)
    coded = np.zeros((*flow.shape[:2], 3), np.uint16)
    coded[kept, :2] = stored[kept]
    coded[..., 2] = kept
    write_png(path, coded)


def read_flow(path: Path) -> NDArray[np.float32]:
    """(H, W, 2) pixels (dx, dy) as ``write_flow`` or KITTI's tools store them; nan = none.

    Raises:
        BadInput: It is not a 16-bit RGB PNG.
    """
    coded = read_rgb16(path)
    flow: NDArray[np.float32] = (coded[..., :2].astype(np.float32) - _ZERO) / np.float32(_SCALE)
    flow[coded[..., 2] == 0] = np.nan
    return flow
