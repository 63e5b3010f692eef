"""Features, the max-margin solver, the corpus' oracle and the re-ranker, each against something written out anew."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from edge_vss.errors import BadInput
from edge_vss.metrics import ConfusionMatrix
from edge_vss.proposals import (
    CrfConfig,
    Reranker,
    ScoredFrame,
    compare_choices,
    fit_reranker,
    load_reranker,
    look_at_all,
    propose,
)
from edge_vss.proposals.candidates import lifted_scores
from edge_vss.proposals.corpus import chosen_matrix, corpus_losses, oracle_choice
from edge_vss.proposals.features import feature_names, proposal_features
from edge_vss.proposals.margin import fit_margin, objective

NAMES = ("sky", "wall", "floor")


def scene(seed: int, noise: float, second: float) -> ScoredFrame:
    """Three bands of 24x32, scored by a network with blotches of error and by another one with fewer of them."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((48, 64), np.uint8)
    first, then = sorted(rng.integers(8, 40, 2))
    truth[first:], truth[then:], truth[:2, :2] = 1, 2, 255
    sure = np.eye(3)[np.minimum(truth, 2)[1::2, 1::2]].transpose(2, 0, 1) * 2.0

    def blotches(strength: float) -> NDArray[np.float32]:
        coarse = rng.normal(0, strength, (3, 6, 8)).repeat(4, 1).repeat(4, 2)
        return (sure + coarse).astype(np.float32)

    return ScoredFrame(scores=blotches(noise), second=blotches(second), picture=truth[None] % 255, truth=truth)


def some_counts(frames: int, proposals: int, seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, 9, (frames, proposals, 3, 3)).astype(np.int64)


def test_features_are_what_their_names_say() -> None:
    frame = scene(0, 1.5, 0.5)
    proposals = frame.propose(4, CrfConfig())
    second = frame.second.astype(float)
    posterior = np.exp(second) / np.exp(second).sum(axis=0)
    got = proposal_features(proposals, posterior)
    names = feature_names(NAMES)
    assert got.shape == (4, len(names)) == (4, 14)
    for rank, labels in enumerate(proposals.labels):
        own = dict(zip(names, got[rank]))
        nodes = list(np.ndindex(*labels.shape))
        assert own["score"] == proposals.scores[rank]
        assert own["rank"] == pytest.approx(np.log(1 + rank))
        right = [labels[node] == posterior[(slice(None), *node)].argmax() for node in nodes]
        assert own["agreement"] == pytest.approx(np.mean(right))
        assert own["support"] == pytest.approx(np.mean([posterior[(labels[node], *node)] for node in nodes]))
        ious = []
        for label, name in enumerate(NAMES):
            shared = sum(posterior[(label, *node)] for node in nodes if labels[node] == label)
            union = sum(
                posterior[(label, *node)] + (1 - posterior[(label, *node)]) * (labels[node] == label) for node in nodes
            )
            ious.append(shared / union)
            assert own[f"soft_iou/{name}"] == pytest.approx(ious[-1])
            assert own[f"size/{name}"] == pytest.approx((labels == label).mean())
            assert own[f"present/{name}"] == (labels == label).any()
        assert own["soft_iou"] == pytest.approx(np.mean(ious))


def test_features_of_a_proposal_do_not_depend_on_later_ones() -> None:
    frame = scene(1, 1.5, 0.5)
    long = frame.propose(6, CrfConfig())
    assert np.array_equal(frame.features(long)[:3], frame.features(long.first(3)))


