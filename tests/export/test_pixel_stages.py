"""Pre- and post-processing as ONNX against the native kernels, on ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_vss.bundle import ClassInfo, InputSpec, OutputSpec, Storage, load_bundle
from edge_vss.bundle.pixel_graph import finite_name, labels_name, plane_names
from edge_vss.calibration.lint import Finding, lint_engine
from edge_vss.data.datasets import open_dataset
from edge_vss.deploy import deploy
from edge_vss.export.pixel_stages import FORMATS, post_stage, pre_stage
from edge_vss.frame import Frame, PixelFormat, plane_shapes
from edge_vss.graph import Graph, Read, Stage, Tensor
from edge_vss.pixels import label_map, network_label_map, preprocess
from edge_vss.reference_engines import bundle_functions, engine_function
from edge_vss.runtime import Pipeline
from edge_vss.runtime._native import pixels

FITS = ("stretch", "letterbox", "crop")
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
sides = st.integers(1, 48)
scored = st.sampled_from(["half_pixel", "align_corners"])


def a_frame(format: PixelFormat, size: tuple[int, int], seed: int = 0) -> Frame:
    rng = np.random.default_rng(seed)
    planes = tuple(rng.integers(0, 256, shape, np.uint8) for shape in plane_shapes(format, *size))
    return Frame(format=format, planes=planes, height=size[0], width=size[1], pts_us=0, sequence=0)


def native_input(frame: Frame, spec: InputSpec) -> NDArray[np.float32]:
    network = (spec.height, spec.width)
    made = pixels.Preprocessor(
        frame.format,
        (frame.height, frame.width),
        network,
        fit=spec.fit,
        pad=spec.pad,
        order=spec.order,
        mean=spec.mean,
        std=spec.std,
    )
    out = np.empty((1, 3, *network), np.float32)
    made.run(list(frame.planes), out, matrix=spec.matrix, range=spec.range)
    return out


def staged_input(frame: Frame, spec: InputSpec, dtype: Any = "float32") -> NDArray[Any]:
    engine = pre_stage(spec, frame.format, frame.height, frame.width, Storage(dtype=dtype))
    found: NDArray[Any] = engine_function(engine, threads=1)(*frame.planes)[0]
    return found


def levels_apart(one: NDArray[Any], other: NDArray[Any], spec: InputSpec) -> float:
    """The largest difference in grey levels of 0..255."""
    apart = np.abs(one.astype(np.float64) - other) * np.reshape(spec.std, (1, 3, 1, 1))
    return float(apart.max())


@pytest.mark.parametrize("range_", ["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("format", FORMATS)
def test_inputs_are_those_of_the_native_kernel(format: PixelFormat, fit: Any, matrix: Any, range_: Any) -> None:
    for size, network in (((72, 128), (48, 96)), ((91, 163), (64, 57)), ((30, 41), (77, 96)), ((48, 96), (48, 96))):
        spec = InputSpec(
            height=network[0], width=network[1], fit=fit, pad=37.0, matrix=matrix, range=range_, mean=MEAN, std=STD
        )
        frame = a_frame(format, size)
        found, native = staged_input(frame, spec), native_input(frame, spec)
        assert found.dtype == np.float32 and levels_apart(found, native, spec) < 0.15
        assert levels_apart(found, preprocess(frame, spec), spec) < 0.05 or format == "nv12"


@settings(deadline=None, max_examples=120)
@given(
    st.sampled_from(FORMATS),
    st.sampled_from(FITS),
    st.tuples(sides, sides),
    st.tuples(sides, sides),
    st.sampled_from(["rgb", "bgr"]),
    st.integers(0, 2**16),
)
def test_odd_sizes_keep_their_borders(
    format: PixelFormat, fit: Any, size: tuple[int, int], network: tuple[int, int], order: Any, seed: int
) -> None:
    spec = InputSpec(height=network[0], width=network[1], fit=fit, order=order, pad=200.0, std=(1.0, 1.0, 1.0))
    frame = a_frame(format, size, seed)
    assert levels_apart(staged_input(frame, spec), native_input(frame, spec), spec) < 0.15


@pytest.mark.parametrize("format", ["rgb", "nv12"])
def test_half_inputs_stay_within_a_level(format: PixelFormat) -> None:
    spec = InputSpec(height=48, width=80, fit="letterbox", pad=114.0, mean=MEAN, std=STD)
    frame = a_frame(format, (71, 99))
    found = staged_input(frame, spec, "float16")
    assert found.dtype == np.float16 and levels_apart(found, native_input(frame, spec), spec) < 0.3


def test_formats_without_a_stage_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no pre-processing stage for yuyv frames; there are rgb, bgr, nv12"):
        pre_stage(InputSpec(height=8, width=8), "yuyv", 8, 8)


def an_output(count: int, **fields: Any) -> OutputSpec:
    classes = tuple(ClassInfo(name=str(i), colour=(i, i, i)) for i in range(count))
    return OutputSpec(name="classes", tensor="scores", classes=classes, **fields)


def blocky(channels: int, grid: tuple[int, int], seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, channels, (grid[0] // 3 + 1, grid[1] // 3 + 1)).repeat(3, 0).repeat(3, 1)
    hot = (small[None, : grid[0], : grid[1]] == np.arange(channels)[:, None, None]) * 4.0
    return (hot + rng.normal(0, 0.5, hot.shape)).astype(np.float32)[None]


def staged_labels(
    values: NDArray[Any], output: OutputSpec, spec: InputSpec, source: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    tensor = Tensor(name=output.tensor, shape=values.shape, dtype=values.dtype.name)
    found = engine_function(post_stage(output, tensor, spec, source), threads=1)(values)[0]
    assert found.dtype == np.uint8
    labels: NDArray[np.uint8] = found[0]
    return labels


def native_labels(
    scores: NDArray[np.float32], output: OutputSpec, spec: InputSpec, source: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    size = source or (spec.height, spec.width)
    geometry = pixels.fit_geometry(size, (spec.height, spec.width), spec.fit)
    y, x = pixels.grid_maps(geometry, scores.shape[2:], "source" if source else "network", output.corners)
    labels = np.zeros(size, np.uint8)
    made = pixels.ScoreUpsampler(
        kind=output.kind, channels=scores.shape[1], grid=scores.shape[2:], out=size, y=y, x=x, ignored=output.ignored
    )
    assert made.run(scores, labels)
    return labels


@pytest.mark.parametrize("source", [None, (150, 210), (99, 301)])
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("corners", ["half_pixel", "align_corners"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_labels_are_those_of_the_native_kernel(corners: Any, fit: Any, source: Any, dtype: Any) -> None:
    spec = InputSpec(height=160, width=224, fit=fit)
    scores = blocky(11, (20, 28), seed=3).astype(dtype)
    for output in (an_output(11, corners=corners), an_output(11, corners=corners, ignored=(0, 4, 10))):
        found = staged_labels(scores, output, spec, source)
        native = native_labels(scores.astype(np.float32), output, spec, source)
        assert found.shape == native.shape and (found == native).mean() >= 0.999
        assert not np.isin(found, output.ignored).any()


@settings(deadline=None, max_examples=80)
@given(st.tuples(sides, sides), st.tuples(sides, sides), st.sampled_from(FITS), scored, st.booleans(), st.booleans())
def test_labels_of_odd_sizes_differ_in_near_ties_only(
    size: tuple[int, int], network: tuple[int, int], fit: Any, corners: Any, of_source: bool, binary: bool
) -> None:
    spec = InputSpec(height=network[0], width=network[1], fit=fit)
    grid = (-(-network[0] // 4), -(-network[1] // 3))
    scores = blocky(5, grid, seed=size[0] * 50 + size[1])
    output = an_output(2, kind="binary", corners=corners) if binary else an_output(5, corners=corners)
    scores = scores[:, :1] - 1.0 if binary else scores
    source = size if of_source else None
    found, native = staged_labels(scores, output, spec, source), native_labels(scores, output, spec, source)
    assert (found != native).sum() <= max(1, found.size // 1000)


@pytest.mark.parametrize("source", [None, (63, 150)])
def test_nearest_scores_and_labels_are_those_of_the_plain_form(source: Any) -> None:
    spec = InputSpec(height=77, width=50, fit="letterbox")
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(1, 6, 19, 13)).astype(np.float32)
    cases: list[tuple[OutputSpec, NDArray[Any]]] = [(an_output(6, upsampling="nearest", ignored=(2,)), scores)]
    for dtype in ("uint8", "int32", "int64"):
        cases.append((an_output(200, kind="labels"), rng.integers(0, 200, (1, 19, 13)).astype(dtype)))
    for output, values in cases:
        plain = label_map(values, output, spec, *source) if source else network_label_map(values, output, spec)
        np.testing.assert_array_equal(staged_labels(values, output, spec, source), plain)


def test_ties_go_to_the_lowest_class_that_is_not_ignored() -> None:
    spec, scores = InputSpec(height=16, width=16), np.zeros((1, 6, 4, 4), np.float32)
    assert (staged_labels(scores, an_output(6), spec) == 0).all()
    assert (staged_labels(scores, an_output(6, ignored=(0, 1)), spec) == 2).all()


def test_the_second_output_is_finite_as_long_as_the_scores_are() -> None:
    spec, output = InputSpec(height=16, width=16), an_output(6)
    scores = np.ones((1, 6, 4, 4), np.float32)
    engine = engine_function(post_stage(output, Tensor(name="scores", shape=scores.shape), spec), threads=1)
    assert engine(scores)[1].shape == (1,) and np.isfinite(engine(scores)[1])
    for bad in (np.nan, np.inf, -np.inf):
        scores[0, 3, 2, 1] = bad
        assert not np.isfinite(engine(scores)[1])


def test_integer_inputs_are_rounded_as_the_native_kernel_rounds_them() -> None:
    spec = InputSpec(height=48, width=96, mean=MEAN, std=STD)
    frame, stored = a_frame("rgb", (72, 128)), Storage(dtype="uint8", scale=0.02, zero_point=117)
    found = engine_function(pre_stage(spec, "rgb", 72, 128, stored), threads=1)(*frame.planes)[0]
    wanted = np.clip(np.rint(native_input(frame, spec) / 0.02) + 117, 0, 255)
    assert found.dtype == np.uint8 and np.abs(found - wanted).max() <= 1


def operators(engine: bytes) -> set[str]:
    return {node.op_type for node in onnx.load_from_string(engine).graph.node}


def findings(engine: bytes, tensors: list[Tensor], count: int) -> list[Finding]:
    stage = Stage(name="pixels", inputs=tuple(Read(one.name) for one in tensors[:-1]), outputs=(tensors[-1].name,))
    source = Stage(name="source", inputs=(), outputs=tuple(one.name for one in tensors[1:-1]))
    stages = (source, stage) if count > 1 else (stage,)
    graph = Graph(image=tensors[0].name, tensors=tuple(tensors), stages=stages, outputs=(tensors[-1].name,))
    return lint_engine(onnx.load_from_string(engine), stage, graph)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("format", FORMATS)
def test_stages_break_no_rule_of_tensorrt(format: PixelFormat, fit: Any) -> None:
    spec = InputSpec(height=64, width=96, fit=fit, matrix="bt709", mean=MEAN, std=STD)
    shapes = plane_shapes(format, 90, 161)
    planes = [Tensor(name=name, shape=shape, dtype="uint8") for name, shape in zip(plane_names(format), shapes)]
    image = Tensor(name="image", shape=(1, 3, 64, 96))
    assert findings(pre_stage(spec, format, 90, 161), [*planes, image], len(planes)) == []
    scores, output = Tensor(name="scores", shape=(1, 5, 8, 12), dtype="float16"), an_output(5, ignored=(1,))
    labels = Tensor(name=labels_name(output), shape=(1, 90, 161), dtype="uint8")
    finite = Tensor(name=finite_name(output), shape=(1,))
    stage = Stage(name="post", inputs=(Read("scores"),), outputs=(labels.name, finite.name))
    graph = Graph(image="scores", tensors=(scores, labels, finite), stages=(stage,), outputs=(labels.name,))
    assert lint_engine(onnx.load_from_string(post_stage(output, scores, spec, (90, 161))), stage, graph) == []


def test_common_sizes_are_one_resize_and_gather_nothing() -> None:
    spec = InputSpec(height=96, width=128)
    assert all("Resize" in operators(pre_stage(spec, name, 180, 320)) for name in FORMATS)
    assert "Gather" not in operators(pre_stage(spec, "nv12", 180, 320)) | operators(pre_stage(spec, "rgb", 91, 161))
    scores = Tensor(name="scores", shape=(1, 5, 12, 16))
    for corners in ("half_pixel", "align_corners"):
        assert operators(post_stage(an_output(5, corners=corners), scores, spec)) == {
            "Resize",
            "ArgMax",
            "Cast",
            "Abs",
            "ReduceMean",
        }


@pytest.fixture(scope="module")
def camvid_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("camvid") / "camvid.bundle"
    deploy("zoo:perframe-camvid", out, calibration="street:[size=96x128,frames=8,seed=3]")
    return out


def as_nv12(frame: Frame) -> Frame:
    """An RGB frame of even size as a camera would give it."""
    red, green, blue = np.moveaxis(frame.planes[0].astype(np.float64), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = np.stack([(blue - luma) / 1.772, (red - luma) / 1.402], axis=-1) * 224 / 255 + 128
    halved = chroma.reshape(frame.height // 2, 2, frame.width // 2, 2, 2).mean(axis=(1, 3))
    planes = tuple(np.rint(plane).astype(np.uint8) for plane in (luma * 219 / 255 + 16, halved))
    return Frame(format="nv12", planes=planes, height=frame.height, width=frame.width, pts_us=frame.pts_us, sequence=0)


@pytest.mark.parametrize("format", ["rgb", "nv12"])
def test_camvid_frames_come_out_as_on_the_native_runtime(real_data: Path, camvid_bundle: Path, format: str) -> None:
    dataset = open_dataset(f"camvid:{real_data / 'camvid'}:val[:6]")
    bundle = load_bundle(camvid_bundle)
    spec, output, graph = bundle.manifest.input, bundle.manifest.outputs[0], bundle.manifest.graph
    network = bundle_functions(bundle, bundle.manifest.variants[0], threads=1)[graph.stages[0].name]
    frames = [clip[place].frame for clip in dataset.clips for place in range(len(clip))]
    frames = [as_nv12(frame) if format == "nv12" else frame for frame in frames]
    size = (frames[0].height, frames[0].width)
    pre = engine_function(pre_stage(spec, frames[0].format, *size), threads=1)
    post = engine_function(post_stage(output, graph.tensor(output.tensor), spec, size), threads=1)
    equal = []
    for frame in frames:
        image = pre(*frame.planes)[0]
        assert levels_apart(image, native_input(frame, spec), spec) < 0.15
        with Pipeline(camvid_bundle, threads=1) as native:
            wanted = native.process(frame).labels[output.name]
        equal.append(np.mean(post(network(image)[0])[0][0] == wanted))
    assert len(equal) == 6 and min(equal) >= 0.999
