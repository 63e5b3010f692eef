from collections.abc import Sequence
from typing import Annotated

import numpy
from numpy.typing import NDArray


def supported_isas() -> list[str]: ...

def default_isa() -> str: ...

class ParallelFor:
    """A persistent thread pool; the caller is one of its threads."""

    def __init__(self, threads: int) -> None: ...

    @property
    def threads(self) -> int: ...

class FitGeometry:
    """
    How a source is fitted into the network's input; rectangles (x, y, w, h).
    """

    @property
    def source_rect(self) -> tuple[int, int, int, int]: ...

    @property
    def network_rect(self) -> tuple[int, int, int, int]: ...

    @property
    def network_to_source_x(self) -> tuple[float, float]: ...

    @property
    def network_to_source_y(self) -> tuple[float, float]: ...

    @property
    def source_to_network_x(self) -> tuple[float, float]: ...

    @property
    def source_to_network_y(self) -> tuple[float, float]: ...

def fit_geometry(source: tuple[int, int], network: tuple[int, int], fit: str) -> FitGeometry:
    """Sizes are (height, width)."""

def grid_maps(geometry: FitGeometry, grid: tuple[int, int], output: str, corners: str = 'half_pixel') -> tuple[tuple[float, float], tuple[float, float]]:
    """
    (scale, offset) from output pixels to score grid samples, for y and x; output is 'network' or 'source'.
    """

class Preprocessor:
    """Frame planes -> network input."""

    def __init__(self, format: str, source: tuple[int, int], network: tuple[int, int], *, fit: str = 'stretch', pad: float = 0.0, order: str = 'rgb', mean: Sequence[float] = [0.0, 0.0, 0.0], std: Sequence[float] = [1.0, 1.0, 1.0], type: str = 'float32', layout: str = 'nchw', scale: float = 1.0, zero_point: int = 0, isa: str | None = None) -> None: ...

    @property
    def geometry(self) -> FitGeometry: ...

    @property
    def isa(self) -> str: ...

    def run(self, planes: Sequence, out: Annotated[NDArray, dict(order='C', device='cpu')], *, matrix: str = 'bt601', range: str = 'limited', pool: ParallelFor | None = None) -> None:
        """Writes the whole (1, 3, H, W) or (1, H, W, 3) tensor."""

    def reference(self, planes: Sequence, out: Annotated[NDArray, dict(order='C', device='cpu')], *, matrix: str = 'bt601', range: str = 'limited') -> None:
        """The same by the plain reference."""

class ScoreUpsampler:
    """Class scores -> label map, upsampled."""

    def __init__(self, *, kind: str = 'scores', type: str = 'float32', channels: int, grid: tuple[int, int], out: tuple[int, int], y: tuple[float, float], x: tuple[float, float], ignored: Sequence[int] = [], threshold: float = 0.0, isa: str | None = None) -> None: ...

    def run(self, scores: Annotated[NDArray, dict(order='C', device='cpu', writable=False)], labels: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), device='cpu')], pool: ParallelFor | None = None) -> bool:
        """(1, C, h, w) -> (H, W) uint8; False where a score is not finite."""

    def reference(self, scores: Annotated[NDArray, dict(order='C', device='cpu', writable=False)], labels: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), device='cpu')], gap: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')]) -> None:
        """
        The same by the plain reference; gap is best minus second score in units of the last place.
        """

def resize_labels(grid: Annotated[NDArray, dict(order='C', device='cpu', writable=False)], out: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), device='cpu')], y: tuple[float, float], x: tuple[float, float]) -> None:
    """Nearest sample of a label map."""

def overlay(labels: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), device='cpu', writable=False)], image: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, 3), device='cpu', writable=False)], palette: Annotated[NDArray[numpy.uint8], dict(shape=(None, 3), order='C', device='cpu', writable=False)], alpha: float, out: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, 3), device='cpu')], *, order: str = 'rgb', pool: ParallelFor | None = None, isa: str | None = None) -> None: ...

def reference_overlay(labels: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), device='cpu', writable=False)], image: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, 3), device='cpu', writable=False)], palette: Annotated[NDArray[numpy.uint8], dict(shape=(None, 3), order='C', device='cpu', writable=False)], alpha: float, out: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, 3), device='cpu')], *, order: str = 'rgb') -> None: ...

def count_changed(a: Annotated[NDArray, dict(shape=(None, None), device='cpu', writable=False)], b: Annotated[NDArray, dict(shape=(None, None), device='cpu', writable=False)], valid: Sequence[int] | None = None, isa: str | None = None) -> int:
    """Positions that differ inside valid = (x, y, width, height)."""

def relative_change(a: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], b: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], isa: str | None = None) -> float:
    """sum |a - b| / sum |b| in double."""