def test_margin_weights_are_those_of_a_general_solver() -> None:
    rng = np.random.default_rng(0)
    features, losses = rng.normal(0, 1, (6, 4, 3)), rng.uniform(0, 1, (6, 4))
    losses -= losses.min(axis=1, keepdims=True)
    reg = 0.3
    best = losses.argmin(axis=1)

    def slack_room(x: NDArray[np.float64]) -> NDArray[np.float64]:
        weights, slack = x[:3], x[3:]
        rows = [
            slack[i] - losses[i, m] * (1 - weights @ (features[i, best[i]] - features[i, m]))
            for i in range(6)
            for m in range(4)
        ]
        return np.array(rows)

    solved = minimize(
        lambda x: reg / 2 * x[:3] @ x[:3] + x[3:].mean(),
        np.concatenate([np.zeros(3), np.ones(6)]),
        constraints={"type": "ineq", "fun": slack_room},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert solved.success
    weights = fit_margin(features, losses, reg, gap=1e-6, passes=20000)
    assert objective(weights, features, losses, reg) == pytest.approx(solved.fun, rel=1e-4)
    np.testing.assert_allclose(weights, solved.x[:3], atol=5e-3)
    assert np.array_equal(weights, fit_margin(features, losses, reg, gap=1e-6, passes=20000))


def test_corpus_losses_are_what_the_corpus_loses_by_one_frames_proposal() -> None:
    counts = some_counts(4, 3)
    got = corpus_losses(counts)
    for frame in range(4):
        mious = []
        for proposal in range(3):
            matrix = ConfusionMatrix(3)
            for other in range(4):
                matrix.counts += counts[other, proposal if other == frame else 0]
            mious.append(matrix.miou)
        np.testing.assert_allclose(got[frame], 4 * (max(mious) - np.array(mious)))


def test_the_oracle_finds_what_trying_every_choice_finds() -> None:
    for seed in range(4):
        counts = some_counts(4, 3, seed)
        best = max(chosen_matrix(counts, choice).miou for choice in itertools.product(range(3), repeat=4))
        assert chosen_matrix(counts, oracle_choice(counts)).miou == pytest.approx(best, rel=0.01)


def test_the_oracle_never_falls_with_the_length_of_the_list_nor_below_what_it_starts_from() -> None:
    counts, starts, before = some_counts(12, 8), [], 0.0
    for length in (1, 2, 4, 8):
        starts.append(oracle_choice(counts[:, :length], starts))
        value = chosen_matrix(counts, starts[-1]).miou
        assert value >= before
        before = value
    given = np.random.default_rng(0).integers(0, 8, 12)
    assert chosen_matrix(counts, oracle_choice(counts, [given])).miou >= chosen_matrix(counts, given).miou


def test_a_proposal_grows_to_the_networks_own_label_map_where_they_agree() -> None:
    frame = scene(2, 1.0, 0.5)
    own = frame.scores.argmax(axis=0).astype(np.uint8)
    assert np.array_equal(lifted_scores(frame.scores, own), frame.scores)
    other = own.copy()
    other[3:8, 4:9] = (other[3:8, 4:9] + 1) % 3
    lifted = lifted_scores(frame.scores, other)
    assert np.array_equal(lifted.argmax(axis=0), other)
    same = own == other
    assert np.array_equal(lifted[:, same], frame.scores[:, same])
    without = propose(frame.scores, np.zeros((1, 24, 32)), 1, CrfConfig(smoothness=0.0)).labels[0]
    assert np.array_equal(frame.grown(lifted_scores(frame.scores, without)), frame.grown(frame.scores))


def test_a_second_network_that_knows_more_makes_the_re_ranked_better_than_the_most_probable() -> None:
    train, test = ([scene(seed, 1.5, 0.4) for seed in part] for part in (range(20), range(100, 120)))
    found = compare_choices(train, test, NAMES, counts=(3, 8), config=CrfConfig(diversity=0.4))
    assert list(found) == [3, 8]
    for choices in found.values():
        assert choices.first.miou < choices.reranked.miou <= choices.oracle.miou
        assert choices.network.miou < choices.first.miou
    assert found[3].oracle.miou < found[8].oracle.miou
    assert found[3].first.miou == found[8].first.miou


def test_candidates_count_every_proposal_against_the_truth_at_its_size() -> None:
    frame = scene(3, 1.5, 0.5)
    found = look_at_all([frame], 3, CrfConfig())
    proposals = frame.propose(3, CrfConfig())
    assert frame.truth is not None
    for rank in range(3):
        matrix = ConfusionMatrix(3)
        matrix.update(frame.truth, frame.grown(lifted_scores(frame.scores, proposals.labels[rank])))
        assert np.array_equal(found.counts[0, rank], matrix.counts)
    assert found.counts.sum(axis=(2, 3)).tolist() == [[48 * 64 - 4] * 3]


def test_where_the_second_network_knows_nothing_the_most_probable_solutions_are_kept() -> None:
    frames = [scene(seed, 0.8, 0.0) for seed in range(12)]
    blind = [dataclasses.replace(frame, second=np.zeros_like(frame.second)) for frame in frames]
    found = look_at_all(blind, 4, CrfConfig(diversity=1.0))
    reranker = fit_reranker(found.features, found.counts, NAMES, CrfConfig())
    assert reranker.reg is None and not any(reranker.weights)
    assert all(reranker.choose(features) == 0 for features in found.features)


@pytest.fixture(scope="module")
def trained() -> Reranker:
    found = look_at_all([scene(seed, 1.5, 0.4) for seed in range(6)], 4, CrfConfig())
    return fit_reranker(found.features, found.counts, NAMES, CrfConfig(), training={"data": "bands"})


def test_a_re_ranker_comes_back_from_its_file_as_it_was(trained: Reranker, tmp_path: Path) -> None:
    trained.save(tmp_path / "mine.json")
    assert load_reranker(tmp_path / "mine.json") == trained
    assert [path.name for path in tmp_path.iterdir()] == ["mine.json"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "version 2"),
        ({"classes": ("sky", "wall")}, "features are not those"),
        ({"weights": (1.0,)}, "1 weights"),
        ({"colour": "red"}, "colour"),
        ({"crf": {"neighbours": 5}}, "neighbours"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(
    trained: Reranker, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(msgspec.json.encode({**msgspec.to_builtins(trained), **change}))
    with pytest.raises(BadInput, match=says) as refused:
        load_reranker(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_a_missing_or_damaged_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such re-ranker"):
        load_reranker(tmp_path / "none.json")
    (tmp_path / "cut.json").write_bytes(b'{"classes": ["sky"')
    with pytest.raises(BadInput, match="is no re-ranker"):
        load_reranker(tmp_path / "cut.json")
