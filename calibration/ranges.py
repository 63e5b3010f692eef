"""Activation ranges: streaming histograms that no order of the data can change.

Bins are powers of two wide and lie on multiples of their width, so a histogram that has to grow joins whole bins and
comes out as if it had been that coarse from the start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.errors import BadInput

__all__ = ["METHODS", "Histogram", "Range"]

Range = tuple[float, float]
"""(low, high), low <= 0 <= high: zero is always a value of its own."""
HALF_BINS = 1 << 14
SMALLEST_EXPONENT = -40
SAMPLES = 1 << 17
"""Entries of one array that are binned, evenly spread; extremes are taken over all."""
COARSE_BINS = 2048
LEVELS = 255
PERCENTILE = 0.9999


class Histogram:
    """Counts of one tensor's values; at most 2**15 bins, whatever it is fed."""

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf
        self._exponent, self._first = SMALLEST_EXPONENT, 0
        self._counts = np.zeros(0, np.int64)

    def add(self, values: NDArray[Any]) -> None:
        """Count an array of real values of any shape.

        Raises:
            BadInput: It holds NaN or infinity.
        """
        self.widen(values)
        flat = values.reshape(-1)
        flat = flat[:: _stride(flat.size, values.shape[-1] if values.ndim else 1)].astype(np.float64)
        exponent = _exponent(self.magnitude)
        places = np.floor(np.ldexp(flat, -exponent)).astype(np.int64)
        first = int(places.min())
        self._merge(exponent, first, np.bincount(places - first).astype(np.int64))

    def widen(self, values: NDArray[Any]) -> None:
        """Take note of the extremes alone, of an array that is not to be quantised.

        Raises:
            BadInput: It holds NaN or infinity.
        """
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise BadInput("a tensor became NaN or infinite during calibration")
        self.low, self.high = min(self.low, low), max(self.high, high)

    @property
    def magnitude(self) -> float:
        """The largest absolute value that was seen, 0 before any."""
        return max(0.0, -self.low, self.high)

    def merge(self, other: Histogram) -> None:
        """Count everything that ``other`` has counted."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        if len(other._counts):
            self._merge(other._exponent, other._first, other._counts)

    def _merge(self, exponent: int, first: int, counts: NDArray[np.int64]) -> None:
        exponent_now = max(exponent, _exponent(self.magnitude))
        parts = [_coarser(first, counts, exponent_now - exponent)]
        if len(self._counts):
            parts.append(_coarser(self._first, self._counts, exponent_now - self._exponent))
        begin = min(place for place, _ in parts)
        total = np.zeros(max(place + len(part) for place, part in parts) - begin, np.int64)
        for place, part in parts:
            total[place - begin : place - begin + len(part)] += part
        self._exponent, self._first, self._counts = exponent_now, begin, total

    def parts(self) -> dict[str, NDArray[Any]]:
        """All that the histogram holds, as arrays; ``restored`` takes them."""
        return {
            "limits": np.array([self.low, self.high]),
            "places": np.array([self._exponent, self._first]),
            "counts": self._counts,
        }

    @classmethod
    def restored(cls, limits: NDArray[Any], places: NDArray[Any], counts: NDArray[Any]) -> Histogram:
        """A histogram from its ``parts``."""
        found = cls()
        found.low, found.high = map(float, limits)
        found._exponent, found._first = map(int, places)
        found._counts = counts.astype(np.int64)
        return found

    @property
    def filled(self) -> bool:
        """Whether anything was counted."""
        return len(self._counts) > 0

    @property
    def bins(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(centres, counts), without empty bins. The centre of the bin that starts at 0 is 0: it holds ReLU's zeros."""
        filled = np.flatnonzero(self._counts)
        places = filled + self._first
        centres = np.where(places == 0, 0.0, np.ldexp(places + 0.5, self._exponent))
        return centres, self._counts[filled]

    def range(self, method: str) -> Range:
        """The range by one of ``METHODS``.

        Raises:
            BadInput: Nothing was counted, or the method is unknown.
        """
        if method not in METHODS:
            raise BadInput(f"unknown calibration method {method!r}; known: {', '.join(METHODS)}")
        if not len(self._counts):
            raise BadInput("a range was asked for before anything was observed")
        low, high = METHODS[method](self)
        return min(low, 0.0), max(high, 0.0)


