"""rerank and eval --rerank, from the command line, and the scores that they work with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from verbs import Cli, assert_one_line

from edge_vss.data.datasets import open_dataset
from edge_vss.proposals import load_reranker
from edge_vss.runtime import Pipeline
from edge_vss.scorers import open_scorer

STREET = "street:[size=64x96,seed=5,clips=2,frames=3]"


def test_scores_of_a_bundle_grow_to_the_labels_of_the_native_runtime(tiny_bundle: Path) -> None:
    scorer = open_scorer(tiny_bundle)
    clip = open_dataset("street:[size=80x112,seed=5,clips=1,frames=3]").clips[0]
    with Pipeline(tiny_bundle, schedule="full", label_size="source") as pipeline:
        for index in range(3):
            frame = clip[index].frame
            scored = scorer.score(frame)
            native = pipeline.process(frame).labels["labels"]
            assert scored.scores.shape == (11, 16, 24)
            assert (scored.label_map(scored.scores[None]) == native).mean() > 0.995


def test_a_checkpoint_and_its_bundle_score_alike(tiny_bundle: Path, tiny_checkpoint: Path) -> None:
    frame = open_dataset(STREET).clips[0][0].frame
    ours, theirs = (open_scorer(path).score(frame) for path in (tiny_checkpoint, tiny_bundle))
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-3)
    np.testing.assert_array_equal(ours.picture, theirs.picture)


def test_only_networks_whose_frames_stand_alone_skip_those_without_labels(tiny_bundle: Path) -> None:
    assert not open_scorer(tiny_bundle).remembers


def test_a_trained_re_ranker_scores_what_its_training_said_on_the_same_frames(
    cli: Cli, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.json"
    trained = cli("rerank", tiny_bundle, "--data", STREET, "-o", out, "--proposals", 4, "--json", "-")
    assert trained.code == 0, trained.err
    scored = cli("eval", tiny_bundle, "--data", STREET, "--rerank", 4, "--reranker", out, "--json", "-")
    assert scored.code == 0, scored.err
    found = scored.json
    keys = {"miou", "iou", "pixel_accuracy", "proposals", "frames", "network", "map", "oracle", "seconds_per_frame"}
    assert set(found) == keys and set(trained.json) == keys | {"reranker", "reg"}
    assert (found["frames"], found["proposals"]) == (6, 4)
    assert all(found[key] == trained.json[key] for key in keys - {"seconds_per_frame"})
    assert max(found["map"]["miou"], found["miou"]) <= found["oracle"]["miou"]
    assert load_reranker(out).training["data"] == STREET


def test_a_folder_is_no_place_for_a_re_ranker(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    assert_one_line(cli("rerank", tiny_bundle, "--data", STREET, "-o", tmp_path), 3, "is a folder; --out wants")


def test_the_networks_own_row_is_what_eval_says_without_re_ranking(
    cli: Cli, tiny_bundle: Path, tiny_reranker: Path
) -> None:
    plain = cli("eval", tiny_bundle, "--data", STREET, "--json", "-").json
    found = cli("eval", tiny_bundle, "--data", STREET, "--rerank", 2, "--reranker", tiny_reranker, "--json", "-").json
    assert found["network"]["miou"] == pytest.approx(plain["miou"], abs=2e-3)


def test_a_second_network_is_asked_for_where_the_re_ranker_was_trained_with_one(
    cli: Cli, tiny_bundle: Path, tiny_checkpoint: Path, tiny_reranker: Path, tmp_path: Path
) -> None:
    out = tmp_path / "two.json"
    both = ("--segnet", tiny_checkpoint)
    assert cli("rerank", tiny_bundle, "--data", STREET, "-o", out, "--proposals", 2, *both).code == 0
    scored = ("eval", tiny_bundle, "--data", STREET, "--rerank", 2, "--reranker")
    assert cli(*scored, out, *both).code == 0
    assert_one_line(cli(*scored, out), 3, "--segnet", str(tiny_checkpoint))
    assert_one_line(cli(*scored, tiny_reranker, *both), 3, "without a second network")


def test_options_that_do_not_go_together_are_refused(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    scored = ("eval", tiny_bundle, "--data", STREET)
    assert_one_line(cli(*scored, "--rerank", 3), 2, "--reranker")
    assert_one_line(cli(*scored, "--rerank", 3, "--reranker", tmp_path / "none", "--vpq"), 2, "--rerank")
    assert_one_line(cli(*scored, "--rerank", 3, "--reranker", tmp_path / "none"), 3, "none", "edge-vss rerank")
    one = "street:[size=64x96,clips=1,frames=1]"
    assert_one_line(cli("rerank", tiny_bundle, "--data", one, "-o", tmp_path / "x.json"), 3, "two labelled frames")
    assert list(tmp_path.iterdir()) == []


def test_a_re_ranker_replaces_nothing_that_the_command_was_given(
    cli: Cli, tiny_bundle: Path, tiny_checkpoint: Path
) -> None:
    for network, out in ((tiny_checkpoint, tiny_checkpoint), (tiny_bundle, tiny_bundle / "manifest.json")):
        before = out.read_bytes()
        done = cli("rerank", network, "--data", STREET, "-o", out, "--proposals", 2)
        assert done.code == 3 and "wants another file" in done.err
        assert out.read_bytes() == before
    segnet = cli("rerank", tiny_bundle, "--segnet", tiny_checkpoint, "--data", STREET, "-o", tiny_checkpoint)
    assert segnet.code == 3
