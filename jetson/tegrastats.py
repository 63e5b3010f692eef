"""Lines of NVIDIA's ``tegrastats``, as JetPack 4 to 7.2 print them.

Every part of a line has to be known; a line with anything else in it is refused as a whole, so that no number is ever
taken for another one. Of two figures of a rail the second is the mean since tegrastats was started: it says nothing
about any moment and must not be integrated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from edge_vss.errors import BadInput

__all__ = ["CpuCore", "Tegrastats", "parse_tegrastats", "read_tegrastats"]

COLDEST_C = -100.0
"""Parts without power read -256 °C."""
ENGINES = "NVENC|NVDEC|NVJPG|NVDLA|MSENC|VIC|OFA|PVA|APE|ISP|SE"
DEGREES = r"-?\d+(?:\.\d+)?"
MAX_QUOTED = 40


@dataclass(frozen=True)
class CpuCore:
    """One core that is on."""

    load: float
    """In [0, 1]."""
    mhz: int | None


@dataclass(kw_only=True)
class Tegrastats:
    """One line. What it does not hold is None or left out."""

    time: datetime | None = None
    """Local time of the board; JetPack 4 prints none."""
    ram_used_mb: int | None = None
    ram_total_mb: int | None = None
    swap_used_mb: int | None = None
    swap_total_mb: int | None = None
    cpus: tuple[CpuCore | None, ...] = ()
    """In the order of the cores; None for those that are off."""
    emc_load: float | None = None
    """Of the memory's bandwidth, in [0, 1]."""
    emc_mhz: int | None = None
    gpu_load: float | None = None
    """In [0, 1]."""
    gpu_mhz: tuple[int, ...] = ()
    """One for every cluster of the GPU."""
    engines_mhz: dict[str, int | None] = field(default_factory=dict)
    """Accelerator -> its clock; None for those that are off."""
    temperatures_c: dict[str, float] = field(default_factory=dict)
    """Without those of parts that have no power."""
    rails_mw: dict[str, float] = field(default_factory=dict)
    """Power of this moment; unconnected channels are left out."""
    rails_mean_mw: dict[str, float] = field(default_factory=dict)
    """Mean since tegrastats was started, where the line has exactly two figures of a rail."""


Take = Callable[[Tegrastats, re.Match[str]], None]


def parse_tegrastats(line: str) -> Tegrastats:
    """Read one whole line.

    Raises:
        BadInput: Any part of it is not known, stands there twice, or could not be true.
    """
    text, place, found, seen = line.strip(), 0, Tegrastats(), set()
    while place < len(text):
        name, take, match = _next_part(text, place)
        key = name or match["name"] + (match.groupdict().get("at") or "")
        try:
            if key in seen and key != "NC":
                raise ValueError("this part stands there twice")
            take(found, match)
        except ValueError as error:
            raise _refusal(text[place:], str(error)) from None
        seen.add(key)
        place = match.end()
    if found.ram_total_mb is None:
        raise _refusal(text, "it does not tell the memory")
    return found


def read_tegrastats(lines: Iterable[str]) -> Iterator[Tegrastats]:
    """Read lines as they come; a last one without its end of line was cut short, and is left out."""
    for line in lines:
        if line.endswith("\n") and line.strip():
            yield parse_tegrastats(line)


def _next_part(text: str, place: int) -> tuple[str, Take, re.Match[str]]:
    for name, pattern, take in PARTS:
        if match := pattern.match(text, place):
            return name, take, match
    raise _refusal(text[place:], "this part is not known")


def _refusal(rest: str, reason: str) -> BadInput:
    return BadInput(f"no line of tegrastats that can be read, at {rest[:MAX_QUOTED]!r}: {reason}")


def _share(percent: str) -> float:
    if int(percent) > 100:
        raise ValueError(f"{percent} % is more than all")
    return int(percent) / 100


def _take_time(found: Tegrastats, match: re.Match[str]) -> None:
    found.time = datetime.strptime(match["time"], "%m-%d-%Y %H:%M:%S")


def _take_ram(found: Tegrastats, match: re.Match[str]) -> None:
    found.ram_used_mb, found.ram_total_mb = _amount(match)


