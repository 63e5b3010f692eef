"""What board this is, and the state it is in: power mode, clocks, temperatures, throttling, memory.

All of it is read from files that need no root. What cannot be read is None or left out, never guessed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_vss.jetson.sysfs import hwmon_devices, numbered, read_int, read_text

__all__ = ["Board", "BoardState", "Clocks", "PowerMode", "read_board", "read_state"]

JETPACKS = {
    "39.2.0": "7.2", "38.4": "7.1", "38.2": "7.0",
    "36.5.0": "6.2.2", "36.4.7": "6.2.1", "36.4.4": "6.2.1", "36.4.3": "6.2", "36.4.0": "6.1", "36.3": "6.0",
    "35.6": "5.1.4 to 5.1.6", "35.5": "5.1.3", "35.4.1": "5.1.2", "35.3.1": "5.1.1", "35.2.1": "5.1", "35.1": "5.0.2",
    "32.7": "4.6.x", "32.6.1": "4.6",
}  # fmt: skip
"""Release of Jetson Linux, or the beginning of one -> JetPack."""
MODULES = {
    "p3767-0000": "Orin NX 16 GB", "p3767-0001": "Orin NX 8 GB",
    "p3767-0003": "Orin Nano 8 GB", "p3767-0005": "Orin Nano 8 GB", "p3767-0004": "Orin Nano 4 GB",
    "p3701": "AGX Orin", "p3834": "AGX Thor", "p3668": "Xavier NX", "p2888": "AGX Xavier", "p3448": "Nano",
}  # fmt: skip
"""Part number of a module, or the beginning of one -> name."""
CAPABILITIES = {"tegra264": (11, 0), "tegra234": (8, 7), "tegra194": (7, 2), "tegra210": (5, 3)}
"""Chip -> CUDA compute capability."""
GPU_CLOCKS = ("17000000.*", "57000000.gpu", "gpu-gpc-*")
"""Names under ``/sys/class/devfreq``: Xavier and Orin, Nano of 2019, Thor."""
GPU_LOADS = ("sys/devices/platform/bus@0/17000000.gpu", "sys/devices/platform/gpu.0", "sys/devices/gpu.0")
THROTTLES = re.compile(r"[\w-]+-throttle-alert|hot-surface-alert|(cpufreq|devfreq)-[\w.-]+|Processor")
"""Cooling devices that slow something down when they are on; a fan is not among them."""
COLDEST_C = -100.0
"""Zones of parts without power read -256 °C."""


@dataclass(frozen=True)
class PowerMode:
    """A mode of nvpmodel. Its numbers follow no order and differ between boards; the name says what it is."""

    id: int
    name: str | None


@dataclass(frozen=True, kw_only=True)
class Board:
    """Identity of a machine."""

    model: str | None
    """As the device tree or the firmware has it."""
    module: str | None
    """Part number of the module, such as ``p3767-0003``."""
    module_name: str | None
    chip: str | None
    """Such as ``tegra234``."""
    l4t: str | None
    """Release of Jetson Linux, such as ``36.4.4``."""
    jetpack: str | None
    capability: tuple[int, int] | None
    power_mode: PowerMode | None

    @property
    def is_jetson(self) -> bool:
        """Whether this is a Jetson at all."""
        return self.chip is not None or self.l4t is not None


@dataclass(frozen=True)
class Clocks:
    """A clock and the limits that it moves in, Hz."""

    current_hz: int
    min_hz: int
    max_hz: int

    @property
    def pinned(self) -> bool:
        """Whether it cannot move, as after ``jetson_clocks``."""
        return self.min_hz == self.max_hz == self.current_hz


@dataclass(frozen=True, kw_only=True)
class BoardState:
    """A machine at one moment."""

    time_s: float
    gpu_load: float | None
    """In [0, 1]."""
    gpu: Clocks | None
    cpus: dict[str, Clocks]
    """Core -> its clock; cores that are off are left out."""
    temperatures_c: dict[str, float]
    """Zone -> temperature, those of parts that have power."""
    events: dict[str, int]
    """Over-current and throttle counters, since the machine started; only their change over a run says anything."""
    throttled: tuple[str, ...]
    """What is being slowed down right now."""
    memory_mib: float | None
    memory_available_mib: float | None

    @property
    def clocks_pinned(self) -> bool | None:
        """Whether all clocks that can be read are pinned; None where none can be read."""
        clocks = [*self.cpus.values(), *filter(None, (self.gpu,))]
        return all(clock.pinned for clock in clocks) if clocks else None


def read_board(root: Path = Path("/")) -> Board:
    """Identity of this machine."""
    names = (read_text(root / "proc/device-tree/compatible") or "").split("\0")
    parts = [part for name in names for part in re.findall(r"p\d{4}(?:-\d{4})?", name)]
    module = next((part for part in parts if _longest(MODULES, part, "-")), None)
    chip = next((name.removeprefix("nvidia,") for name in names if re.fullmatch(r"nvidia,tegra\d+", name)), None)
    l4t = _release(read_text(root / "etc/nv_tegra_release") or "")
    return Board(
        model=read_text(root / "proc/device-tree/model") or read_text(root / "sys/class/dmi/id/product_name") or None,
        module=module,
        module_name=_longest(MODULES, module, "-"),
        chip=chip,
        l4t=l4t,
        jetpack=_longest(JETPACKS, l4t, "."),
        capability=CAPABILITIES.get(chip or ""),
        power_mode=_power_mode(root),
    )


def read_state(root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> BoardState:
    """State of this machine now; cheap enough for once a second."""
    memory = _memory(read_text(root / "proc/meminfo") or "")
    return BoardState(
        time_s=clock(),
        gpu_load=next(
            (load / 1000 for path in GPU_LOADS if (load := read_int(root / path / "load")) is not None), None
        ),
        gpu=_gpu_clocks(root),
        cpus=_cpu_clocks(root),
        temperatures_c=_temperatures(root),
        events=_events(root),
        throttled=_throttled(root),
        memory_mib=memory.get("MemTotal"),
        memory_available_mib=memory.get("MemAvailable"),
    )


def _longest(table: dict[str, str], text: str | None, separator: str) -> str | None:
    """The entry that is ``text`` or its beginning, cut at separators: 36.4 is not the beginning of 36.44."""
    while text:
        if text in table:
            return table[text]
        text = text.rpartition(separator)[0]
    return None


def _release(text: str) -> str | None:
    """``# R36 (release), REVISION: 4.4, …`` -> ``36.4.4``."""
    found = re.search(r"R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", text)
    return f"{found[1]}.{found[2]}" if found else None


