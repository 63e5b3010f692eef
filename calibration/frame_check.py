"""Whether the frames of a calibration source show anything that something could be learnt of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_vss.errors import BadInput

__all__ = ["FrameCheck"]


class FrameCheck:
    """Counts frames and notices when every one of them is of a single colour."""

    def __init__(self) -> None:
        self.count = 0
        self._varied = False

    def add(self, image: NDArray[np.float32]) -> None:
        """Look at one input of the network, (1, 3, H, W) float32."""
        self.count += 1
        self._varied = self._varied or bool(image[0, 0].max() > image[0, 0].min())

    def finish(self) -> None:
        """Refuse a source that is empty, black or otherwise of one colour; BadInput says so."""
        if not self.count:
            raise BadInput("the calibration source gave no frame")
        if not self._varied:
            raise BadInput(
                f"all {self.count} frames of the calibration source are of one colour; nothing can be learnt of them"
            )
