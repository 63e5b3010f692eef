"""What the documents list is what the program takes."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from edge_vss.data.datasets import READERS
from edge_vss.data.street.config import StreetConfig
from edge_vss.data.street.spec import _KEYS, parse_street

DOCS = Path(__file__).parents[2] / "docs"


def rows(document: str) -> dict[str, tuple[str, str]]:
    """Key -> (heading above its table, the row) of every table whose first column names keys in backquotes."""
    found, heading = {}, ""
    for line in (DOCS / document).read_text().splitlines():
        if line.startswith(("#", "`[")):
            heading = line
        for key in re.findall(r"`(\w+)`", line.split("|")[1]) if line.startswith("| `") else ():
            found[f"{heading.split(',')[0]} {key}"] = (heading, line)
    return found


def test_every_key_of_street_is_documented() -> None:
    heading = "## `street:[KEY=VALUE"
    listed = {key.removeprefix(f"{heading} ") for key in rows("sources-and-data.md") if key.startswith(heading)}
    assert listed == set(_KEYS)
    default = StreetConfig()
    assert parse_street("[seed=0,size=360x480,fps=15,look=camera,motion=mixed]").config == default


def test_every_kind_of_data_is_documented() -> None:
    text = (DOCS / "sources-and-data.md").read_text()
    assert all(f"\n## `{kind}:" in text for kind in READERS)


def test_every_published_data_set_has_a_row_that_says_where_to_get_it() -> None:
    rows = [line for line in (DOCS / "datasets.md").read_text().splitlines() if line.startswith("| `")]
    listed = {line.split("`")[1].partition(":")[0] for line in rows}
    assert listed == set(READERS) - {"street", "folder"}


def test_every_score_of_eval_is_documented() -> None:
    from edge_vss.metrics import Measures

    text = (DOCS / "metrics.md").read_text()
    assert all(f"`{key}`" in text for key in (*Measures(2, vpq=True).scores(["a", "b"]), "flow"))


def test_every_key_of_the_training_configuration_is_documented_with_its_default() -> None:
    pytest.importorskip("torch", reason="training needs the train extra")
    from edge_vss.training.config import AugmentConfig, LossConfig, TrainConfig

    listed = rows("training.md")
    wanted = {}
    for heading, struct in (
        ("## The configuration", TrainConfig),
        ("`[augment]`", AugmentConfig),
        ("`[loss]`", LossConfig),
    ):
        for field in msgspec.structs.fields(struct):
            if not isinstance(field.default, msgspec.Struct):
                wanted[f"{heading} {field.name}"] = field.default
    assert set(listed) == set(wanted)
    for key, default in wanted.items():
        numbers = [float(number) for number in re.findall(r"[\d.]+(?:e-?\d+)?", listed[key][1].split("|")[2])]
        if isinstance(default, bool | str):
            assert str(default).lower() in listed[key][1], key
        else:
            assert set(default if isinstance(default, tuple) else [default]) <= set(numbers), key


def test_the_module_total_of_every_board_is_documented() -> None:
    from edge_vss.jetson.rails import TOTALS

    text = (DOCS / "jetson.md").read_text().partition("## What power figures mean")[2]
    listed = [set(re.findall(r"`(\w+)`", line.partition(" | ")[2])) for line in text.splitlines() if line[:1] == "|"]
    assert all(any(set(total) <= rails for rails in listed) for total in TOTALS)
    assert any("VIN" in rails for rails in listed)


def test_every_file_that_the_install_script_puts_is_documented() -> None:
    script = (DOCS.parent / "jetson" / "deploy" / "install.sh").read_text()
    places = re.findall(r'put "\$here/[^"]+" (\S+)', script)
    text = (DOCS / "jetson.md").read_text()
    assert len(places) == 3 and all(f"`{place}`" in text for place in places)
