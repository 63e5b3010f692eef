"""Data sets by URI: what they hand out, and one clear line where they cannot."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import write_jpeg, write_palette_png

from edge_vss.data.colour import to_rgb
from edge_vss.data.datasets import READERS, open_dataset
from edge_vss.data.images import read_image, read_labels
from edge_vss.data.street.spec import parse_street
from edge_vss.data.video import write_png
from edge_vss.errors import BadInput


def refused(uri):
    """The one line that opening ``uri`` (and reading all of it) is refused with."""
    with pytest.raises(BadInput) as caught:
        for clip in open_dataset(uri).clips:
            for i in range(len(clip)):
                clip[i]
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.fixture
def plain(tmp_path):
    """A small folder data set: three frames with labels and two classes."""
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for i in range(3):
        write_png(tmp_path / "images" / f"{i}.png", rng.integers(0, 256, (5, 7, 3), np.uint8))
        write_png(tmp_path / "labels" / f"{i}.png", rng.choice(np.array([0, 1, 255], np.uint8), (5, 7)))
    (tmp_path / "classes.txt").write_text("ground\nobject\n")
    return tmp_path


def test_street_defaults_to_four_clips_of_thirty_labelled_frames():
    dataset = open_dataset("street:")
    assert [len(clip) for clip in dataset.clips] == [30] * 4
    assert len({clip.name for clip in dataset.clips}) == 4
    assert dataset.num_frames == 120


def test_street_spec_reaches_the_samples():
    dataset = open_dataset("street:[seed=5,clips=2,frames=3,size=40x60,fps=10,look=simulated,motion=turning]")
    clip = dataset.clips[1]
    sample = clip[2]
    assert (len(dataset.clips), len(clip), clip.fps) == (2, 3, 10.0)
    assert sample.labels.shape == sample.instances.shape == (40, 60)
    assert sample.frame.pts_us == 200_000
    with pytest.raises(IndexError):
        clip[3]


@given(
    seed=st.integers(0, 10**6), height=st.integers(8, 999), width=st.integers(8, 999), clips=st.integers(1, 99),
)  # fmt: skip
def test_specs_say_what_they_are_told(seed, height, width, clips):
    spec = parse_street(f"[seed={seed}, size={height}x{width}, clips={clips}]")
    assert (spec.config.seed, spec.config.height, spec.config.width, spec.clips) == (seed, height, width, clips)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("[sed=1]", "known: seed, clips, frames"),
        ("[seed=one]", "seed wants a whole number, got 'one'"),
        ("[seed=1", "brackets"),
        ("[look=dreamy]", "simulated, camera"),
        ("[motion=flying]", "stopped, steady"),
        ("[size=480]", "HEIGHTxWIDTH"),
        ("[size=0x0]", "0x0"),
        ("[clips=0]", "clips"),
        ("[frames=-1]", "frames"),
        ("[fps=0]", "fps"),
        ("[seed=1,seed=2]", "twice"),
        ("[loud]", "'loud'"),
    ],
)
def test_a_wrong_street_spec_is_refused_by_name(spec, named):
    assert named in refused(f"street:{spec}")


def test_an_unknown_kind_names_the_known_ones():
    line = refused("kitti:/data")
    assert all(kind in line for kind in READERS)


def test_a_folder_gives_back_every_number(plain):
    dataset = open_dataset(f"folder:{plain}")
    sample = dataset.clips[0][1]
    assert [info.name for info in dataset.classes] == ["ground", "object"]
    assert np.array_equal(sample.labels, read_labels(plain / "labels/1.png"))
    rng = np.random.default_rng(0)
    rng.integers(0, 256, (5, 7, 3), np.uint8)
    rng.choice(np.array([0, 1, 255], np.uint8), (5, 7))
    assert np.array_equal(sample.frame.planes[0], rng.integers(0, 256, (5, 7, 3), np.uint8))


def test_a_folder_without_a_rate_is_unordered_and_one_with_a_rate_is_a_clip(plain):
    assert open_dataset(f"folder:{plain}").clips[0].fps is None
    (plain / "dataset.json").write_text(json.dumps({"fps": 10}))
    clip = open_dataset(f"folder:{plain}").clips[0]
    assert clip.fps == 10.0
    assert clip[2].frame.pts_us == 200_000


def test_sub_folders_are_clips(plain, tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    for name in ("b", "a"):
        (root / name).mkdir()
        for kind in ("images", "labels"):
            (root / name / kind).symlink_to(plain / kind)
    assert [clip.name for clip in open_dataset(f"folder:{root}").clips] == ["a", "b"]


def test_a_folder_without_labels_holds_unlabelled_frames(plain):
    for path in (plain / "labels").iterdir():
        path.unlink()
    (plain / "labels").rmdir()
    assert open_dataset(f"folder:{plain}").clips[0][0].labels is None


def test_labels_of_another_size_are_refused(plain):
    write_png(plain / "labels/1.png", np.zeros((7, 5), np.uint8))
    line = refused(f"folder:{plain}")
    assert "labels/1.png" in line
    assert "7x5" in line


def test_unknown_label_ids_are_refused(plain):
    write_png(plain / "labels/2.png", np.full((5, 7), 9, np.uint8))
    line = refused(f"folder:{plain}")
    assert "labels/2.png" in line
    assert "label 9" in line


def test_a_missing_partner_is_refused_on_either_side(plain):
    (plain / "labels/1.png").rename(plain / "aside.png")
    assert "images/1.png" in refused(f"folder:{plain}")
    (plain / "aside.png").rename(plain / "labels/7.png")
    (plain / "images/1.png").unlink()
    assert "labels/7.png" in refused(f"folder:{plain}")


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_an_unreadable_picture_is_refused_by_name(plain, content):
    (plain / "images/0.png").write_bytes(content)
    assert "images/0.png" in refused(f"folder:{plain}")


def test_a_picture_cut_short_is_refused_by_name(plain):
    write_png(plain / "images/0.png", np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8))
    whole = (plain / "images/0.png").read_bytes()
    (plain / "images/0.png").write_bytes(whole[: len(whole) // 2])
    assert "images/0.png" in refused(f"folder:{plain}")


def test_a_picture_of_absurd_size_is_refused_before_it_is_decoded(plain):
    data = bytearray((plain / "images/0.png").read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    (plain / "images/0.png").write_bytes(data)
    assert "images/0.png" in refused(f"folder:{plain}")


def test_colour_pictures_are_no_labels(plain):
    write_png(plain / "labels/0.png", np.zeros((5, 7, 3), np.uint8))
    assert "labels/0.png" in refused(f"folder:{plain}")


@pytest.mark.parametrize("content", ["{", "[]", '[{"colour": [1, 2, 3]}]', '[{"name": "a", "colour": [1, 2, 300]}]'])
def test_a_wrong_class_list_is_refused(plain, content):
    (plain / "classes.json").write_text(content)
    assert "classes.json" in refused(f"folder:{plain}")


def test_a_class_list_has_colours_of_its_own_or_gets_some(plain):
    for name, content in (
        ("classes.json", '["road", {"name": "side walk", "colour": [1, 2, 3]}]'),
        ("classes.txt", "road  # grey\nside walk 1 2 3\n"),
    ):
        (plain / name).write_text(content)
        road, walk = open_dataset(f"folder:{plain}").classes
        assert (road.name, walk.name, walk.colour) == ("road", "side walk", (1, 2, 3))
        assert road.colour != walk.colour
        (plain / name).unlink()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("classes.json", '["\\ud800"]'),
        ("classes.json", '["\\u001b[31mred"]'),
        ("classes.json", '"Sky"'),
        ("classes.json", "<html>not found</html>"),
        ("classes.txt", "Road -1 0 0\n"),
        ("classes.txt", "Road 300 0 0\n"),
    ],
)
def test_names_that_cannot_be_printed_and_files_of_another_kind_are_no_class_lists(plain, name, content):
    (plain / name).write_text(content)
    assert name in refused(f"folder:{plain}")


@pytest.mark.parametrize("name", ["classes.json", "classes.txt", "dataset.json"])
def test_what_stands_where_a_list_is_looked_for_is_not_passed_over(plain, name):
    (plain / name).unlink(missing_ok=True)
    (plain / name).symlink_to(plain / "nowhere")
    assert name in refused(f"folder:{plain}")
    (plain / name).unlink()
    (plain / name).mkdir()
    assert name in refused(f"folder:{plain}")


def test_classes_of_a_data_set_are_one_list(plain):
    (plain / "classes.json").write_text('{"scores": ["a"]}')
    assert "one list" in refused(f"folder:{plain}")


def test_palette_pngs_keep_their_indices(tmp_path):
    labels = np.random.default_rng(2).integers(0, 12, (9, 13)).astype(np.uint8)
    write_palette_png(tmp_path / "p.png", labels)
    assert np.array_equal(read_labels(tmp_path / "p.png"), labels)


@pytest.mark.parametrize(("pixel_format", "expected"), [("yuvj420p", "i420"), ("yuvj444p", "rgb")])
def test_jpegs_come_as_the_planes_they_hold(tmp_path, pixel_format, expected):
    rgb = np.zeros((32, 48, 3), np.uint8)
    rgb[:, :24], rgb[:, 24:] = (200, 40, 30), (20, 90, 220)
    write_jpeg(tmp_path / "a.jpg", rgb, pixel_format)
    frame = read_image(tmp_path / "a.jpg")
    assert frame.format == expected
    if expected == "i420":
        assert (frame.matrix, frame.range) == ("bt601", "full")
    assert np.abs(to_rgb(frame)[4:-4, 4:20].astype(int) - (200, 40, 30)).max() < 12
    assert np.abs(to_rgb(frame)[4:-4, 30:44].astype(int) - (20, 90, 220)).max() < 12


@pytest.fixture
def little_camvid(tmp_path):
    """The original layout: two drives, colour-coded labels."""
    images, labels = tmp_path / "701_StillsRaw_full", tmp_path / "LabeledApproved_full"
    images.mkdir()
    labels.mkdir()
    colours = np.array([(128, 128, 128), (192, 0, 64), (64, 128, 192), (0, 0, 0), (192, 0, 192)], np.uint8)
    for stem in ("0001TP_006690", "0001TP_006720", "0006R0_f00930"):
        write_png(images / f"{stem}.png", np.zeros((2, 5, 3), np.uint8))
        write_png(labels / f"{stem}_L.png", np.stack([colours, colours]))
    return tmp_path


def test_original_camvid_groups_32_colours_into_11_classes(little_camvid):
    dataset = open_dataset(f"camvid:{little_camvid}")
    assert [(clip.name, len(clip)) for clip in dataset.clips] == [("0001TP", 2), ("0006R0", 1)]
    assert dataset.clips[0][0].labels.tolist() == [[0, 3, 8, 255, 10]] * 2


def test_original_camvid_follows_its_lists_and_names_what_is_missing(little_camvid):
    (little_camvid / "val.txt").write_text("0006R0_f00930.png\n")
    assert [clip.name for clip in open_dataset(f"camvid:{little_camvid}:val").clips] == ["0006R0"]
    (little_camvid / "LabeledApproved_full/0006R0_f00930_L.png").unlink()
    assert "0006R0_f00930_L.png" in refused(f"camvid:{little_camvid}:val")
    assert "test.txt" in refused(f"camvid:{little_camvid}:test")


def test_camvid_lists_with_foreign_paths_and_broken_lines(tmp_path):
    for kind in ("train", "trainannot"):
        (tmp_path / kind).mkdir()
    write_png(tmp_path / "train/x_1.png", np.zeros((2, 2, 3), np.uint8))
    write_png(tmp_path / "trainannot/x_1.png", np.array([[0, 11], [1, 2]], np.uint8))
    (tmp_path / "train.txt").write_text("/elsewhere/CamVid/train/x_1.png /elsewhere/CamVid/trainannot/x_1.png\n")
    assert open_dataset(f"camvid:{tmp_path}").clips[0][0].labels.tolist() == [[0, 255], [1, 2]]
    (tmp_path / "train.txt").write_text("train/x_1.png\n")
    assert "train.txt:1" in refused(f"camvid:{tmp_path}")


def test_real_camvid_val_is_one_consecutive_clip(real_data):
    (clip,) = open_dataset(f"camvid:{real_data}/camvid:val").clips
    assert (len(clip), clip.fps) == (101, 15.0)
    sample = clip[100]
    assert sample.labels.shape == (360, 480)
    assert sample.frame.pts_us == round(100 * 1e6 / 15)
    assert set(np.unique(sample.labels)) <= {*range(11), 255}


def test_real_camvid_train_is_three_drives_at_one_hertz(real_data):
    dataset = open_dataset(f"camvid:{real_data}/camvid")
    assert [(clip.name, clip.fps, len(clip)) for clip in dataset.clips] == [
        ("0001TP", 1.0, 62),
        ("0006R0", 1.0, 101),
        ("0016E5", 1.0, 204),
    ]


def test_a_slice_holds_out_frames_of_a_split(real_data):
    held, kept = (open_dataset(f"camvid:{real_data}/camvid:train{part}") for part in ("[:50]", "[50:]"))
    assert (held.num_frames, kept.num_frames) == (50, 317)
    assert "selects no frame" in refused(f"camvid:{real_data}/camvid:train[400:]")
    assert "train, val, test, all" in refused(f"camvid:{real_data}/camvid:trian")
