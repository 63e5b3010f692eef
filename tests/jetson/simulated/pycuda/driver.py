"""The part of ``pycuda.driver`` that the golden check uses."""

from __future__ import annotations

import itertools
from typing import Any

from simulation import state

ADDRESSES = itertools.count(0x7F0000000000, 1 << 32)
HANDLES = itertools.count(1)


class Error(Exception):
    pass


class MemoryError(Error):  # noqa: A001
    pass


def init() -> None:
    if "retain" in state().faults:
        raise Error("cuInit failed: no CUDA-capable device is detected")


class Context:
    def push(self) -> None:
        state().contexts.append("pushed")

    @staticmethod
    def pop() -> None:
        state().contexts.remove("pushed")

    def detach(self) -> None:
        state().contexts.remove("retained")


class Device:
    def __init__(self, number: int) -> None:
        assert number == 0

    def retain_primary_context(self) -> Context:
        state().contexts.append("retained")
        return Context()


def _current() -> None:
    if "pushed" not in state().contexts:
        raise Error("invalid device context")


class Stream:
    def __init__(self) -> None:
        _current()
        self.handle = next(HANDLES)
        state().queues[self.handle] = []

    def synchronize(self) -> None:
        _current()
        work, state().queues[self.handle] = state().queues[self.handle], []
        for each in work:
            each()


class DeviceAllocation:
    def __init__(self, size: int) -> None:
        self._address = next(ADDRESSES)
        state().memory[self._address] = bytearray(size)

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        _current()
        del state().memory[self._address]


def mem_alloc(size: int) -> DeviceAllocation:
    _current()
    if "memory" in state().faults and len(state().memory) >= 2:
        raise MemoryError("cuMemAlloc failed: out of memory")
    return DeviceAllocation(size)


def memcpy_htod_async(dest: DeviceAllocation, src: Any, stream: Stream) -> None:
    _current()
    data = memoryview(src).cast("B")
    assert len(data) == len(state().memory[int(dest)])

    def work() -> None:  # read as late as this: whoever changes the array before synchronising has an error
        state().memory[int(dest)][:] = data

    state().queues[stream.handle].append(work)


def memcpy_dtoh_async(dest: Any, src: DeviceAllocation, stream: Stream) -> None:
    _current()

    def work() -> None:
        memoryview(dest).cast("B")[:] = state().memory[int(src)]

    state().queues[stream.handle].append(work)
