"""Signals that end work where it can be ended, rather than in the middle of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["ended_by_signals"]


@contextmanager
def ended_by_signals(stop: Callable[[], None] = lambda: None) -> Iterator[list[int]]:
    """While the block runs, SIGINT and SIGTERM call ``stop`` instead of interrupting it.

    The second signal interrupts as it always does. Outside the main thread, which alone gets signals, nothing changes.

    Yields:
        Those that came.
    """
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if main}
    before = {number: handler for number, handler in before.items() if callable(handler)}

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def end(number: int, frame: FrameType | None) -> None:
        came.append(number)
        put_back()
        stop()

    for number in before:
        signal.signal(number, end)
    try:
        yield came
    finally:
        put_back()
