"""Graph cuts against every labelling there is, and what diverse solutions must and must not be."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_vss.proposals import CrfConfig, GridCrf, diverse_solutions, grid_crf, propose
from edge_vss.proposals.expansion import expand, minimise
from edge_vss.proposals.grid import UNIT, area_means


def numbers(seed: int, classes: int, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (classes, height, width)).astype(np.float32), rng.normal(0, 1, (3, height, width))


def drawn(seed: int, classes: int, height: int, width: int, **config: Any) -> GridCrf:
    return grid_crf(*numbers(seed, classes, height, width), CrfConfig(**config))


def every_labelling(crf: GridCrf) -> list[NDArray[np.intp]]:
    return [np.array(one) for one in itertools.product(range(len(crf.costs)), repeat=crf.costs.shape[1])]


@pytest.mark.parametrize("neighbours", [4, 8])
def test_the_energy_is_that_of_the_formula_node_by_node_and_pair_by_pair(neighbours: int) -> None:
    height, width, config = 4, 5, CrfConfig(smoothness=0.7, contrast=0.6, neighbours=neighbours)
    scores, guide = numbers(0, 3, height, width)
    labels = np.random.default_rng(1).integers(0, 3, (height, width))
    steps = ((0, 1), (1, 0), (1, 1), (1, -1))[: neighbours // 2]
    pairs = [
        ((y, x), (y + dy, x + dx), float(((guide[:, y, x] - guide[:, y + dy, x + dx]) ** 2).sum()), np.hypot(dy, dx))
        for y, x in np.ndindex(height, width)
        for dy, dx in steps
        if y + dy < height and 0 <= x + dx < width
    ]
    mean = sum(square for _, _, square, _ in pairs) / len(pairs)
    want = 0.0
    for place in np.ndindex(height, width):
        column = np.exp(scores[(slice(None), *place)].astype(float))
        want -= np.log(column[labels[place]] / column.sum())
    for one, other, square, distance in pairs:
        if labels[one] != labels[other]:
            want += 0.7 * (0.4 + 0.6 * np.exp(-square / (2 * mean))) / distance
    got = grid_crf(scores, guide, config).energy(labels.reshape(-1)) / UNIT
    assert got == pytest.approx(want, abs=(20 + len(pairs)) / UNIT)


@pytest.mark.parametrize("seed", range(8))
def test_with_two_classes_the_lowest_energy_of_all_labellings_is_found(seed: int) -> None:
    crf = drawn(seed, 2, 3, 4, smoothness=(0.2, 0.8)[seed % 2], neighbours=(4, 8)[seed // 2 % 2])
    lowest = min(crf.energy(labels) for labels in every_labelling(crf))
    assert crf.energy(minimise(crf)) == lowest
    assert crf.energy(minimise(crf, np.random.default_rng(seed).integers(0, 2, 12))) == lowest


@pytest.mark.parametrize("seed", range(6))
def test_an_expansion_is_the_best_of_all_sets_of_nodes_that_could_take_the_label(seed: int) -> None:
    crf = drawn(seed, 4, 3, 4, smoothness=(0.3, 0.9)[seed % 2], neighbours=(4, 8)[seed // 2 % 2])
    labels = np.random.default_rng(seed).integers(0, 4, 12)
    for label in range(4):
        lowest = min(
            crf.energy(np.where(np.array(taken), label, labels)) for taken in itertools.product((0, 1), repeat=12)
        )
        assert crf.energy(expand(crf, labels, label)) == lowest


def test_energy_never_rises_over_the_moves_and_ends_where_none_lowers_it() -> None:
    crf = drawn(3, 6, 20, 25, smoothness=0.6)
    labels = np.random.default_rng(0).integers(0, 6, 500)
    energies = [crf.energy(labels)]
    for label in [*range(6)] * 4:
        moved = expand(crf, labels, label)
        assert crf.energy(moved) < energies[-1] or np.array_equal(moved, labels)
        labels = moved
        energies.append(crf.energy(labels))
    found = minimise(crf)
    assert crf.energy(found) <= crf.energy(crf.costs.argmin(axis=0))
    assert all(np.array_equal(expand(crf, found, label), found) for label in range(6))
    assert abs(crf.energy(found) - energies[-1]) < 0.02 * energies[-1]


def test_three_classes_come_close_to_the_lowest_energy_of_all_labellings() -> None:
    for seed in range(4):
        crf = drawn(seed, 3, 3, 3, smoothness=0.6)
        lowest = min(crf.energy(labels) for labels in every_labelling(crf))
        assert lowest <= crf.energy(minimise(crf)) <= 1.02 * lowest


def test_without_smoothness_every_node_has_its_cheapest_label() -> None:
    crf = drawn(5, 5, 6, 7, smoothness=0.0)
    assert np.array_equal(minimise(crf), crf.costs.argmin(axis=0))


def test_borders_go_where_the_picture_has_them() -> None:
    scores = np.zeros((2, 8, 12), np.float32)
    scores[0, :, :3], scores[1, :, 9:] = 4, 4  # nothing is known of the columns between
    guide = np.zeros((3, 8, 12))
    guide[:, :, 7:] = 1
    labels = minimise(grid_crf(scores, guide, CrfConfig())).reshape(8, 12)
    assert (labels[:, :7] == 0).all() and (labels[:, 7:] == 1).all()


def test_without_diversity_every_solution_is_the_most_probable_one() -> None:
    found = diverse_solutions(drawn(6, 5, 12, 16), 6, 0.0)
    assert (found.labels == found.labels[0]).all()
    assert (found.scores == found.scores[0]).all()


def test_each_solution_is_the_best_of_all_labellings_once_earlier_ones_have_made_their_labels_dearer() -> None:
    crf, diversity = drawn(2, 2, 3, 4, smoothness=0.4), 0.5
    found = diverse_solutions(crf, 5, diversity).labels.reshape(5, 12)
    for count in range(5):
        price = [
            crf.energy(labels) + diversity * UNIT * sum((labels == earlier).sum() for earlier in found[:count])
            for labels in every_labelling(crf)
        ]
        own = crf.energy(found[count]) + diversity * UNIT * sum((found[count] == one).sum() for one in found[:count])
        assert own == min(price)


def test_diverse_solutions_differ_and_none_is_more_probable_than_the_first() -> None:
    found = diverse_solutions(drawn(4, 2, 12, 16, smoothness=0.5), 8, 0.3)
    assert len({labels.tobytes() for labels in found.labels}) >= 4
    assert found.scores.argmax() == 0


def test_a_shorter_search_finds_the_first_solutions_of_a_longer_one() -> None:
    scores, guide = numbers(7, 4, 10, 12)
    long, short = (propose(scores, guide, count, CrfConfig()) for count in (7, 3))
    assert np.array_equal(long.first(3).labels, short.labels)
    assert np.array_equal(long.first(3).scores, short.scores)


def test_area_means_are_the_integral_over_each_cell() -> None:
    picture = np.random.default_rng(0).normal(0, 1, (2, 6, 10))
    np.testing.assert_allclose(area_means(picture, 3, 5), picture.reshape(2, 3, 2, 5, 2).mean((2, 4)))
    fine = picture.repeat(4, 1).repeat(3, 2)  # cut pixels: 6 rows in 4, 10 columns in 3
    np.testing.assert_allclose(area_means(picture, 4, 3), fine.reshape(2, 4, 6, 3, 10).mean((2, 4)))


@pytest.mark.parametrize("wrong", [{"neighbours": 6}, {"contrast": 1.5}, {"smoothness": -1}, {"diversity": 1e9}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CrfConfig(**wrong)
