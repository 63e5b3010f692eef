"""Power sensors: what each board has, where its driver shows it, and which rails make the module total.

Rails lie inside one another, so a sum over all of them counts power twice; ``TOTALS`` says what to add up. None of it
is the power drawn from the wall.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from edge_vss.jetson.sysfs import hwmon_devices, numbered, read_int, read_text

__all__ = ["TOTALS", "CounterSource", "MeterSource", "PowerSource", "find_counters", "find_meters", "module_total"]

TOTALS: tuple[tuple[str, ...], ...] = (
    ("VDD_IN",),  # Orin Nano, Orin NX, Xavier NX, TX2: VDD_CPU_GPU_CV and VDD_SOC are inside
    ("POM_5V_IN",),  # Nano of 2019
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),  # AGX Orin: VDDQ_VDD2_1V8AO is inside VIN_SYS_5V0
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),  # AGX Xavier
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),  # AGX Thor without the sensor of its carrier
)
"""Sets of rails that together are the module, each known by its labels; the first that is there in full is taken."""
THOR_RAIL, CARRIER_RAIL = "VDD_CPU_SOC_MSS", "VIN"
"""Thor's carrier measures all that goes into the module, which the rails beside it are inside of."""
MODULE_LABEL = "module rails, not wall"
CPU_LABEL = "CPU packages and their memory, not wall"
MAX_CHANNELS = 3
"""Of an INA3221. What its driver lists beyond them are shunt voltages and their sum."""
NOT_CONNECTED = "NC"


class PowerSource(ABC):
    """A machine's power sensors, whatever they are."""

    kind: str
    """``ina3221``, ``ina3221x`` (JetPack 4) or ``rapl``."""
    rails: tuple[str, ...]
    total_rails: tuple[str, ...]
    """Rails whose sum is the total; empty where that is not known of these rails."""
    label: str
    """What the total covers."""
    counts_energy = False
    """Whether ``read_energy`` answers."""

    @abstractmethod
    def read(self) -> dict[str, float]:
        """Power of every rail, mW.

        Raises:
            OSError: A sensor does not answer, or with something that is no number.
        """

    def read_energy(self) -> dict[str, float]:
        """Energy of every rail since the source was opened, mJ.

        Raises:
            OSError: As for ``read``; always where the sensors do not count energy.
        """
        raise OSError(f"{self.kind} sensors do not count energy")


class MeterSource(PowerSource):
    """Sensors that tell the power of this moment."""

    def __init__(self, kind: str, readers: dict[str, Callable[[], float]]) -> None:
        self.kind, self.label = kind, MODULE_LABEL
        self._readers = readers
        self.rails = tuple(readers)
        self.total_rails = module_total(self.rails)

    def read(self) -> dict[str, float]:
        """Power of every rail, mW."""
        return {rail: reader() for rail, reader in self._readers.items()}


class CounterSource(PowerSource):
    """Energy counters of a PC's processor packages (RAPL); ``read`` is the mean power since the ``read`` before."""

    counts_energy = True

    def __init__(self, zones: dict[str, Path], total_rails: tuple[str, ...], clock: Callable[[], float]) -> None:
        self.kind, self.label = "rapl", CPU_LABEL
        self.rails, self.total_rails = tuple(zones), total_rails
        self._zones, self._clock, self._lock = zones, clock, threading.Lock()
        self._ranges_uj = {rail: _number(zone / "max_energy_range_uj") + 1 for rail, zone in zones.items()}
        self._raw_uj = {rail: _number(zone / "energy_uj") for rail, zone in zones.items()}
        self._sum_uj = dict.fromkeys(zones, 0.0)
        self._last_s, self._last_mj = clock(), dict.fromkeys(zones, 0.0)

    def read(self) -> dict[str, float]:
        """Mean power of every rail since the last ``read``, or since the source was opened, mW."""
        energy_mj, now_s = self.read_energy(), self._clock()
        with self._lock:
            passed_s = now_s - self._last_s
            if passed_s <= 0:
                raise OSError("energy counters need time between two reads")
            power = {rail: (energy_mj[rail] - self._last_mj[rail]) / passed_s for rail in self.rails}
            self._last_s, self._last_mj = now_s, energy_mj
        return power

    def read_energy(self) -> dict[str, float]:
        """Energy of every rail since the source was opened, mJ.

        Counters wrap, at 100 W after ten minutes on some machines: read more often than that.
        """
        with self._lock:
            for rail, zone in self._zones.items():
                raw_uj = _number(zone / "energy_uj")
                self._sum_uj[rail] += (raw_uj - self._raw_uj[rail]) % self._ranges_uj[rail]
                self._raw_uj[rail] = raw_uj
            return {rail: total_uj / 1000 for rail, total_uj in self._sum_uj.items()}


