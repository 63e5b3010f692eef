"""Generated clips on disk are the clips that the street world renders."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge_vss.data.dataset import FAR_CM
from edge_vss.data.datasets import open_dataset
from edge_vss.data.generate import generate
from edge_vss.data.images import read_index_image
from edge_vss.data.street import STREET_CLASSES
from edge_vss.errors import BadInput

SPEC = {"clips": 2, "frames": 2, "size": (30, 41), "fps": 10.0, "look": "camera", "motion": "turning", "seed": 7}


def test_written_clips_equal_rendered_ones(tmp_path):
    generate(tmp_path / "out", **SPEC)
    written = open_dataset(f"folder:{tmp_path}/out")
    rendered = open_dataset("street:[seed=7,clips=2,frames=2,size=30x41,fps=10,motion=turning]")
    assert written.classes == STREET_CLASSES
    for on_disk, live in zip(written.clips, rendered.clips, strict=True):
        assert (len(on_disk), on_disk.fps) == (len(live), live.fps)
        for i in range(2):
            assert np.array_equal(on_disk[i].frame.planes[0], live[i].frame.planes[0])
            assert np.array_equal(on_disk[i].labels, live[i].labels)
            assert np.array_equal(on_disk[i].instances, live[i].instances)
            assert on_disk[i].frame.pts_us == live[i].frame.pts_us


def test_depth_is_stored_in_centimetres(tmp_path):
    generate(tmp_path / "out", **SPEC)
    depth = read_index_image(tmp_path / "out/clip-0000/depth/000000.png")
    live = open_dataset("street:[seed=7,size=30x41,fps=10,motion=turning]").clips[0].world.render(0)
    sky = np.isinf(live.depth)
    assert (depth[sky] == FAR_CM).all()
    assert np.abs(depth[~sky] / 100 - live.depth[~sky]).max() < 0.006


def test_the_spec_is_written_beside_the_clips(tmp_path):
    generate(tmp_path / "out", **SPEC)
    facts = json.loads((tmp_path / "out/dataset.json").read_text())
    assert (facts["seed"], facts["clips"], facts["frames"], facts["motion"]) == (7, 2, 2, "turning")


def test_progress_counts_all_frames_up(tmp_path):
    steps = []
    generate(tmp_path / "out", progress=lambda done, total: steps.append((done, total)), **SPEC)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_an_interrupted_run_leaves_whole_clips_and_goes_on(tmp_path):
    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "out", progress=stop, **SPEC)
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == ["clip-0000"]
    generate(tmp_path / "out", **SPEC)
    assert len(open_dataset(f"folder:{tmp_path}/out").clips) == 2


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    generate(tmp_path / "out", **SPEC)
    with pytest.raises(BadInput, match="another spec"):
        generate(tmp_path / "out", **{**SPEC, "seed": 8})
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="not empty"):
        generate(tmp_path / "other", **SPEC)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="file"):
        generate(tmp_path / "file", **SPEC)
