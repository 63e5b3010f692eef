"""A board's files under a root of their own, with values that change with time as a test plans it.

Files are laid out as kernels do it: sensors in the device tree of ``/sys/devices``, links to them by class and by
driver, numbers that differ from one start to the next.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from board.machines import Chip, Machine

__all__ = ["SimulatedBoard", "Waveform", "steady"]

Waveform = Callable[[float], float]
"""Time, s -> power of the module, mW."""


def steady(power_mw: float) -> Waveform:
    """The same power at all times."""
    return lambda time_s: power_mw


TEN_WATTS = steady(10_000.0)


class SimulatedBoard:
    """Writes the files of a machine; ``step`` sets them to a moment, ``running`` does so in a thread."""

    def __init__(self, root: Path, machine: Machine, waveform: Waveform = TEN_WATTS, *, start: int = 0) -> None:
        """Lay out the files; ``start`` numbers the start of the machine, and with it how sensors are numbered."""
        self.root, self.machine, self.waveform = root, machine, waveform
        self._power: list[tuple[Path, int, float]] = []  # current or power file, voltage in mV, share
        self._random = random.Random(f"{machine.name} {start}")
        self.hwmon = self._random.sample(range(12), 10)
        self._identity()
        self._sensors()
        self._gpu()
        self._cores()
        self._zones()
        self.set_memory(7_802_000, 5_120_000)
        self.step(0.0)

    # ---- the parts that change ----------------------------------------------------------------------------------

    def step(self, time_s: float) -> None:
        """Every power sensor shows what it would at this time."""
        module_mw = self.waveform(time_s)
        for path, volts_mv, share in self._power:
            rail_mw = module_mw * share
            if path.name == "power1_input":
                self.write(path, round(rail_mw * 1000))
            else:
                self.write(path, round(rail_mw * 1000 / volts_mv) if volts_mv else round(rail_mw))

    @contextmanager
    def running(self, interval_s: float = 0.002, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
        """A thread steps to the time of the clock, again and again."""
        stop = threading.Event()

        def loop() -> None:
            while not stop.wait(interval_s):
                self.step(clock())

        self.step(clock())
        thread = threading.Thread(target=loop, name="simulated-board")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def set_gpu(self, *, load: int, current_hz: int, min_hz: int) -> None:
        """Load in per mille; the upper limit stays."""
        folder = self.root / "sys/class/devfreq" / self.machine.gpu_clock
        self.write(folder / "cur_freq", current_hz)
        self.write(folder / "min_freq", min_hz)
        if self.machine.gpu_load:
            self.write(self.root / self.machine.gpu_load / "load", load)

    def set_cores(self, current_khz: int, min_khz: int) -> None:
        """Of every core that is on."""
        for core in range(self.machine.cores):
            folder = self.root / f"sys/devices/system/cpu/cpu{core}/cpufreq"
            self.write(folder / "scaling_cur_freq", current_khz)
            self.write(folder / "scaling_min_freq", min_khz)

    def pin_clocks(self) -> None:
        """As ``jetson_clocks`` does."""
        self.set_gpu(load=990, current_hz=self.machine.gpu_hz, min_hz=self.machine.gpu_hz)
        self.set_cores(self.machine.core_khz, self.machine.core_khz)

    def throttle(self, events: int) -> None:
        """The regulator has pulled the brake so many times, and the chip is hot."""
        for number in (1, 2, 3):
            self.write(self._named("soctherm_oc") / f"oc{number}_event_cnt", events if number == 3 else 0)
        self.write(self.root / "sys/class/thermal/cooling_device1/cur_state", 1 if events else 0)

    def set_memory(self, total_kb: int, available_kb: int) -> None:
        """As the kernel counts it."""
        text = f"MemTotal:        {total_kb} kB\nMemFree:          100000 kB\nMemAvailable:    {available_kb} kB\n"
        self.write(self.root / "proc/meminfo", text)

    def fail(self, path: Path) -> None:
        """Make a file that every read of fails: like a part without power, also for root."""
        path.unlink(missing_ok=True)
        path.mkdir(parents=True)

    def heal(self, path: Path) -> None:
        """Undo ``fail``; the next step writes the file."""
        path.rmdir()

    def channel(self, rail: str) -> Path:
        """The file that changes with the power of a rail."""
        for chip in self.machine.chips:
            for place, (label, _) in enumerate(chip.channels):
                if label == rail:
                    if self.machine.driver == "ina3221x":
                        return self._iio(chip) / f"in_power{place}_input"
                    return self._chip(chip) / f"curr{place + 1}_input"
        raise KeyError(rail)

    def write(self, path: Path, value: object) -> None:
        """Replace a file whole, as a reader of a kernel's file sees it; a failing one stays as it is."""
        if path.is_dir():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_text(f"{value}\n")
        part.replace(path)

    # ---- the layout ------------------------------------------------------------------------------------------------

    def _identity(self) -> None:
        machine, root = self.machine, self.root
        tree = root / "sys/firmware/devicetree/base"
        tree.mkdir(parents=True)
        (tree / "model").write_bytes(machine.model.encode() + b"\0")
        (tree / "compatible").write_bytes(b"".join(name.encode() + b"\0" for name in machine.compatible))
        _link(root / "proc/device-tree", tree)
        self.write(root / "etc/nv_tegra_release", machine.release)
        modes = [
            f"< POWER_MODEL ID={number} NAME={name} >\nCPU_ONLINE CORE_0 1\nGPU MAX_FREQ {machine.gpu_hz}\n"
            for number, name in machine.modes.items()
        ]
        real = root / "etc/nvpmodel/nvpmodel_board.conf"
        self.write(real, "# NAME: ID and NAME of a mode\n< PARAM TYPE=FILE NAME=CPU_ONLINE >\n" + "\n".join(modes))
        _link(root / "etc/nvpmodel.conf", real)
        self.write(root / "var/lib/nvpmodel/status", f"pmode:{machine.mode:04d} fmode:quiet")

    def _sensors(self) -> None:
        numbers = iter(self.hwmon)
        for name in ("pwmfan", "tmp451"):
            self._hwmon(next(numbers), f"sys/devices/platform/{name}", name)
        for chip in self.machine.chips:
            if self.machine.driver == "ina3221x":
                self._old_chip(chip)
            else:
                self._new_chip(chip, next(numbers))
        if self.machine.carrier_share:
            device = self._hwmon(next(numbers), "sys/devices/platform/bus@0/i2c-3/3-0044", "ina238")
            self.write(device / "in1_input", 19_600)
            self._power.append((device / "power1_input", 0, self.machine.carrier_share))
        device = self._hwmon(next(numbers), "sys/devices/platform/soctherm-oc", "soctherm_oc")
        for number in (1, 2, 3):
            self.write(device / f"oc{number}_event_cnt", 0)

    def _hwmon(self, number: int, device: str, name: str) -> Path:
        folder = self.root / device / f"hwmon/hwmon{number}"
        folder.mkdir(parents=True)
        self.write(folder / "name", name)
        _link(self.root / f"sys/class/hwmon/hwmon{number}", folder)
        return folder

    def _new_chip(self, chip: Chip, number: int) -> None:
        parent = f"sys/devices/platform/bus@0/c240000.i2c/i2c-{chip.address[0]}/{chip.address}"
        folder = self._hwmon(number, parent, "ina3221")
        _link(self.root / f"sys/bus/i2c/drivers/ina3221/{chip.address}", self.root / parent)
        for place, (label, share) in enumerate(chip.channels, 1):
            self.write(folder / f"in{place}_label", label)
            self.write(folder / f"in{place}_input", chip.volts_mv)
            self._power.append((folder / f"curr{place}_input", chip.volts_mv, share))
            self.write(folder / f"in{place + 3}_input", 12)  # voltage of the shunt
        self.write(folder / "in7_label", "sum of shunt voltages")
        self.write(folder / "in7_input", 36)
        self.write(folder / "curr4_input", 4_000)

    def _old_chip(self, chip: Chip) -> None:
        folder = self._iio(chip)
        for place, (label, share) in enumerate(chip.channels):
            self.write(folder / f"rail_name_{place}", label)
            self._power.append((folder / f"in_power{place}_input", 0, share))

    def _chip(self, chip: Chip) -> Path:
        return next((self.root / f"sys/bus/i2c/drivers/ina3221/{chip.address}/hwmon").iterdir())

    def _iio(self, chip: Chip) -> Path:
        return self.root / f"sys/bus/i2c/drivers/ina3221x/{chip.address}/iio:device0"

    def _named(self, name: str) -> Path:
        folders = (self.root / "sys/class/hwmon").iterdir()
        return next(folder for folder in folders if (folder / "name").read_text().strip() == name)

    def _gpu(self) -> None:
        self.write(self.root / "sys/class/devfreq" / self.machine.gpu_clock / "max_freq", self.machine.gpu_hz)
        self.write(self.root / "sys/class/devfreq/bwmgr/cur_freq", 3_199_000_000)
        self.set_gpu(load=120, current_hz=306_000_000, min_hz=306_000_000)

    def _cores(self) -> None:
        for core in range(self.machine.cores):
            folder = self.root / f"sys/devices/system/cpu/cpu{core}"
            self.write(folder / "cpufreq/scaling_max_freq", self.machine.core_khz)
            if core:  # the first one cannot be turned off
                self.write(folder / "online", 1)
        self.write(self.root / "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", 1)
        self.set_cores(729_600, 729_600)

    def _zones(self) -> None:
        for number, (zone, celsius) in enumerate(self.machine.zones.items()):
            folder = self.root / f"sys/class/thermal/thermal_zone{number}"
            self.write(folder / "type", zone)
            if celsius is None and number % 2:
                self.fail(folder / "temp")
            else:
                self.write(folder / "temp", -256_000 if celsius is None else round(celsius * 1000))
        for number, name in enumerate(("pwm-fan", "gpu-throttle-alert", "cpufreq-cpu0")):
            self.write(self.root / f"sys/class/thermal/cooling_device{number}/type", name)
            self.write(self.root / f"sys/class/thermal/cooling_device{number}/cur_state", 2 if name == "pwm-fan" else 0)


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent))
