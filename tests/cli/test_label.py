"""data label, from the command line: a network's label maps as a data set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from verbs import Cli, assert_one_line

from edge_vss import labellers
from edge_vss.data.datasets import open_dataset
from edge_vss.labellers import Labeller, LabelOptions, Seen
from edge_vss.proposals import load_reranker
from edge_vss.runtime import Pipeline
from edge_vss.scorers import open_scorer

STREET = "street:[size=64x96,seed=5,clips=2,frames=3]"


def test_labelled_frames_are_a_data_set_of_the_networks_label_maps(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "labelled"
    done = cli("data", "label", tiny_bundle, STREET, "-o", out, "--json", "-")
    assert done.code == 0, done.err
    assert (done.json["frames"], done.json["clips"], done.json["coverage"], done.json["by"]) == (6, 2, 1.0, "argmax")
    written, source = open_dataset(f"folder:{out}"), open_dataset(STREET)
    assert written.classes == source.classes
    with Pipeline(tiny_bundle, schedule="full", label_size="source") as pipeline:
        for clip, original in zip(written.clips, source.clips, strict=True):
            pipeline.reset()
            assert (len(clip), clip.fps) == (3, original.fps)
            for index in range(3):
                sample = clip[index]
                assert np.array_equal(sample.frame.planes[0], original[index].frame.planes[0])
                native = pipeline.process(original[index].frame).labels["labels"]
                assert sample.labels is not None
                assert (sample.labels == native).mean() > 0.995


def test_pixels_of_small_confidence_are_ignored_and_the_others_stay(
    cli: Cli, tiny_bundle: Path, tmp_path: Path
) -> None:
    coverage, maps = [], []
    for least in (0.0, 0.3, 0.5, 1.0):
        out = tmp_path / str(least)
        done = cli("data", "label", tiny_bundle, STREET, "-o", out, "--min-confidence", least, "--json", "-")
        coverage.append(done.json["coverage"])
        maps.append(open_dataset(f"folder:{out}").clips[0][1].labels)
    assert coverage[0] == 1.0 and coverage == sorted(coverage, reverse=True) and coverage[0] > coverage[1] > coverage[2]
    scored = open_scorer(tiny_bundle).score(open_dataset(STREET).clips[0][1].frame)
    chance = np.exp(scored.scores - scored.scores.max(0))
    chance = (chance / chance.sum(0)).max(0)
    inner = np.kron(chance, np.ones((4, 4)))  # far from a node's edge the label map has the node's own confidence
    for least, labels in zip((0.3, 0.5), maps[1:]):
        kept = labels != 255
        assert np.array_equal(labels[kept], maps[0][kept])
        assert kept[inner > least + 0.2].mean() > 0.9 and kept[inner < least - 0.1].mean() < 0.1


def test_labels_by_re_ranking_are_those_of_the_chosen_proposals(
    cli: Cli, tiny_bundle: Path, tiny_reranker: Path, tmp_path: Path
) -> None:
    done = cli(
        "data", "label", tiny_bundle, STREET, "-o", tmp_path / "out", "--reranker", tiny_reranker, "--frames", 1,
        "--json", "-",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (done.json["by"], done.json["frames"]) == ("rerank", 2)
    reranker = load_reranker(tiny_reranker)
    from edge_vss.reranking import RerankOptions, ScorerPair

    scored = ScorerPair(RerankOptions(network=tiny_bundle)).score(open_dataset(STREET).clips[1][0].frame)
    proposals = scored.propose(3, reranker.crf)
    chosen = proposals.labels[reranker.choose(scored.features(proposals))]
    labels = open_dataset(f"folder:{tmp_path / 'out'}").clips[1][0].labels
    assert labels is not None
    assert (labels[1::4, 1::4] == chosen).mean() > 0.9


def test_an_interrupted_run_goes_on_with_the_clips_that_are_missing(
    cli: Cli, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_vss import label_writer

    out, written = tmp_path / "out", []

    def failing(path: Path, array: object) -> None:
        written.append(path)
        if len(written) == 9:  # the second frame of the second clip
            raise KeyboardInterrupt
        write_png(path, array)

    write_png = label_writer.write_png
    with monkeypatch.context() as patch:
        patch.setattr(label_writer, "write_png", failing)
        assert cli("data", "label", tiny_bundle, STREET, "-o", out).code == 130
    assert sorted(path.name for path in out.iterdir()) == ["classes.json", "clip-0000", "dataset.json"]
    before = (out / "clip-0000").stat().st_mtime_ns
    done = cli("data", "label", tiny_bundle, STREET, "-o", out, "--json", "-")
    assert done.code == 0 and done.json["frames"] == 6
    assert (out / "clip-0000").stat().st_mtime_ns == before
    other = cli("data", "label", tiny_bundle, STREET, "-o", out, "--min-confidence", 0.5)
    assert_one_line(other, 3, str(out), "another spec")


def test_pictures_and_videos_can_be_labelled_and_trained_on(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    video = tmp_path / "drive.mp4"
    run = ("run", tiny_bundle, STREET, "--frames", 3, "--as-fast-as-possible", "--output", video)
    assert cli(*run).code == 0
    out = tmp_path / "labelled"
    done = cli("data", "label", tiny_bundle, video, "-o", out, "--frames", 2, "--json", "-")
    assert done.code == 0, done.err
    assert (done.json["frames"], done.json["clips"]) == (2, 1)
    facts = json.loads((out / "clip-0000" / "dataset.json").read_text())
    assert facts["fps"] == 15 and facts["frames"] == 2
    from edge_vss.training.frames import load_frames

    assert len(load_frames([f"folder:{out}"], 0.0).train) == 2


def test_wrong_options_of_data_label_are_refused(
    cli: Cli, tiny_bundle: Path, tiny_reranker: Path, tmp_path: Path
) -> None:
    label = ("data", "label", tiny_bundle, STREET, "-o", tmp_path / "out")
    assert_one_line(cli(*label, "--by", "luck"), 2, "luck", "argmax, rerank")
    assert_one_line(cli(*label, "--by", "rerank"), 2, "--reranker")
    assert_one_line(cli(*label, "--by", "argmax", "--reranker", tiny_reranker), 2, "argmax takes no re-ranker")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert_one_line(cli("data", "label", tiny_bundle, STREET, "-o", tmp_path / "full"), 3, "not empty")
    assert not (tmp_path / "out").exists()


def test_another_labeller_is_one_function_and_one_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_index(options: LabelOptions) -> Labeller:
        def label(frames: Iterable[Seen]) -> Iterator[tuple[Seen, np.ndarray]]:
            for seen in frames:
                assert seen.clip is not None
                yield seen, np.full((seen.frame.height, seen.frame.width), seen.index, np.uint8)

        return Labeller(open_dataset(STREET).classes, label)

    monkeypatch.setitem(labellers.LABELLERS, "index", by_index)
    done = cli("data", "label", "none", STREET, "-o", tmp_path / "out", "--by", "index")
    assert done.code == 0, done.err
    clip = open_dataset(f"folder:{tmp_path / 'out'}").clips[1]
    assert [int(clip[index].labels.max()) for index in range(3)] == [0, 1, 2]  # type: ignore[union-attr]


@pytest.mark.parametrize(("before", "coverage"), [(0, 1.0), (2, 1.0), (0, 0.5), (2, 0.5)])
def test_labels_by_flow_are_those_that_earlier_frames_of_the_clip_agree_with(
    cli: Cli, tiny_checkpoint: Path, tmp_path: Path, before: int, coverage: float
) -> None:
    from edge_vss.training import load_checkpoint
    from edge_vss.training.pseudo_labels import FlowLabels, chances_of, flow_labels

    out = tmp_path / "labelled"
    chosen = ("--by", "flow", "--before", before, "--coverage", coverage)
    done = cli("data", "label", tiny_checkpoint, STREET, "-o", out, *chosen, "--json", "-")
    assert done.code == 0, done.err
    assert done.json["by"] == "flow" and (done.json["coverage"] == 1.0) == (before == 0 and coverage == 1)
    assert done.json["coverage"] <= coverage + 0.01
    checkpoint = load_checkpoint(tiny_checkpoint)
    wanted = FlowLabels(before=before, coverage=coverage)
    for written, original in zip(open_dataset(f"folder:{out}").clips, open_dataset(STREET).clips, strict=True):
        chances = chances_of(checkpoint, original)
        for index in range(len(original)):
            assert np.array_equal(written[index].labels, flow_labels(original, index, chances, wanted))


def test_pictures_without_order_are_labelled_by_flow_one_by_one(
    cli: Cli, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    pictures, out = tmp_path / "pictures", tmp_path / "labelled"
    assert cli("data", "generate", pictures, "--clips", 1, "--frames", 3, "--size", "64x96").code == 0
    for facts in pictures.rglob("dataset.json"):
        facts.unlink()
    done = cli("data", "label", tiny_checkpoint, f"folder:{pictures}", "-o", out, "--by", "flow", "--json", "-")
    assert done.code == 0, done.err
    assert (done.json["frames"], done.json["coverage"]) == (3, 1.0)


def test_labelling_by_flow_wants_a_checkpoint_and_no_re_ranker(cli: Cli, tiny_bundle: Path, tmp_path: Path) -> None:
    words = ["data", "label", tiny_bundle, STREET, "-o", tmp_path / "out", "--by", "flow"]
    assert_one_line(cli(*words), 3, "take a checkpoint")
    assert_one_line(cli(*words, "--segnet", tiny_bundle), 2, "by flow takes no re-ranker")
    assert_one_line(cli(*words, "--coverage", 0), 2, "above 0 and at most 1")
    assert_one_line(cli(*words[:-2], "--coverage", 0.5), 2, "by argmax takes no coverage")
