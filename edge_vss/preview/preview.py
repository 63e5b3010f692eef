"""Ties the frame loop to the page: what the loop calls, and what browsers get."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any

from edge_vss.frame import Frame
from edge_vss.jetson.power import PowerSampler, PowerSource, find_power
from edge_vss.preview.address import Address
from edge_vss.preview.page import load_page
from edge_vss.preview.pictures import VIEWS, PictureSlot
from edge_vss.preview.server import Answer, PreviewServer, say
from edge_vss.preview.statistics import POWER_INTERVAL_S, POWER_SAMPLES, StatsBoard, plain, power_figures
from edge_vss.run_stats import RunStats
from edge_vss.runtime import PipelineInfo, Result

__all__ = ["Preview", "open_preview"]

FRESH_S = 2.0
"""How long a browser waits for the loop's next frame before it gets the one before."""


class Preview:
    """The page of a run, from ``with`` to its end; a sink for the loop.

    Args:
        address: Where to listen.
        info: What runs.
        environment: Where the token is looked up; None = that of the process.
        root: Root folder of the machine, for its power sensors.
        clock: Seconds, as ``time.monotonic``.

    Raises:
        DeviceError: Nothing can listen at this address now.
        WrongUsage: It wants a token, and the one in the environment is none.
    """

    def __init__(
        self,
        address: Address,
        info: PipelineInfo,
        *,
        environment: Mapping[str, str] | None = None,
        root: Path = Path("/"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._info, self._clock = info, clock
        self._slot, self._board = PictureSlot(info.outputs, clock), StatsBoard(info, clock)
        self._power = _sampler(find_power(root, clock), clock)
        self._open = ExitStack()
        self.server = PreviewServer(
            address, page=load_page(), picture=self._picture, figures=self._figures, environment=environment
        )
        self._open.callback(self.server.end)
        self._open.callback(self._slot.close)  # first, so that nobody waits when the server ends
        if self._power is not None:
            self._open.enter_context(self._power)

    @property
    def url(self) -> str:
        """Where to look; with the token where it was made up for this run."""
        return self.server.access.url

    def write(self, frame: Frame, result: Result) -> None:
        """The loop has labelled a frame; its arrays are copied where somebody waits for a picture, else let go."""
        self._slot.offer(frame, result.labels)

    def observe(self, stats: RunStats) -> None:
        """The loop has counted a frame."""
        self._board.note(stats)

    def close(self) -> None:
        """End the server and all its threads. Closing twice is harmless."""
        self._open.close()

    discard = close

    def _picture(self, query: Mapping[str, str]) -> Answer:
        output, view = query.get("output", self._info.outputs[0].name), query.get("view", "overlay")
        if output not in self._slot.outputs or view not in VIEWS:
            known = f"outputs: {', '.join(self._slot.outputs)}; views: {', '.join(VIEWS)}"
            return say(HTTPStatus.BAD_REQUEST, f"no such output or view; {known}")
        taken = self._slot.wait(FRESH_S)
        if taken is None:
            return say(HTTPStatus.SERVICE_UNAVAILABLE, "no frame has been labelled yet", Retry_After="1")
        headers = {
            "X-Frame-Sequence": str(taken.sequence),
            "X-Frame-Age-Ms": str(round((self._clock() - taken.when_s) * 1e3)),
        }
        return Answer(taken.jpeg(output, view), "image/jpeg", headers=headers)

    def _figures(self) -> dict[str, Any]:
        taken = self._slot.newest
        outputs = {}
        for output in self._info.outputs:
            shares = taken.shares(output.name) if taken else [None] * len(output.classes)
            outputs[output.name] = [
                {"name": name, "colour": list(colour), "share": share}
                for (name, colour), share in zip(output.classes, shares)
            ]
        figures = {
            **self._board.figures(),
            "power": power_figures(self._power, self._clock()),
            "outputs": outputs,
            "preview": {"connections": self.server.connections, "pictures": self._slot.copies},
        }
        found = plain(figures)
        assert isinstance(found, dict)
        return found

    def __enter__(self) -> Preview:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _sampler(source: PowerSource | None, clock: Callable[[], float]) -> PowerSampler | None:
    if source is None:
        return None
    return PowerSampler(source, interval_s=POWER_INTERVAL_S, max_samples=POWER_SAMPLES, clock=clock)


@contextmanager
def open_preview(address: Address | None, info: PipelineInfo) -> Iterator[Preview | None]:
    """The page where one is asked for, its URL told on stderr; else None."""
    if address is None:
        yield None
        return
    with Preview(address, info) as preview:
        print(f"preview: {preview.url}", file=sys.stderr, flush=True)
        yield preview
