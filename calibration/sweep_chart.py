"""The chart of ``edge-vss calibrate --sweep``."""

from __future__ import annotations

import io
from collections.abc import Sequence

from edge_vss.calibration.sweep import SweepPoint
from edge_vss.errors import DeviceError

__all__ = ["chart"]


def chart(points: Sequence[SweepPoint], title: str) -> bytes:
    """mIoU against multiply-adds: the swept schedule as a line, the others as single points.

    Returns:
        A PNG file.

    Raises:
        DeviceError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise DeviceError("--sweep draws with matplotlib, which is not installed; pip install matplotlib") from None
    figure = Figure(figsize=(9, 5), layout="constrained", dpi=120)
    axes = figure.add_subplot()
    swept = sorted((point for point in points if point.clock_rate is not None), key=lambda point: point.macs_per_frame)
    axes.plot(
        [point.macs_per_frame / 1e6 for point in swept],
        [point.miou for point in swept],
        marker="o",
        label=f"{swept[0].schedule}, clock rate asked" if swept else None,
    )
    for point in swept:
        axes.annotate(
            f"{point.clock_rate:g}",
            (point.macs_per_frame / 1e6, point.miou),
            textcoords="offset points",
            xytext=(0, 8),
            ha="center",
        )
    # A stage that never fires again says what re-use costs, far below the rest: it would squeeze the others together.
    others = [point for point in points if point.clock_rate is None and point.update_rate > 0.0]
    for point, marker in zip(others, "sD^v<>PX*hpd"):
        axes.plot(point.macs_per_frame / 1e6, point.miou, marker, markersize=9, linestyle="none", label=point.schedule)
    axes.set_xlabel("multiply-adds per frame, mean, millions")
    axes.set_ylabel("mIoU")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()
