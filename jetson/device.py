"""Which GPU a machine has, asked of the CUDA driver itself, so that it takes no Python package."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from edge_vss.errors import DeviceError

__all__ = ["Device", "find_device"]

DRIVER_LIBRARY = "libcuda.so.1"
INTEGRATED, CAPABILITY_MAJOR, CAPABILITY_MINOR = 18, 75, 76
"""Numbers of CUdevice_attribute, part of the driver's interface."""
NO_DEVICE = 100
NAME_BYTES = 256


@dataclass(frozen=True, kw_only=True)
class Device:
    """One GPU."""

    name: str
    capability: tuple[int, int]
    """Compute capability, such as (8, 7) for Orin."""
    integrated: bool
    """Shares its memory with the CPU, as on a Jetson."""

    @property
    def sm(self) -> str:
        """Architecture as plan names have it, such as ``sm87``."""
        return "sm{}{}".format(*self.capability)


def find_device(ordinal: int = 0) -> Device:
    """Ask the CUDA driver about a GPU.

    Args:
        ordinal: As CUDA counts them; TensorRT builds for device 0 unless told otherwise.

    Raises:
        DeviceError: There is no driver or no such GPU.
    """
    try:
        driver = ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        raise DeviceError(
            f"no CUDA driver here: {DRIVER_LIBRARY} does not load; plans are built on the device that runs them "
            f"(a Jetson has it from JetPack; in a container use the NVIDIA runtime)"
        ) from None
    _call(driver, "cuInit", 0)
    handle = ctypes.c_int()
    _call(driver, "cuDeviceGet", ctypes.byref(handle), ordinal)
    name = ctypes.create_string_buffer(NAME_BYTES)
    _call(driver, "cuDeviceGetName", name, NAME_BYTES, handle)

    def attribute(number: int) -> int:
        value = ctypes.c_int()
        _call(driver, "cuDeviceGetAttribute", ctypes.byref(value), number, handle)
        return value.value

    return Device(
        name=name.value.decode(errors="replace"),
        capability=(attribute(CAPABILITY_MAJOR), attribute(CAPABILITY_MINOR)),
        integrated=bool(attribute(INTEGRATED)),
    )


def _call(driver: ctypes.CDLL, function: str, *arguments: object) -> None:
    status = getattr(driver, function)(*arguments)
    if status == NO_DEVICE:
        raise DeviceError("the CUDA driver finds no GPU; see: edge-vss doctor")
    if status:
        raise DeviceError(f"the CUDA driver fails in {function} with error {status}; see: edge-vss doctor")
