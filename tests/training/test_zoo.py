"""What ships with the package loads, says where it comes from, and is small."""

from __future__ import annotations

import re

import pytest

from edge_vss.data.classes import CAMVID_CLASSES
from edge_vss.training import load_checkpoint
from edge_vss.zoo import FOLDER, zoo_checkpoint, zoo_names

KINDS = {
    "clockwork-camvid": "clockwork",
    "clockwork-street": "clockwork",
    "etc-street": "perframe",
    "perframe-camvid": "perframe",
    "perframe-street": "perframe",
    "tdnet2-street": "tdnet2",
    "teacher-street": "teacher",
}


def test_the_zoo_holds_what_it_says() -> None:
    assert zoo_names() == tuple(KINDS)


@pytest.mark.parametrize("name", zoo_names())
def test_a_zoo_checkpoint_loads_and_is_small(name: str) -> None:
    checkpoint = load_checkpoint(f"zoo:{name}")
    assert checkpoint.info.network.kind == KINDS[name]
    assert checkpoint.info.classes == CAMVID_CLASSES
    assert {"recipe", "data", "seed", "config"} <= checkpoint.info.training.keys()
    assert zoo_checkpoint(name).stat().st_size < (15e6 if name.startswith("teacher") else 3.5e6)


@pytest.mark.parametrize("name", zoo_names())
def test_a_model_card_gives_the_command_the_results_and_the_terms(name: str) -> None:
    card = (FOLDER / f"{name}.md").read_text()
    assert "edge-vss train" in card
    assert "mIoU" in card
    assert re.search(r"licen[cs]e|terms", card, re.IGNORECASE)
    if name.endswith("camvid"):
        assert "research" in card


@pytest.mark.parametrize("name", [name for name in zoo_names() if name.endswith("camvid")])
def test_camvid_checkpoints_saw_the_train_split_alone(name: str) -> None:
    data = load_checkpoint(f"zoo:{name}").info.training["data"]
    assert all(re.match(r"camvid:.*:train(\[.*\])?$", uri) for uri in data)
