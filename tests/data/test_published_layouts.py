"""Published data sets, as small made-up trees of their layouts with their quirks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pictures import write_jpeg, write_palette_png

from edge_vss.data.cityscapes import CITYSCAPES_CLASSES, FIFTEEN_CLASSES
from edge_vss.data.datasets import open_dataset
from edge_vss.data.nyud import NYUD_CLASSES
from edge_vss.data.video import write_png
from edge_vss.data.voc import VOC_CLASSES
from edge_vss.data.youtube import YOUTUBE_CLASSES
from edge_vss.errors import BadInput

SHAPE = (16, 24)


def picture(value: int = 100) -> np.ndarray:
    return np.full((*SHAPE, 3), value, np.uint8)


def filled(*values: int, kind: type = np.uint8) -> np.ndarray:
    """(16, 24): the values side by side in columns of equal width."""
    return np.repeat(np.array(values, kind), SHAPE[1] // len(values))[None].repeat(SHAPE[0], 0)


def row(array: np.ndarray) -> list[int]:
    """What ``filled`` was given, where columns are apart."""
    values = array[0].tolist()
    return [value for i, value in enumerate(values) if i == 0 or value != values[i - 1]]


def put(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jpg":
        write_jpeg(path, np.stack([array] * 3, -1) if array.ndim == 2 else array, "yuvj420p")
    else:
        write_png(path, array)
    return path


def refused(uri: str) -> str:
    with pytest.raises(BadInput) as caught:
        for clip in open_dataset(uri).clips:
            for index in range(len(clip)):
                clip[index]
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- Cityscapes -------------------------------------------------------------------------------------------------------


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    """Two cities; label ids in one, train ids in the other, and a snippet of which two frames are missing."""
    for city, frame in (("aachen", 19), ("bochum", 313), ("bochum", 885)):
        stem = f"{city}_000000_{frame:06d}"
        put(tmp_path / f"leftImg8bit/train/{city}/{stem}_leftImg8bit.png", picture())
        labels = tmp_path / f"gtFine/train/{city}"
        put(labels / f"{stem}_gtFine_instanceIds.png", filled(7, 26, 26001, 24000, kind=np.uint16))
        if city == "aachen":
            put(labels / f"{stem}_gtFine_labelIds.png", filled(7, 26, 26, 24, 25, 0, 4, 33))
        else:
            put(labels / f"{stem}_gtFine_labelTrainIds.png", filled(0, 13, 255, 18))
        (labels / f"{stem}_gtFine_polygons.json").write_text("{}")
    for frame in (*range(0, 7), *range(9, 30)):
        stem = f"aachen_000000_{frame:06d}"
        put(tmp_path / f"leftImg8bit_sequence/train/aachen/{stem}_leftImg8bit.png", picture(frame))
    for frame in range(294, 324):
        stem = f"bochum_000000_{frame:06d}"
        put(tmp_path / f"leftImg8bit_sequence/train/bochum/{stem}_leftImg8bit.png", picture(1))
    return tmp_path


def test_cityscapes_maps_label_ids_to_nineteen_train_ids(cityscapes: Path) -> None:
    dataset = open_dataset(f"cityscapes:{cityscapes}")
    assert dataset.classes == CITYSCAPES_CLASSES and len(dataset.classes) == 19
    assert [(clip.name, len(clip), clip.fps) for clip in dataset.clips] == [("aachen", 1, None), ("bochum", 2, None)]
    aachen, bochum = dataset.clips[0][0], dataset.clips[1][0]
    assert row(aachen.labels) == [0, 13, 11, 12, 255, 18]
    assert row(bochum.labels) == [0, 13, 255, 18]
    names = [info.name for info in dataset.classes]
    assert [names[label] for label in (0, 11, 12, 13, 18)] == ["road", "person", "rider", "car", "bicycle"]
    # The bare class 26 is a group of cars that nobody told apart.
    assert row(aachen.instances) == [0, 26001, 24000]
    assert dataset.things == frozenset(range(11, 19))


def test_cityscapes_in_the_classes_of_viper(cityscapes: Path) -> None:
    dataset = open_dataset(f"cityscapes:{cityscapes}:train:15")
    assert dataset.classes == FIFTEEN_CLASSES and len(dataset.classes) == 15
    names = [info.name for info in dataset.classes]
    assert [names[label] for label in row(dataset.clips[0][0].labels) if label != 255] == [
        "road", "car", "person", "bicycle",
    ]  # fmt: skip
    assert "known: 15 or 19" in refused(f"cityscapes:{cityscapes}:train:16")


def test_cityscapes_sequences_are_snippets_labelled_at_their_twentieth_frame(cityscapes: Path) -> None:
    dataset = open_dataset(f"cityscapes:{cityscapes}:train-sequence")
    aachen, bochum = dataset.clips
    assert (aachen.name, len(aachen), aachen.fps) == ("aachen_000000_000000", 28, 17.0)
    assert (len(bochum), bochum.name) == (30, "bochum_000000_000294")
    assert [index for index in range(30) if bochum[index].labels is not None] == [19]
    labelled = [index for index in range(28) if aachen[index].labels is not None]
    assert labelled == [17]  # two frames before it are missing
    assert aachen[17].frame.pts_us == round(19 * 1e6 / 17)
    assert int(aachen[17].frame.planes[0][0, 0, 0]) == 19
    assert row(aachen[17].labels)[:3] == [0, 13, 11]


def test_cityscapes_frames_without_labels_form_runs(cityscapes: Path) -> None:
    for frame in (1000, 1001, 1002, 2000):
        put(cityscapes / f"leftImg8bit_sequence/test/bonn/bonn_000001_{frame:06d}_leftImg8bit.png", picture())
    clips = open_dataset(f"cityscapes:{cityscapes}:test-sequence").clips
    assert [len(clip) for clip in clips] == [3, 1]
    assert clips[0][2].labels is None


def test_cityscapes_says_what_is_missing(cityscapes: Path) -> None:
    labels = cityscapes / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    put(labels, filled(7, 90))
    assert "the number 90" in refused(f"cityscapes:{cityscapes}")
    labels.unlink()
    line = refused(f"cityscapes:{cityscapes}")
    assert labels.name in line and "polygons" in line
    assert "leftImg8bit_sequence/val" in refused(f"cityscapes:{cityscapes}:val-sequence")
    assert "train_extra" in refused(f"cityscapes:{cityscapes}:vla")
    assert "is selected" in refused(f"cityscapes:{cityscapes}:train[9:]")
    assert open_dataset(f"cityscapes:{cityscapes}:train[1:]").num_frames == 2


# --- Cityscapes-VPS ---------------------------------------------------------------------------------------------------


@pytest.fixture
def vps(tmp_path: Path) -> Path:
    """One video: every 5th of ten frames labelled, the second by Cityscapes itself; segment ids beyond 16 bits."""
    base = tmp_path / "val"
    for number in range(1732, 1742):
        put(base / f"img_all/frankfurt_000000_{number:06d}_leftImg8bit.png", picture(number - 1700))
    annotations = []
    for index, (number, form, label_form) in enumerate(
        ((1736, "newImg8bit", "final_mask"), (1741, "leftImg8bit", "gtFine_color"))
    ):
        stem = f"0005_{25 + index:04d}_frankfurt_000000_{number:06d}"
        put(base / f"img/{stem}_{form}.png", picture(number - 1700))
        name = f"{stem}_{label_form}.png"
        put(base / f"labelmap/{name}", filled(0, 13, 13, 13, 255, 12))
        put(base / f"panoptic_inst/{name}", filled(0, 13001, 13002, 255, 255, 12000, kind=np.uint16))
        # road, two cars, a crowd of cars, nothing, a rider
        colours = [(128, 64, 128), (1, 0, 142), (2, 0, 142), (3, 0, 142), (0, 0, 0), (255, 1, 0)]
        put(base / f"panoptic_video/{name}", np.stack([filled(*channel) for channel in zip(*colours)], -1))
        ids = [r + 256 * g + 65536 * b for r, g, b in colours]
        segments = [(ids[0], 0, 0), (ids[1], 13, 0), (ids[2], 13, 0), (ids[3], 13, 1), (ids[5], 12, 0)]
        annotations.append(
            {
                "file_name": name,
                "segments_info": [{"id": i, "category_id": c, "iscrowd": crowd} for i, c, crowd in segments],
            }
        )
    categories = [{"id": train, "isthing": int(train >= 11)} for train in range(19)]
    content = {"annotations": annotations, "categories": categories}
    (tmp_path / "panoptic_gt_val_city_vps.json").write_text(json.dumps(content))
    return tmp_path


def without(root: Path, *forms: str) -> Path:
    for form in forms:
        (root / "val" / form).rename(root / form)
    return root


@pytest.mark.parametrize("forms", [(), ("labelmap",), ("panoptic_inst",), ("labelmap", "panoptic_inst")])
def test_vps_reads_whichever_form_of_labels_is_there(vps: Path, forms: tuple[str, ...]) -> None:
    dataset = open_dataset(f"vps:{without(vps, *forms)}")
    (clip,) = dataset.clips
    first, second = clip[4], clip[9]
    crowds = forms != ("labelmap",)  # panoptic_inst leaves them out
    assert row(first.labels) == [0, 13, 255, 12]
    assert (first.labels == 13).sum() == 16 * 4 * (2 + crowds)
    numbers = row(first.instances)
    assert len(numbers) == 5 and numbers[0] == numbers[3] == 0 and len(set(numbers)) == 4
    assert row(second.instances) == numbers  # the same car keeps its number
    assert dataset.things == frozenset(range(11, 19))


def test_vps_plays_all_frames_and_labels_every_fifth(vps: Path) -> None:
    (clip,) = open_dataset(f"vps:{vps}:val").clips
    assert (len(clip), clip.fps) == (10, 17.0)
    assert [index for index in range(10) if clip[index].labels is not None] == [4, 9]
    (vps / "val/img_all/frankfurt_000000_001733_leftImg8bit.png").unlink()
    (gappy,) = open_dataset(f"vps:{vps}:val").clips
    assert [index for index in range(9) if gappy[index].labels is not None] == [3, 8]
    assert gappy[3].frame.pts_us == round(4 * 1e6 / 17)


def test_vps_without_the_frames_between_has_the_labelled_ones(vps: Path) -> None:
    (clip,) = open_dataset(f"vps:{without(vps, 'img_all')}").clips
    assert (len(clip), clip.fps) == (2, 17 / 5)
    assert clip[0].labels is not None and clip[1].frame.pts_us == round(5 * 1e6 / 17)


def test_vps_in_the_classes_of_viper(vps: Path) -> None:
    (clip,) = open_dataset(f"vps:{vps}:val:15").clips
    assert row(clip[4].labels) == [0, 10, 255, 9]  # the rider is a person there


def test_vps_says_what_is_missing(vps: Path) -> None:
    listing = vps / "panoptic_gt_val_city_vps.json"
    content = json.loads(listing.read_text())
    content["annotations"][0]["segments_info"].pop()
    listing.write_text(json.dumps(content))
    only_video = without(vps, "labelmap", "panoptic_inst")
    assert "segment 511 is not in" in refused(f"vps:{only_video}")
    listing.write_text("[]")
    assert "not a panoptic JSON" in refused(f"vps:{only_video}")
    listing.unlink()
    assert listing.name in refused(f"vps:{only_video}")
    assert "has none of labelmap" in refused(f"vps:{without(vps, 'panoptic_video')}")
    assert "vps: no folder" in refused(f"vps:{vps}:train")
    put(vps / "val/img/odd.png", picture())
    (vps / "val/labelmap").mkdir()
    assert "odd.png" in refused(f"vps:{vps}")


# --- VIPER ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def viper(tmp_path: Path) -> Path:
    """A sequence of every tenth frame with ids, and one of all frames with colours on the second."""
    for number in (10, 20, 40):
        put(tmp_path / f"train/img/001/001_{number:05d}.jpg", picture())
        labels = tmp_path / f"train/cls/001/001_{number:05d}.png"
        labels.parent.mkdir(parents=True, exist_ok=True)
        write_palette_png(labels, filled(3, 4, 24, 25, 20, 0, 7, 8))
        numbered = np.stack([filled(3, 24, 24, 20), filled(0, 0, 1, 0), filled(0, 5, 0, 9)], -1)
        put(tmp_path / f"train/inst/001/001_{number:05d}.png", numbered)
    for number in (1, 2, 3):
        put(tmp_path / f"train/img/002/002_{number:05d}.png", picture())
    colours = np.array([(128, 64, 128), (0, 0, 142), (0, 80, 60), (35, 142, 35)], np.uint8)
    put(tmp_path / "train/cls/002/002_00002.png", np.stack([filled(*colours[:, i].tolist()) for i in range(3)], -1))
    return tmp_path


def test_viper_maps_its_ids_to_the_fifteen_classes(viper: Path) -> None:
    dataset = open_dataset(f"viper:{viper}")
    assert dataset.classes == FIFTEEN_CLASSES
    first, second = dataset.clips
    assert (first.name, len(first), first.fps) == ("001", 3, 1.0)  # frames 10, 20, 40: 10 to 20 apart at 15 Hz
    assert row(first[0].labels) == [0, 1, 10, 255, 9, 255, 6]
    assert row(first[0].instances) == [0, 5, 256, 9]
    assert first[2].frame.pts_us == 2_000_000
    assert (len(second), second.fps) == (3, 15.0)


def test_viper_reads_colours_as_well_and_labels_may_be_sparse(viper: Path) -> None:
    second = open_dataset(f"viper:{viper}:train[1:]").clips[0]
    assert [second[index].labels is not None for index in range(3)] == [False, True, False]
    assert row(second[1].labels) == [0, 10, 255, 6]


def test_viper_pictures_can_be_trained_on(viper: Path) -> None:
    pytest.importorskip("torch", reason="training needs the train extra")
    from edge_vss.training.frames import load_frames

    store = load_frames([f"viper:{viper}"], 0)
    assert len(store.train) == 4 and store.train[0].rgb.shape == (*SHAPE, 3)


def test_viper_says_what_is_wrong(viper: Path) -> None:
    put(viper / "train/cls/002/002_00002.png", picture(77))
    assert "colour [77, 77, 77]" in refused(f"viper:{viper}")
    put(viper / "train/cls/002/002_00002.png", filled(3, 40))
    assert "the number 40" in refused(f"viper:{viper}")
    assert "img" in refused(f"viper:{viper}:val")
    (viper / "val/img/003").mkdir(parents=True)
    assert "cls" in refused(f"viper:{viper}:val")
    (viper / "val/cls").mkdir()
    assert "no pictures" in refused(f"viper:{viper}:val")
    put(viper / "val/img/003/003_00001.jpg", picture())
    assert "has a label" in refused(f"viper:{viper}:val")


# --- PASCAL VOC -------------------------------------------------------------------------------------------------------


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    root = tmp_path / "VOCdevkit/VOC2012"
    for kind in ("SegmentationClass", "SegmentationObject", "SegmentationClassAug"):
        (root / kind).mkdir(parents=True)
    for name in ("2007_000032", "2007_000039"):
        put(root / f"JPEGImages/{name}.jpg", picture())
        write_palette_png(root / f"SegmentationClass/{name}.png", filled(0, 255, 1, 255, 15, 0))
        write_palette_png(root / f"SegmentationObject/{name}.png", filled(0, 255, 1, 255, 2, 0))
        put(root / f"SegmentationClassAug/{name}.png", filled(0, 20))
    put(root / "JPEGImages/2008_000001.jpg", picture())
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_000032\n2007_000039\n\n")
    (lists / "trainaug.txt").write_text("/JPEGImages/2007_000039.jpg /SegmentationClassAug/2007_000039.png\n")
    (lists / "test.txt").write_text("2008_000001\n")
    (lists / "val.txt").write_text("2007_000032\n2007_999999\n")
    return tmp_path


@pytest.mark.parametrize("inside", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_reads_palettes_and_ignores_borders(voc: Path, inside: str) -> None:
    dataset = open_dataset(f"voc:{voc / inside}")
    (clip,) = dataset.clips
    assert dataset.classes == VOC_CLASSES and len(dataset.classes) == 21
    assert (len(clip), clip.fps) == (2, None)
    assert row(clip[0].labels) == [0, 255, 1, 255, 15, 0]
    assert row(clip[0].instances) == [0, 1, 0, 2, 0]
    assert dataset.classes[1].colour == (128, 0, 0) and dataset.classes[15].colour == (192, 128, 128)


def test_voc_splits(voc: Path) -> None:
    assert row(open_dataset(f"voc:{voc}:trainaug").clips[0][0].labels) == [0, 20]
    assert open_dataset(f"voc:{voc}:test").clips[0][0].labels is None
    assert open_dataset(f"voc:{voc}:train[1:]").num_frames == 1
    assert "2007_999999.jpg" in refused(f"voc:{voc}:val")
    assert "trainval.txt" in refused(f"voc:{voc}:trainval")
    assert "JPEGImages" in refused(f"voc:{voc / 'VOCdevkit/VOC2012/ImageSets'}")


# --- YouTube-Objects --------------------------------------------------------------------------------------------------


@pytest.fixture
def youtube(tmp_path: Path) -> Path:
    """A shot with masks on two of four frames, one of another size; a shot that was not downloaded."""
    shot = "car/data/0003/shots/011"
    for number in (1, 2, 3, 11):
        put(tmp_path / f"v1/{shot}/frame{number:04d}.jpg", picture())
    put(tmp_path / f"youtube_masks/{shot}/labels/00001.jpg", filled(0, 255))
    put(tmp_path / f"youtube_masks/{shot}/labels/00011.jpg", filled(0, 255).repeat(2, 0).repeat(2, 1))
    put(tmp_path / f"youtube_masks/{shot}/labels/00021.jpg", filled(0, 255))
    put(tmp_path / "youtube_masks/dog/data/0001/shots/002/labels/00001.jpg", filled(0, 255))
    return tmp_path


def test_youtube_masks_become_classes_by_their_brightness(youtube: Path) -> None:
    dataset = open_dataset(f"youtube:{youtube}")
    assert [info.name for info in dataset.classes][:5] == ["background", "aeroplane", "bird", "boat", "car"]
    assert dataset.classes == YOUTUBE_CLASSES and len(dataset.classes) == 11
    (clip,) = dataset.clips
    assert (clip.name, len(clip)) == ("car-0003-011", 4)
    assert [clip[index].labels is not None for index in range(4)] == [True, False, False, True]
    for index in (0, 3):  # JPEG blurs the border, half a picture does not move
        assert (clip[index].labels[:, :10] == 0).all() and (clip[index].labels[:, 14:] == 4).all()
    assert clip[3].frame.pts_us == round(10 * 1e6 / 30)


def test_youtube_masks_may_be_jpegs_of_one_channel(youtube: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV comes with the train extra")
    mask = youtube / "youtube_masks/car/data/0003/shots/011/labels/00001.jpg"
    cv2.imwrite(str(mask), filled(0, 10, 255))
    labels = open_dataset(f"youtube:{youtube}").clips[0][0].labels
    assert (labels[:, :14] == 0).all() and (labels[:, 18:] == 4).all()


def test_youtube_says_what_is_missing(youtube: Path) -> None:
    assert open_dataset(f"youtube:{youtube}:car").num_frames == 4
    assert "no shot of dog" in refused(f"youtube:{youtube}:dog")
    assert "aeroplane" in refused(f"youtube:{youtube}:zebra")
    (youtube / "v1").rename(youtube / "v2")
    assert "v1/CLASS" in refused(f"youtube:{youtube}")


# --- NYUDv2 -----------------------------------------------------------------------------------------------------------


def nyud_tree(root: Path, images: str, labels: str, listing: str | None, lines: str) -> Path:
    for name in ("0001", "0002"):
        put(root / images / f"{name}.png", picture())
        put(root / labels / f"{name}.png", filled(0, 1, 40))
    if listing:
        (root / listing).parent.mkdir(exist_ok=True)
        (root / listing).write_text(lines)
    return root


@pytest.mark.parametrize(
    ("images", "labels", "listing", "lines"),
    [
        ("images", "segmentation", "gt_sets/train.txt", "0001\n0002\n"),
        ("RGB", "Label", "train.txt", "RGB/0001.png\tLabel/0001.png\nRGB/0002.png\tLabel/0002.png\n"),
        ("train/rgb", "train/labels_40", None, ""),
    ],
)
def test_nyud_reads_the_usual_exports(
    tmp_path: Path, images: str, labels: str, listing: str | None, lines: str
) -> None:
    dataset = open_dataset(f"nyud:{nyud_tree(tmp_path, images, labels, listing, lines)}")
    (clip,) = dataset.clips
    assert dataset.classes == NYUD_CLASSES and len(dataset.classes) == 40
    assert (len(clip), clip.fps) == (2, None)
    assert row(clip[0].labels) == [255, 0, 39]
    assert (dataset.classes[0].name, dataset.classes[39].name) == ("wall", "otherprop")


def test_nyud_says_what_is_wrong(tmp_path: Path) -> None:
    root = nyud_tree(tmp_path, "images", "segmentation", "train.txt", "0001\n0002\n")
    put(root / "segmentation/0002.png", filled(0, 255))
    assert "counts classes from 0" in refused(f"nyud:{root}")
    put(root / "segmentation/0002.png", filled(0, 41))
    assert "the number 41" in refused(f"nyud:{root}")
    (root / "segmentation/0002.png").rename(root / "segmentation/0002.mat")
    assert ".mat files are not read" in refused(f"nyud:{root}")
    assert "gt_sets/val.txt" in refused(f"nyud:{root}:val")
    (root / "train.txt").write_text("0009\n")
    assert "0009" in refused(f"nyud:{root}")
    (root / "images").rename(root / "pictures")
    assert "segmentation/" in refused(f"nyud:{root}")


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cityscapes", "vps", "viper", "voc", "youtube", "nyud"])
def test_a_wrong_tree_is_refused_by_its_kind(kind: str, tmp_path: Path) -> None:
    assert kind in refused(f"{kind}:{tmp_path}")
    assert f"{kind}: no folder" in refused(f"{kind}:{tmp_path / 'none'}")
    assert "expected" in refused(f"{kind}:")