def _power_mode(root: Path) -> PowerMode | None:
    status = re.search(r"pmode:(\d+)", read_text(root / "var/lib/nvpmodel/status") or "")
    if not status:
        return None
    mode = int(status[1])
    entries = re.findall(r"<\s*POWER_MODEL\s+([^>]*)>", read_text(root / "etc/nvpmodel.conf") or "")
    for entry in entries:
        facts = dict(re.findall(r"(\w+)=(\S+)", entry))
        if facts.get("ID") == str(mode):
            return PowerMode(mode, facts.get("NAME"))
    return PowerMode(mode, None)


def _clocks(folder: Path, names: tuple[str, str, str], unit_hz: int) -> Clocks | None:
    values = [read_int(folder / name) for name in names]
    known = [value * unit_hz for value in values if value is not None]
    return Clocks(*known) if len(known) == len(names) else None


def _gpu_clocks(root: Path) -> Clocks | None:
    folders = (folder for name in GPU_CLOCKS for folder in numbered(root / "sys/class/devfreq", name))
    clocks = (_clocks(folder, ("cur_freq", "min_freq", "max_freq"), 1) for folder in folders)
    return next(filter(None, clocks), None)


def _gpu_load(root: Path) -> float | None:
    """The kernel tells it in per mille."""
    loads = (read_int(root / path / "load") for path in GPU_LOADS)
    return next((load / 1000 for load in loads if load is not None), None)


def _cpu_clocks(root: Path) -> dict[str, Clocks]:
    found = {}
    names = ("scaling_cur_freq", "scaling_min_freq", "scaling_max_freq")
    for core in numbered(root / "sys/devices/system/cpu", "cpu[0-9]*"):
        if read_int(core / "online") != 0 and (clocks := _clocks(core / "cpufreq", names, 1000)):
            found[core.name] = clocks
    return found


def _temperatures(root: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for zone in numbered(root / "sys/class/thermal", "thermal_zone*"):
        name, value = read_text(zone / "type"), read_int(zone / "temp")
        if name and value is not None and value / 1000 > COLDEST_C:
            found[name if name not in found else f"{name} {zone.name}"] = value / 1000
    return found


def _events(root: Path) -> dict[str, int]:
    """Over-current counters of a Jetson; thermal throttling of a PC's processor."""
    found: dict[str, int] = {}
    for device in hwmon_devices(root, "soctherm_oc"):
        for path in numbered(device, "oc*_event_cnt"):
            if (count := read_int(path)) is not None:
                found[path.name.removesuffix("_event_cnt")] = count
    for folder in numbered(root / "sys/devices/system/cpu", "cpu[0-9]*/thermal_throttle"):
        for name in ("core_throttle", "package_throttle"):
            if (count := read_int(folder / f"{name}_count")) is not None:
                found[name] = found.get(name, 0) + count
    return found


def _throttled(root: Path) -> tuple[str, ...]:
    found = []
    for device in numbered(root / "sys/class/thermal", "cooling_device*"):
        name = read_text(device / "type")
        if name and THROTTLES.fullmatch(name) and (read_int(device / "cur_state") or 0) > 0 and name not in found:
            found.append(name)
    return tuple(found)


def _memory(text: str) -> dict[str, float]:
    """``/proc/meminfo`` -> name, MiB."""
    return {name: int(size) / 1024 for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
