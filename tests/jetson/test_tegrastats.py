"""Lines of tegrastats from JetPack 4 to 7.2, and what is not one."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_vss.errors import BadInput
from edge_vss.jetson.tegrastats import CpuCore, parse_tegrastats, read_tegrastats

AGX_ORIN_72 = (
    "07-25-2026 09:08:28 RAM 20642/62817MB (lfb 1x2MB) CPU [23%@2201,10%@2201,4%@2201,14%@2201,30%@2201,18%@2201,"
    "10%@2201,10%@2201,33%@2201,7%@2201,5%@2201,27%@2201] EMC_FREQ 3%@3199 GR3D_FREQ 12%@[1300,1300] NVENC0 off "
    "NVDEC0 off NVJPG0 off NVJPG1 off VIC off OFA off NVDLA0 off NVDLA1 off PVA0_FREQ off APE 174 "
    "cpu@52.968C/52.968C soc2@48.406C/48.406C soc0@49.531C/49.531C gpu@47.625C/47.625C "
    "VDD_GPU_SOC 5139mW/5139mW/5139mW VDD_CPU_CV 3268mW/3268mW/3268mW VIN_SYS_5V0 5500mW/5500mW/5500mW"
)
THOR = (
    "05-17-2026 10:00:32 RAM 4208/125773MB (lfb 31x4MB) SWAP 0/2048MB (cached 0MB) CPU [1%@972,0%@972,0%@972,0%@972,"
    "1%@972,0%@972,1%@972,1%@972,0%@972,0%@972,3%@972,0%@972,0%@972,1%@972] EMC_FREQ 0%@665 GR3D_FREQ @[0,0,0] "
    "NVENC0_FREQ @0 NVENC1_FREQ @0 NVDEC0_FREQ @0 NVDEC1_FREQ @0 NVJPG0_FREQ @0 VIC off OFA_FREQ @0 PVA0_FREQ off "
    "APE 300 cpu@34.468C tj@34.5C soc012@33.781C soc345@34.5C VDD_GPU 0mW/0mW VDD_CPU_SOC_MSS 4165mW/4165mW "
    "VIN_SYS_5V0 4126mW/4126mW"
)
ORIN_NANO = (
    "10-08-2026 04:35:02 RAM 6712/7620MB (lfb 12x4MB) SWAP 369/3810MB (cached 8MB) CPU [38%@1497,2%@729,1%@729,0%@729,"
    "1%@729,0%@729] EMC_FREQ 61%@2133 GR3D_FREQ 99%@[612] NVDEC off NVJPG off VIC off OFA off APE 200 cpu@57.125C "
    "soc2@55.093C soc0@56.625C gpu@58.625C tj@58.312C soc1@55.937C VDD_IN 16321mW/11204mW "
    "VDD_CPU_GPU_CV 7104mW/4944mW VDD_SOC 3120mW/3659mW"
)
ORIN_NX_5 = (
    "RAM 1224/15368MB (lfb 8x4MB) SWAP 0/7684MB (cached 0MB) CPU [1%@729,0%@729,0%@729,0%@729,off,off,off,off] "
    "EMC_FREQ 0% GR3D_FREQ 0%@[305] CPU@43.5C GPU@42.5C tj@43.5C SOC0@42.906C SOC1@42.156C CV0@-256C "
    "VDD_IN 4319mW/4319mW VDD_CPU_GPU_CV 499mW/499mW VDD_SOC 1200mW/1200mW"
)
AGX_ORIN_5 = (
    "04-11-2025 10:36:27 RAM 4321/62801MB (lfb 1759x4MB) SWAP 19/31400MB (cached 0MB) CPU [0%@729,0%@729,0%@729,"
    "0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729,0%@729] EMC_FREQ 0%@2133 GR3D_FREQ 0%@[0,0] VIC_FREQ 729 "
    "APE 174 CV0@-256C CPU@44.562C Tboard@32C SOC2@40.093C Tdiode@33C SOC0@41.093C CV1@-256C GPU@-256C tj@44.343C "
    "SOC1@41.25C CV2@-256C VDD_GPU_SOC 2340mW/2340mW VDD_CPU_CV 390mW/390mW VIN_SYS_5V0 4025mW/4025mW NC 0mW/0mW "
    "VDDQ_VDD2_1V8AO 301mW/301mW NC 0mW/0mW"
)
NANO_4 = (
    "RAM 1923/3964MB (lfb 2x2MB) SWAP 191/1982MB (cached 6MB) IRAM 0/252kB(lfb 252kB) CPU [5%@1224,4%@1224,3%@1224,"
    "6%@1224] EMC_FREQ 0%@1600 GR3D_FREQ 0%@76 APE 25 PLL@37C CPU@40C PMIC@50C GPU@40C AO@45C thermal@40C "
    "POM_5V_IN 1750/1628 POM_5V_GPU 0/0 POM_5V_CPU 366/406"
)
AGX_XAVIER_4 = (
    "RAM 1903/31919MB (lfb 6914x4MB) SWAP 0/15959MB (cached 0MB) CPU [2%@1190,0%@1190,off,off,off,off,off,off] "
    "EMC_FREQ 0% GR3D_FREQ 3% VIC_FREQ 0%@115 APE 150 MTS fg 0% bg 1% AO@35C GPU@35.5C Tdiode@38.5C PMIC@100C "
    "AUX@34.5C CPU@36C thermal@35.55C Tboard@36C GPU 155/160 CPU 311/300 SOC 1555/1500 CV 0/0 VDDRQ 311/310 "
    "SYS5V 1442/1440"
)
ALL = (AGX_ORIN_72, THOR, ORIN_NANO, ORIN_NX_5, AGX_ORIN_5, NANO_4, AGX_XAVIER_4)


def test_agx_orin_under_jetpack_7_2() -> None:
    found = parse_tegrastats(AGX_ORIN_72)
    assert found.time == datetime(2026, 7, 25, 9, 8, 28)
    assert (found.ram_used_mb, found.ram_total_mb, found.swap_total_mb) == (20642, 62817, None)
    assert len(found.cpus) == 12 and found.cpus[11] == CpuCore(0.27, 2201)
    assert (found.emc_load, found.emc_mhz, found.gpu_load, found.gpu_mhz) == (0.03, 3199, 0.12, (1300, 1300))
    assert found.engines_mhz["NVDLA1"] is None and found.engines_mhz["APE"] == 174 and "PVA0" in found.engines_mhz
    assert found.temperatures_c == {"cpu": 52.968, "soc2": 48.406, "soc0": 49.531, "gpu": 47.625}
    assert found.rails_mw == {"VDD_GPU_SOC": 5139, "VDD_CPU_CV": 3268, "VIN_SYS_5V0": 5500}
    assert found.rails_mean_mw == {}


def test_thor() -> None:
    found = parse_tegrastats(THOR)
    assert (found.gpu_load, found.gpu_mhz) == (None, (0, 0, 0))
    assert found.engines_mhz["NVENC1"] == 0 and found.engines_mhz["VIC"] is None
    assert (found.swap_used_mb, found.swap_total_mb, len(found.cpus)) == (0, 2048, 14)
    assert found.rails_mw == {"VDD_GPU": 0, "VDD_CPU_SOC_MSS": 4165, "VIN_SYS_5V0": 4126}


def test_orin_nano_under_jetpack_6() -> None:
    found = parse_tegrastats(ORIN_NANO)
    assert (found.gpu_load, found.gpu_mhz, found.cpus[0]) == (0.99, (612,), CpuCore(0.38, 1497))
    assert found.rails_mw == {"VDD_IN": 16321, "VDD_CPU_GPU_CV": 7104, "VDD_SOC": 3120}
    assert found.rails_mean_mw["VDD_IN"] == 11204


def test_orin_nx_with_cores_off() -> None:
    found = parse_tegrastats(ORIN_NX_5)
    assert found.time is None and found.cpus[4:] == (None,) * 4
    assert (found.emc_load, found.emc_mhz) == (0.0, None)
    assert "CV0" not in found.temperatures_c and found.temperatures_c["SOC1"] == 42.156


def test_agx_orin_under_jetpack_5_with_unconnected_channels() -> None:
    found = parse_tegrastats(AGX_ORIN_5)
    assert found.engines_mhz == {"VIC": 729, "APE": 174}
    assert list(found.temperatures_c) == ["CPU", "Tboard", "SOC2", "Tdiode", "SOC0", "tj", "SOC1"]
    assert list(found.rails_mw) == ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"]


def test_nano_under_jetpack_4() -> None:
    found = parse_tegrastats(NANO_4)
    assert (found.gpu_load, found.gpu_mhz) == (0.0, (76,))
    assert found.rails_mw == {"POM_5V_IN": 1750, "POM_5V_GPU": 0, "POM_5V_CPU": 366}
    assert found.rails_mean_mw["POM_5V_CPU"] == 406


def test_agx_xavier_whose_rails_are_called_as_its_temperatures() -> None:
    found = parse_tegrastats(AGX_XAVIER_4)
    assert (found.temperatures_c["GPU"], found.rails_mw["GPU"], found.rails_mean_mw["GPU"]) == (35.5, 155, 160)
    assert (found.temperatures_c["CPU"], found.rails_mw["CPU"], found.cpus[0]) == (36, 311, CpuCore(0.02, 1190))
    assert (found.gpu_load, found.gpu_mhz, found.engines_mhz["VIC"]) == (0.03, (), 115)


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("", "it does not tell the memory"),
        ("tegrastats: command not found", "'tegrastats: command"),
        (ORIN_NANO.replace("VDD_IN 16321mW/11204mW", "VDD_IN 16321mW/11204"), "'VDD_IN 16321mW/11204 VDD_CPU"),
        (ORIN_NANO.replace("RAM 6712/7620MB", "RAM 6712/7620GB"), "'RAM 6712/7620GB"),
        (ORIN_NANO.replace("RAM 6712/7620MB", "RAM 8712/7620MB"), "8712 of 7620 MB"),
        (ORIN_NANO.replace("GR3D_FREQ 99%", "GR3D_FREQ 199%"), "199 % is more than all"),
        (ORIN_NANO.replace("38%@1497", "38%@14.97"), "'CPU [38%@14.97"),
        (ORIN_NANO.replace("10-08-2026", "13-08-2026"), "does not match"),
        (ORIN_NANO.replace("cpu@57.125C", "cpu@57.125F"), "'cpu@57.125F"),
        (ORIN_NANO.replace("APE 200", "FAN 200"), "'FAN 200"),
        (ORIN_NANO + " VDD_IN 1mW/1mW", "stands there twice"),
        (ORIN_NANO + " gpu@1C", "stands there twice"),
        ("VDD_IN 16321mW/11204mW", "it does not tell the memory"),
    ],
)
def test_a_line_that_cannot_be_read_is_one_clear_error(line: str, where: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_tegrastats(line)
    assert where in str(caught.value) and "\n" not in str(caught.value)


@given(st.sampled_from(ALL), st.data())
def test_what_is_left_of_a_damaged_line_is_either_true_or_refused(line: str, data: st.DataObject) -> None:
    """Loses a part or a few characters: every number that is still given is one that stands in the line."""
    begin = data.draw(st.integers(0, len(line) - 1))
    damaged = line[:begin] + line[begin + data.draw(st.integers(1, 12)) :]
    try:
        found = parse_tegrastats(damaged)
    except BadInput:
        return
    for rail, power_mw in found.rails_mw.items():
        assert any(f"{rail} {power_mw:.0f}{unit}/" in damaged for unit in ("", "mW"))
    for zone, celsius in found.temperatures_c.items():
        assert celsius in {float(number) for number in re.findall(rf"{re.escape(zone)}@(-?[\d.]+)C", damaged)}


@given(
    st.lists(st.none() | st.tuples(st.integers(0, 100), st.integers(0, 4000)), min_size=1, max_size=16),
    st.dictionaries(st.from_regex(r"V[A-Z0-9_]{1,12}", fullmatch=True), st.integers(0, 10**6), max_size=6),
    st.dictionaries(st.from_regex(r"[A-Za-z][a-z0-9]{0,6}", fullmatch=True), st.integers(-99_000, 120_000), max_size=6),
    st.sampled_from(("{0}/{1}", "{0}mW/{1}mW", "{0}mW/{1}mW/{1}mW")),
)
def test_every_number_written_is_read(
    cores: list[tuple[int, int] | None], rails: dict[str, int], zones: dict[str, int], power: str
) -> None:
    cpus = ",".join("off" if core is None else f"{core[0]}%@{core[1]}" for core in cores)
    temperatures = "".join(f" {zone}@{value / 1000}C" for zone, value in zones.items())
    powers = "".join(f" {rail} {power.format(value, value + 1)}" for rail, value in rails.items())
    found = parse_tegrastats(f"RAM 1/2MB (lfb 1x4kB) CPU [{cpus}] GR3D_FREQ 7%{temperatures}{powers}\n")
    assert found.cpus == tuple(None if core is None else CpuCore(core[0] / 100, core[1]) for core in cores)
    assert found.temperatures_c == {zone: value / 1000 for zone, value in zones.items()}
    assert found.rails_mw == rails


def test_a_last_line_that_was_cut_short_is_left_out() -> None:
    lines = [NANO_4 + "\n", "\n", ORIN_NANO + "\n", NANO_4[:-2]]
    assert [found.ram_total_mb for found in read_tegrastats(lines)] == [3964, 7620]