def module_total(rails: Iterable[str]) -> tuple[str, ...]:
    """Which rails to add up for the power of the module; empty where that is not known."""
    there = set(rails)
    if {THOR_RAIL, CARRIER_RAIL} <= there:
        return (CARRIER_RAIL,)
    return next((total for total in TOTALS if there.issuperset(total)), ())


def find_meters(root: Path) -> MeterSource | None:
    """The INA sensors of a Jetson, those that can be read; None where there is none."""
    readers: dict[str, Callable[[], float]] = {}
    kind = "ina3221"
    for device in hwmon_devices(root, "ina3221"):
        for channel in range(1, MAX_CHANNELS + 1):
            label = read_text(device / f"in{channel}_label")
            millivolts, milliamperes = device / f"in{channel}_input", device / f"curr{channel}_input"
            _add(readers, label, partial(_product_mw, millivolts, milliamperes))
    if THOR_RAIL in readers:
        carrier = list(hwmon_devices(root, "ina238"))
        if len(carrier) == 1:  # of several nothing says which one is the input
            _add(readers, CARRIER_RAIL, partial(_microwatts, carrier[0] / "power1_input"))
    if not readers:
        kind = "ina3221x"
        for device in numbered(root / "sys/bus/i2c/drivers/ina3221x", "*/iio:device*"):
            for channel in range(MAX_CHANNELS):
                label = read_text(device / f"rail_name_{channel}")
                _add(readers, label, partial(_number, device / f"in_power{channel}_input"))
    return MeterSource(kind, readers) if readers else None


def find_counters(root: Path, clock: Callable[[], float]) -> CounterSource | None:
    """The RAPL counters of a PC, where they can be read.

    ``core`` and ``uncore`` are inside their package; memory is beside it; ``psys`` is around everything, and not the
    same on every machine.
    """
    zones: dict[str, Path] = {}
    for zone in numbered(root / "sys/class/powercap", "intel-rapl:*"):
        name = read_text(zone / "name")
        if name and read_int(zone / "energy_uj") is not None and read_int(zone / "max_energy_range_uj") is not None:
            package = zone.name.split(":")[1]
            zones[name if name.startswith(("package", "psys")) else f"{name}-{package}"] = zone
    total = tuple(rail for rail in zones if rail.startswith(("package-", "dram-")))
    if not any(rail.startswith("package-") for rail in total):
        return None
    try:
        return CounterSource(zones, total, clock)
    except OSError:
        return None


def _add(readers: dict[str, Callable[[], float]], label: str | None, reader: Callable[[], float]) -> None:
    """Take a rail that is connected and answers now."""
    if not label or label == NOT_CONNECTED or label in readers:
        return
    try:
        reader()
    except OSError:
        return
    readers[label] = reader


def _product_mw(millivolts: Path, milliamperes: Path) -> float:
    return _number(millivolts) * _number(milliamperes) / 1000


def _microwatts(path: Path) -> float:
    return _number(path) / 1000


def _number(path: Path) -> int:
    """Raises OSError where there is no number: a sensor that answers nonsense has failed as much as a silent one."""
    try:
        return int(path.read_bytes())
    except ValueError:
        raise OSError(f"{path}: holds no whole number") from None
