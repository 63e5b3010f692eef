"""Boards as their kernels show them: what each has, written down from documentation and public logs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

__all__ = ["JETSONS", "Chip", "Machine", "machine"]


@dataclass(frozen=True)
class Chip:
    """One power sensor with three channels; a share is the part of the module's power that the rail carries."""

    address: str
    volts_mv: int
    channels: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One board under one release, and what a reader has to make of it."""

    name: str
    model: str
    compatible: tuple[str, ...]
    release: str
    """First line of ``/etc/nv_tegra_release``."""
    chips: tuple[Chip, ...]
    carrier_share: float | None = None
    """Of the INA238 on Thor's carrier, as a share of the module's power; None = none there."""
    driver: str = "ina3221"
    gpu_clock: str
    """Folder under ``/sys/class/devfreq``."""
    gpu_hz: int
    gpu_load: str | None
    """Folder that holds ``load``."""
    cores: int
    core_khz: int
    modes: dict[int, str]
    mode: int
    zones: dict[str, float | None]
    """Zone -> °C; None = the part has no power."""
    module: str
    module_name: str
    l4t: str
    jetpack: str
    capability: tuple[int, int]
    total: tuple[str, ...]
    """Rails whose sum is the module."""
    kind: str = "ina3221"
    rails: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        labels = [label for chip in self.chips for label, _ in chip.channels if label != "NC"]
        object.__setattr__(self, "rails", (*labels, *(("VIN",) if self.carrier_share else ())))


SMALL_CHIP = Chip("1-0040", 5072, (("VDD_IN", 1.0), ("VDD_CPU_GPU_CV", 0.45), ("VDD_SOC", 0.22)))
ORIN_ZONES = {"cpu-thermal": 52.9, "gpu-thermal": 47.6, "cv0-thermal": None, "soc0-thermal": 49.5, "tj-thermal": 52.9}
BUS_GPU = "sys/devices/platform/bus@0/17000000.gpu"

ORIN_NANO_6 = Machine(
    name="orin-nano-jetpack6",
    model="NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    compatible=("nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"),
    release="# R36 (release), REVISION: 4.4, GCID: 41062509, BOARD: generic, EABI: aarch64, DATE: Mon Jun 16 2025",
    chips=(SMALL_CHIP,), gpu_clock="17000000.gpu", gpu_hz=1_020_000_000, gpu_load=BUS_GPU, cores=6, core_khz=1_728_000,
    modes={0: "15W", 1: "25W", 2: "MAXN_SUPER", 3: "7W"}, mode=2, zones=ORIN_ZONES,
    module="p3767-0005", module_name="Orin Nano 8 GB", l4t="36.4.4", jetpack="6.2.1", capability=(8, 7),
    total=("VDD_IN",),
)  # fmt: skip
ORIN_NANO_7 = replace(
    ORIN_NANO_6, name="orin-nano-jetpack7", l4t="39.2.0", jetpack="7.2",
    release="# R39 (release), REVISION: 2.0, GCID: 45000000, BOARD: generic, EABI: aarch64, DATE: Tue May 5 2026",
)  # fmt: skip
ORIN_NX_6 = replace(
    ORIN_NANO_6, name="orin-nx-jetpack6", model="NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
    compatible=("nvidia,p3768-0000+p3767-0000", "nvidia,p3767-0000", "nvidia,tegra234"), cores=8, core_khz=1_984_000,
    modes={0: "MAXN", 1: "10W", 2: "15W", 3: "25W"}, mode=3, gpu_hz=918_000_000,
    release="# R36 (release), REVISION: 3.0, GCID: 36191598, BOARD: generic, EABI: aarch64, DATE: Mon May 6 2024",
    module="p3767-0000", module_name="Orin NX 16 GB", l4t="36.3.0", jetpack="6.0",
)  # fmt: skip
ORIN_NX_7 = replace(
    ORIN_NX_6, name="orin-nx-jetpack7", l4t="39.2.0", jetpack="7.2", release=ORIN_NANO_7.release,
    compatible=("nvidia,p3768-0000+p3767-0001", "nvidia,p3767-0001", "nvidia,tegra234"),
    module="p3767-0001", module_name="Orin NX 8 GB",
)  # fmt: skip
AGX_ORIN_6 = Machine(
    name="agx-orin-jetpack6",
    model="Jetson AGX Orin Developer Kit",
    compatible=("nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005", "nvidia,tegra234"),
    release="# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan 8 2025",
    chips=(
        Chip("1-0040", 19_800, (("VDD_GPU_SOC", 0.4), ("VDD_CPU_CV", 0.25), ("VIN_SYS_5V0", 0.35))),
        Chip("1-0041", 4_980, (("NC", 0.0), ("VDDQ_VDD2_1V8AO", 0.12), ("NC", 0.0))),
    ),
    gpu_clock="17000000.gpu", gpu_hz=1_300_500_000, gpu_load=BUS_GPU, cores=12, core_khz=2_201_600,
    modes={0: "MAXN", 1: "MODE_15W", 2: "MODE_30W", 3: "MODE_50W"}, mode=0, zones=ORIN_ZONES,
    module="p3701-0005", module_name="AGX Orin", l4t="36.4.3", jetpack="6.2", capability=(8, 7),
    total=("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
)  # fmt: skip
AGX_ORIN_7 = replace(
    AGX_ORIN_6, name="agx-orin-jetpack7", l4t="39.2.0", jetpack="7.2", release=ORIN_NANO_7.release
)  # fmt: skip
THOR = Machine(
    name="thor-jetpack7",
    model="NVIDIA Jetson AGX Thor Developer Kit",
    compatible=("nvidia,p4071-0000+p3834-0008", "nvidia,p3834-0008", "nvidia,tegra264"),
    release="# R38 (release), REVISION: 2.1, GCID: 42061081, BOARD: generic, EABI: aarch64, DATE: Wed Sep 10 2025",
    chips=(Chip("2-0040", 11_900, (("VDD_GPU", 0.45), ("VDD_CPU_SOC_MSS", 0.2), ("VIN_SYS_5V0", 0.25))),),
    carrier_share=1.0,
    gpu_clock="gpu-gpc-0", gpu_hz=1_575_000_000, gpu_load=None, cores=14, core_khz=2_601_000,
    modes={0: "MAXN", 1: "120W", 2: "90W", 3: "70W"}, mode=1,
    zones={"cpu-thermal": 34.5, "tj-thermal": 34.5, "soc012-thermal": 33.8, "gpu-thermal": None},
    module="p3834-0008", module_name="AGX Thor", l4t="38.2.1", jetpack="7.0", capability=(11, 0), total=("VIN",),
)  # fmt: skip
THOR_BARE = replace(
    THOR, name="thor-other-carrier", carrier_share=None, l4t="39.2.0", jetpack="7.2", release=ORIN_NANO_7.release,
    total=("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),
    chips=(Chip("2-0040", 11_900, (("VDD_GPU", 0.5), ("VDD_CPU_SOC_MSS", 0.2), ("VIN_SYS_5V0", 0.3))),),
)  # fmt: skip
XAVIER_ZONES = {"CPU-therm": 43.5, "GPU-therm": None, "AUX-therm": 42.0}
AGX_XAVIER = Machine(
    name="agx-xavier-jetpack5",
    model="Jetson-AGX",
    compatible=("nvidia,p2972-0000", "nvidia,p2888-0004", "nvidia,tegra194"),
    release="# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64, DATE: Tue Aug 1 2023",
    chips=(
        Chip("1-0040", 19_100, (("GPU", 0.3), ("CPU", 0.2), ("SOC", 0.15))),
        Chip("1-0041", 19_100, (("CV", 0.1), ("VDDRQ", 0.1), ("SYS5V", 0.15))),
    ),
    gpu_clock="17000000.gv11b", gpu_hz=1_377_000_000, gpu_load="sys/devices/platform/gpu.0", cores=8,
    core_khz=2_265_600, modes={0: "MAXN", 1: "MODE_10W", 2: "MODE_15W"}, mode=2, zones=XAVIER_ZONES,
    module="p2888-0004", module_name="AGX Xavier", l4t="35.4.1", jetpack="5.1.2", capability=(7, 2),
    total=("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
)  # fmt: skip
XAVIER_NX = replace(
    AGX_XAVIER, name="xavier-nx-jetpack5", model="NVIDIA Jetson Xavier NX Developer Kit",
    compatible=("nvidia,p3509-0000+p3668-0001", "nvidia,p3668-0001", "nvidia,tegra194"), chips=(SMALL_CHIP,),
    cores=6, modes={8: "MODE_20W_6CORE"}, mode=8, module="p3668-0001", module_name="Xavier NX", total=("VDD_IN",),
)  # fmt: skip
NANO = Machine(
    name="nano-jetpack4",
    model="NVIDIA Jetson Nano Developer Kit",
    compatible=("nvidia,p3449-0000-b00+p3448-0000-b00", "nvidia,jetson-nano", "nvidia,tegra210"),
    release="# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64, DATE: Sat Feb 19 2022",
    chips=(Chip("6-0040", 5_000, (("POM_5V_IN", 1.0), ("POM_5V_GPU", 0.3), ("POM_5V_CPU", 0.3))),),
    driver="ina3221x", kind="ina3221x",
    gpu_clock="57000000.gpu", gpu_hz=921_600_000, gpu_load="sys/devices/gpu.0", cores=4, core_khz=1_479_000,
    modes={0: "MAXN", 1: "5W"}, mode=0, zones={"AO-therm": 45.0, "CPU-therm": 40.0, "PMIC-Die": 50.0},
    module="p3448-0000", module_name="Nano", l4t="32.7.1", jetpack="4.6.x", capability=(5, 3), total=("POM_5V_IN",),
)  # fmt: skip

JETSONS = (
    ORIN_NANO_6, ORIN_NANO_7, ORIN_NX_6, ORIN_NX_7, AGX_ORIN_6, AGX_ORIN_7, THOR, THOR_BARE, AGX_XAVIER, XAVIER_NX,
    NANO,
)  # fmt: skip


def machine(name: str) -> Machine:
    """One of them by its name."""
    return next(found for found in JETSONS if found.name == name)