def _exponent(magnitude: float) -> int:
    """The finest bins of which 2**14 reach to ``magnitude``."""
    return max(SMALLEST_EXPONENT, math.frexp(magnitude)[1] - 14) if magnitude else SMALLEST_EXPONENT


def _stride(size: int, width: int) -> int:
    """About ``SAMPLES`` entries, on varying columns of the image."""
    stride = max(1, size // SAMPLES)
    while stride > 1 and math.gcd(stride, width) > 1:
        stride += 1
    return stride


def _coarser(first: int, counts: NDArray[np.int64], steps: int) -> tuple[int, NDArray[np.int64]]:
    if steps == 0:
        return first, counts
    places = (np.arange(len(counts)) + first) >> steps
    begin = int(places[0])
    found = np.zeros(int(places[-1]) - begin + 1, np.int64)
    np.add.at(found, places - begin, counts)
    return begin, found


def _minmax(histogram: Histogram) -> Range:
    return histogram.low, histogram.high


def _percentile(histogram: Histogram) -> Range:
    """What is left when the outermost 0.01 % go on either side."""
    centres, counts = histogram.bins
    share = np.cumsum(counts) / counts.sum()
    low = centres[int(np.searchsorted(share, 1.0 - PERCENTILE))]
    high = centres[min(len(centres) - 1, int(np.searchsorted(share, PERCENTILE)))]
    return float(low), float(high)


def _clipped(histogram: Histogram, shares: Iterable[float]) -> Iterable[Range]:
    for share in shares:
        yield min(histogram.low, 0.0) * share, max(histogram.high, 0.0) * share


def _mse(histogram: Histogram) -> Range:
    """The clipping whose 8-bit rounding and cut tails lose the least mean square."""
    centres, counts = histogram.bins

    def loss(limits: Range) -> float:
        step = (limits[1] - limits[0]) / LEVELS or 1.0
        stored = np.round((np.clip(centres, *limits)) / step) * step
        return float((counts * (stored - centres) ** 2).sum())

    return min(_clipped(histogram, np.geomspace(1.0, 0.02, 120)), key=loss)


def _entropy(histogram: Histogram) -> Range:
    """The clipping whose 128 levels of magnitude tell the least from the 2048 bins of what was seen.

    After Migacz, "8-bit inference with TensorRT" (2017): Kullback-Leibler divergence, tails piled on the last bin.
    """
    centres, counts = histogram.bins
    magnitude = max(-histogram.low, histogram.high) or 1.0
    places = np.minimum((np.abs(centres) / magnitude * COARSE_BINS).astype(np.int64), COARSE_BINS - 1)
    seen = np.bincount(places, counts, COARSE_BINS).astype(np.float64)
    seen[0] = 0.0  # zeros are exact whatever the range
    if not seen.any():
        return _minmax(histogram)
    best = min(range(128, COARSE_BINS + 1, 16), key=lambda kept: _divergence(seen, kept))
    limit = magnitude * best / COARSE_BINS
    return max(histogram.low, -limit), min(histogram.high, limit)


def _divergence(seen: NDArray[np.float64], kept: int) -> float:
    wanted = seen[:kept].copy()
    if not wanted.any():
        return math.inf
    groups = np.arange(kept) * 128 // kept
    filled = wanted > 0
    mass, members = np.bincount(groups, wanted, 128), np.bincount(groups, filled, 128)
    found = np.where(filled, (mass / np.maximum(members, 1))[groups], 0.0)
    wanted[-1] += seen[kept:].sum()
    wanted, found = wanted / wanted.sum(), np.maximum(found / found.sum(), 1e-12)
    return float((wanted[wanted > 0] * np.log(wanted[wanted > 0] / found[wanted > 0])).sum())


METHODS: dict[str, Callable[[Histogram], Range]] = {
    "mse": _mse,
    "minmax": _minmax,
    "percentile": _percentile,
    "entropy": _entropy,
}
"""Name on the command line -> range of a histogram; the first is the default."""