def _take_swap(found: Tegrastats, match: re.Match[str]) -> None:
    found.swap_used_mb, found.swap_total_mb = _amount(match)


def _amount(match: re.Match[str]) -> tuple[int, int]:
    used, total = int(match["used"]), int(match["all"])
    if used > total:
        raise ValueError(f"{used} of {total} MB")
    return used, total


def _take_cpus(found: Tegrastats, match: re.Match[str]) -> None:
    cores: list[CpuCore | None] = []
    for entry in match["cores"].split(","):
        load, _, mhz = entry.partition("%@")
        cores.append(None if entry == "off" else CpuCore(_share(load.rstrip("%")), int(mhz) if mhz else None))
    found.cpus = tuple(cores)


def _take_emc(found: Tegrastats, match: re.Match[str]) -> None:
    found.emc_load = _share(match["load"]) if match["load"] else None
    found.emc_mhz = int(match["mhz"]) if match["mhz"] else None


def _take_gpu(found: Tegrastats, match: re.Match[str]) -> None:
    found.gpu_load = _share(match["load"]) if match["load"] else None
    found.gpu_mhz = tuple(map(int, re.findall(r"\d+", match["mhz"] or "")))


def _take_engine(found: Tegrastats, match: re.Match[str]) -> None:
    found.engines_mhz[match["name"]] = int(match["mhz"]) if match["mhz"] else None


def _take_temperature(found: Tegrastats, match: re.Match[str]) -> None:
    if float(match["celsius"]) > COLDEST_C:
        found.temperatures_c[match["name"]] = float(match["celsius"])


def _take_rail(found: Tegrastats, match: re.Match[str]) -> None:
    figures = [float(figure) for figure in re.findall(r"\d+", match["figures"])]
    if match["name"] == "NC":
        return
    found.rails_mw[match["name"]] = figures[0]
    if len(figures) == 2:
        found.rails_mean_mw[match["name"]] = figures[1]


def _take_nothing(found: Tegrastats, match: re.Match[str]) -> None:
    """Known, and of no use here."""


def _part(name: str, pattern: str, take: Take) -> tuple[str, re.Pattern[str], Take]:
    """Parts end where a blank or the line's end is: a number that goes on is another number."""
    return name, re.compile(rf"(?:{pattern})(?:\s+|$)", re.ASCII), take


PARTS = (
    _part("time", r"(?P<time>\d\d-\d\d-\d{4} \d\d:\d\d:\d\d)", _take_time),
    _part("RAM", r"RAM (?P<used>\d+)/(?P<all>\d+)MB ?\(lfb \d+x\d+[kM]B\)", _take_ram),
    _part("SWAP", r"SWAP (?P<used>\d+)/(?P<all>\d+)MB ?\(cached \d+MB\)", _take_swap),
    _part("IRAM", r"IRAM \d+/\d+kB ?\(lfb \d+kB\)", _take_nothing),
    _part("CPU cores", r"CPU \[(?P<cores>(?:off|\d+%(?:@\d+)?)(?:,(?:off|\d+%(?:@\d+)?))*)\]", _take_cpus),
    _part("EMC_FREQ", r"EMC_FREQ (?=[\d@])(?:(?P<load>\d+)%)?(?:@(?P<mhz>\d+))?", _take_emc),
    _part("GR3D_FREQ", r"GR3D_FREQ (?=[\d@])(?:(?P<load>\d+)%)?(?:@(?P<mhz>\d+|\[\d+(?:,\d+)*\]))?", _take_gpu),
    _part("MTS", r"MTS fg \d+% bg \d+%", _take_nothing),
    _part("", rf"(?P<name>(?:{ENGINES})\d*)(?:_FREQ)? (?:off|(?:\d+%)?@?(?P<mhz>\d+))", _take_engine),
    _part(
        "", r"(?P<name>[A-Za-z][\w-]*)(?P<at>@)(?P<celsius>-?\d+(?:\.\d+)?)C(?:/-?\d+(?:\.\d+)?C)?", _take_temperature
    ),
    _part("", r"(?P<name>[A-Z]\w*) (?P<figures>\d+/\d+|\d+mW/\d+mW(?:/\d+mW)?)", _take_rail),
)
"""Name (or the group that holds it), form, and what to do with it; the first form that fits is taken."""
