"""What a pipeline does around its scheduler: fits, outputs, quantised tensors, host operations, refusals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from graphs import chain_graph, chain_graph_schedules, mix, plain_functions, two_headed_graph
from numpy.typing import NDArray

from edge_vss.bundle import Storage, load_bundle, write_bundle
from edge_vss.errors import BadInput, DeviceError
from edge_vss.executor import ReferenceExecutor
from edge_vss.frame import Frame
from edge_vss.graph import Graph, Read, Stage, Tensor
from edge_vss.pixels import fit_geometry, label_map, preprocess
from edge_vss.runtime import Pipeline, backends, include_dir, library_path
from edge_vss.schedule import Adaptive, Schedule, Signal

from .plain_bundles import image_of, random_frames, write_plain_bundle


def noise_frame(height: int, width: int, index: int, seed: int = 0) -> Frame:
    picture = np.random.default_rng(seed + index).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return Frame(format="rgb", planes=(picture,), height=height, width=width, pts_us=index + 1, sequence=index)


def scores_graph(height: int = 16, width: int = 24) -> Graph:
    """One operation that makes scores, and a label signal beside them."""
    return Graph(
        image="image",
        tensors=(
            Tensor(name="image", shape=(1, 3, height, width)),
            Tensor(name="logits", shape=(1, 3, height, width), lives="state"),
            Tensor(name="signal", shape=(1, height, width), dtype="uint8", lives="state"),
            Tensor(name="deep", shape=(1, 1, 2, 2), lives="state"),
        ),
        stages=(
            Stage(name="score", inputs=(Read("image"),), outputs=("logits", "signal")),
            Stage(name="deep", inputs=(Read("logits"),), outputs=("deep",)),
        ),
        outputs=("logits", "deep"),
    )


def score(image: NDArray[Any]) -> list[NDArray[Any]]:
    """Colour channels as class scores; the brightest wins."""
    return [image, image[0].argmax(0)[None].astype(np.uint8)]


@pytest.mark.parametrize("size", [(16, 24), (40, 40), (13, 50), (9, 7)])
@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
def test_label_maps_undo_the_fit(tmp_path: Path, fit: str, size: tuple[int, int]) -> None:
    graph = scores_graph()
    bundle = write_plain_bundle(
        tmp_path / "b", graph, [Schedule(name="full")], fit=fit, operations={"score": "score", "deep": "nothing"}
    )
    operations = {"score": score, "nothing": lambda logits: [np.ones((1, 1, 2, 2), np.float32)]}
    output, spec = bundle.manifest.outputs[0], bundle.manifest.input
    with Pipeline(bundle.path, operations=operations) as pipeline:
        for index in range(3):
            frame = noise_frame(*size, index)
            got = pipeline.process(frame).labels["logits"]
            want = label_map(preprocess(frame, spec), output, spec, *size)
            assert got.shape == size
            assert (got == want).mean() > 0.97, "differences are near ties of 8-bit colours"


def test_padding_does_not_count_in_the_clock_signal(tmp_path: Path) -> None:
    graph = scores_graph()
    clock = Adaptive(signal=Signal(tensor="signal"), threshold=0.5, max_age=50)
    schedule = Schedule(name="adaptive", clocks={"deep": clock})
    bundle = write_plain_bundle(
        tmp_path / "b", graph, [schedule], fit="letterbox", operations={"score": "score", "deep": "nothing"}
    )
    nothing = lambda logits: [np.ones((1, 1, 2, 2), np.float32)]  # noqa: E731
    frames = [noise_frame(64, 20, index) for index in range(6)]
    valid = fit_geometry(64, 20, bundle.manifest.input).valid
    assert valid[3] - valid[1] < 0.5
    reference = ReferenceExecutor(graph, schedule, {"score": score, "deep": nothing}, valid=valid)
    with Pipeline(bundle.path, operations={"score": score, "nothing": nothing}) as pipeline:
        for frame in frames:
            got = pipeline.process(frame)
            image = pipeline.read_tensor("image", (1, 3, 16, 24))
            want = reference.step(image, sequence=frame.sequence, pts_us=frame.pts_us)
            assert got.changes == pytest.approx(want.changes) and got.fired == want.fired
            assert all(change > 0.3 for change in got.changes.values()), "noise changes most labels inside the picture"


@pytest.mark.parametrize("backend", ["plain", "plain-device"])
def test_a_quantised_boundary_tensor_is_handed_over_as_it_is(tmp_path: Path, backend: str) -> None:
    graph = chain_graph()
    stored = {"middle": Storage(dtype="uint8", scale=0.5, zero_point=3), "deep": Storage(dtype="int8", scale=0.25)}
    write_plain_bundle(tmp_path / "b", graph, [Schedule(name="full")], backend=backend, tensors=stored)
    quantised = {
        t.name: msgspec.structs.replace(t, dtype=stored[t.name].dtype) if t.name in stored else t for t in graph.tensors
    }
    with Pipeline(tmp_path / "b") as pipeline:
        for frame in random_frames(32, 48, 3):
            pipeline.process(frame)
            fine = mix([image_of(frame)], quantised["fine"], 0)
            middle = mix([fine], quantised["middle"], 31)
            total = mix([middle], msgspec.structs.replace(quantised["deep"], dtype="int64"), 62)
            np.testing.assert_array_equal(pipeline.read_tensor("middle", middle.shape, "uint8"), middle)
            np.testing.assert_array_equal(pipeline.read_tensor("deep", total.shape, "int8"), total % 127)


def test_two_outputs_give_two_label_maps(tmp_path: Path) -> None:
    graph, schedule = two_headed_graph()
    bundle = write_plain_bundle(tmp_path / "b", graph, [schedule])
    reference = ReferenceExecutor(graph, schedule, plain_functions(graph))
    with Pipeline(tmp_path / "b") as pipeline:
        assert [output.name for output in pipeline.info.outputs] == ["labels", "drivable"]
        for frame in random_frames(16, 24, 5):
            got = pipeline.process(frame)
            want = reference.step(image_of(frame), sequence=frame.sequence, pts_us=frame.pts_us)
            np.testing.assert_array_equal(got.labels["labels"], want.outputs["labels"][0])
            for output in bundle.manifest.outputs:
                plain = label_map(want.outputs[output.tensor], output, bundle.manifest.input, 16, 24)
                np.testing.assert_array_equal(got.labels[output.name], plain)


def test_scores_that_are_not_finite_are_computed_again_once(tmp_path: Path) -> None:
    graph = scores_graph()
    bundle = write_plain_bundle(
        tmp_path / "b", graph, [Schedule(name="full")], operations={"score": "moody", "deep": "nothing"}
    )
    poison = [True]

    def moody(image: NDArray[Any]) -> list[NDArray[Any]]:
        logits, labels = score(image)
        bad = poison.pop() if poison else False
        return [np.full_like(logits, np.nan) if bad else logits, labels]

    operations = {"moody": moody, "nothing": lambda logits: [np.ones((1, 1, 2, 2), np.float32)]}
    with Pipeline(bundle.path, operations=operations) as pipeline:
        assert pipeline.process(noise_frame(16, 24, 0)).flags == ("reset", "recomputed")
        assert pipeline.process(noise_frame(16, 24, 1)).flags == ()
        poison[:] = [True, True]
        with pytest.raises(DeviceError, match="NaN"):
            pipeline.process(noise_frame(16, 24, 2))
        assert pipeline.process(noise_frame(16, 24, 3)).flags == ("reset",)


def test_a_host_operation_that_raises_names_its_stage(tmp_path: Path) -> None:
    graph = scores_graph()
    write_plain_bundle(tmp_path / "b", graph, [Schedule(name="full")], operations={"score": "broken"})

    def broken(image: NDArray[Any]) -> list[NDArray[Any]]:
        raise RuntimeError("no luck today")

    wanted = pytest.raises(DeviceError, match=r"stage 'score': RuntimeError: no luck today")
    with Pipeline(tmp_path / "b", operations={"broken": broken}) as pipeline, wanted:
        pipeline.process(noise_frame(16, 24, 0))


def test_an_operation_that_nobody_registered_is_named(tmp_path: Path) -> None:
    write_plain_bundle(tmp_path / "b", scores_graph(), [Schedule(name="full")], operations={"score": "missing-op"})
    with pytest.raises(DeviceError, match="missing-op"):
        Pipeline(tmp_path / "b")


def test_frames_that_go_back_in_time_are_refused_and_advance_no_clock(tmp_path: Path) -> None:
    graph = chain_graph()
    write_plain_bundle(tmp_path / "b", graph, [Schedule(name="full")])
    frames = random_frames(32, 48, 3)
    with Pipeline(tmp_path / "b") as pipeline:
        pipeline.process(frames[1])
        with pytest.raises(ValueError, match="pts_us must increase: got"):
            pipeline.process(frames[0])
        assert pipeline.process(frames[2]).age_frames == {"logits": 0}
        pipeline.reset()
        assert pipeline.process(frames[0]).flags == ("reset",)


def test_frames_may_change_their_size_and_format_in_mid_stream(tmp_path: Path) -> None:
    graph = chain_graph()
    write_plain_bundle(tmp_path / "b", graph, [Schedule(name="full")])
    with Pipeline(tmp_path / "b") as pipeline:
        for index, (height, width) in enumerate([(32, 48), (90, 30), (32, 48), (7, 5)]):
            assert pipeline.process(noise_frame(height, width, index)).labels["logits"].shape == (height, width)
        grey = np.zeros((20, 20), np.uint8)
        frame = Frame(format="grey", planes=(grey,), height=20, width=20, pts_us=99, sequence=99)
        assert pipeline.process(frame).labels["logits"].shape == (20, 20)


def test_asking_for_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    write_plain_bundle(tmp_path / "b", chain_graph(), [Schedule(name="full")])
    with pytest.raises(ValueError, match="unknown schedule 'fast'; the bundle has: full"):
        Pipeline(tmp_path / "b", schedule="fast")
    with pytest.raises(DeviceError, match="'plain' is plain fp32"):
        Pipeline(tmp_path / "b", backend="tensorrt")
    with pytest.raises(DeviceError, match="no variant of the bundle can run as asked"):
        Pipeline(tmp_path / "b", precision="int8")
    with pytest.raises(ValueError, match="threads"):
        Pipeline(tmp_path / "b", threads=1000)
    assert backends()["plain"].startswith("available")


def test_an_engine_file_that_is_no_engine_is_bad_input(tmp_path: Path) -> None:
    bundle = write_plain_bundle(tmp_path / "b", chain_graph(), [Schedule(name="full")])
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    for content in (b"", b"[]", b'{"operation": "dance"}', b'{"operation": "mix", "salt": [1, 2]}'):
        write_bundle(bundle.path, bundle.manifest, {**files, "engines/s1.plain.json": content})
        with pytest.raises(BadInput, match="stage 's1'"):
            Pipeline(bundle.path)
    variants = tuple(
        msgspec.structs.replace(v, backend="onnxruntime") for v in load_bundle(bundle.path).manifest.variants
    )
    write_bundle(bundle.path, msgspec.structs.replace(bundle.manifest, variants=variants), files)
    with pytest.raises(BadInput, match="stage 's1': ONNX Runtime"):
        Pipeline(bundle.path)


def test_the_c_example_labels_the_same_as_python(tmp_path: Path) -> None:
    graph = chain_graph()
    write_plain_bundle(tmp_path / "b", graph, [Schedule(name="full")])
    header = include_dir() if include_dir().is_dir() else Path(__file__).parents[2] / "runtime" / "include"
    source = Path(__file__).parents[2] / "examples" / "label_frames.c"
    if not library_path().exists():
        pytest.fail(f"{library_path()} is missing; reinstall the package")
    subprocess.run(
        [
            "cc",
            "-std=c99",
            "-Wall",
            "-Werror",
            source,
            f"-I{header}",
            library_path(),
            f"-Wl,-rpath,{library_path().parent}",
            "-o",
            tmp_path / "label_frames",
        ],
        check=True,
    )
    frames = [noise_frame(20, 30, index) for index in range(3)]
    for index, frame in enumerate(frames):
        (tmp_path / f"{index}.ppm").write_bytes(b"P6\n30 20\n255\n" + frame.planes[0].tobytes())
    pictures = [tmp_path / f"{index}.ppm" for index in range(3)]
    done = subprocess.run(
        [tmp_path / "label_frames", tmp_path / "b", "full", *pictures], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "fired s1 s2 s3 fuse, age 0" in done.stdout
    with Pipeline(tmp_path / "b") as pipeline:
        for index, frame in enumerate(frames):
            data = (tmp_path / f"{index}.pgm").read_bytes()
            labels = np.frombuffer(data[-600:], np.uint8).reshape(20, 30)
            np.testing.assert_array_equal(labels, pipeline.process(frame).labels["logits"])
    refused = subprocess.run(
        [tmp_path / "label_frames", tmp_path / "nothing", "full", pictures[0]], capture_output=True, text=True
    )
    assert refused.returncode == 3 and "no such bundle" in refused.stderr


def test_a_pipeline_can_be_dropped_without_closing(tmp_path: Path) -> None:
    write_plain_bundle(tmp_path / "b", chain_graph(), [Schedule(name="full")])
    lines = (
        "from edge_vss.runtime import Pipeline",
        f"path = {str(tmp_path / 'b')!r}",
        "closed = Pipeline(path, threads=3); closed.close(); closed.close()",
        "dropped = Pipeline(path, threads=3)",
    )
    code = "\n".join(lines)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""


def test_a_pipeline_leaves_the_arithmetic_of_the_calling_thread_as_it_was(tmp_path: Path) -> None:
    """Denormal numbers stay what they are: ONNX Runtime's switch for them must not leak out of an engine."""
    onnx = pytest.importorskip("onnx", reason="needs the train extra")
    node = onnx.helper.make_node("Relu", ["image"], ["logits"])
    shape = [1, 3, 8, 8]
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("image", "logits")]
    graph = onnx.helper.make_graph([node], "relu", values[:1], values[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)
    plain = Graph(
        image="image",
        tensors=(Tensor(name="image", shape=tuple(shape)), Tensor(name="logits", shape=tuple(shape))),
        stages=(Stage(name="s1", inputs=(Read("image"),), outputs=("logits",)),),
        outputs=("logits",),
    )
    bundle = write_plain_bundle(tmp_path / "b", plain, [Schedule(name="full")], backend="onnxruntime")
    write_bundle(bundle.path, bundle.manifest, {"engines/s1.plain.json": model.SerializeToString()})
    smallest = np.float32(1e-45)
    with Pipeline(bundle.path) as pipeline:
        assert smallest * np.float32(1.0) > 0
        frame = noise_frame(8, 8, 0)
        np.testing.assert_array_equal(pipeline.process(frame).labels["logits"], frame.planes[0].argmax(2))
        assert smallest * np.float32(1.0) > 0


def test_parts_of_a_frame_tell_when_they_began(tmp_path: Path) -> None:
    graph = chain_graph()
    late = next(schedule for schedule in chain_graph_schedules(graph) if schedule.name == "pipeline-2")
    slow = {stage: {"sleep_us": 4000} for stage in ("s1", "s3")}
    bundle = write_plain_bundle(tmp_path / "b", graph, [Schedule(name="full"), late], extra=slow)
    with Pipeline(bundle.path, schedule="full", threads=2) as pipeline:
        result = [pipeline.process(frame) for frame in random_frames(32, 48, 3)][-1]
    spans = [("pre", result.pre_begin_ms, result.pre_ms)]
    spans += [(stage, result.stage_begin_ms[stage], result.stage_ms[stage]) for stage in ("s1", "s2", "s3", "fuse")]
    spans.append(("post", result.post_begin_ms, result.post_ms))
    ends = [0.0] + [begin + ms for _, begin, ms in spans]
    assert all(begin >= end - 1e-6 for (_, begin, _), end in zip(spans, ends)), spans
    assert ends[-1] <= result.latency_ms + 1e-6 and result.stage_begin_ms["s3"] >= 4
    with Pipeline(bundle.path, schedule="pipeline-2", threads=2) as pipeline:
        result = [pipeline.process(frame) for frame in random_frames(32, 48, 3)][-1]
    overlap = min(result.stage_begin_ms[s] + result.stage_ms[s] for s in ("s1", "s3")) - max(
        result.stage_begin_ms[s] for s in ("s1", "s3")
    )
    assert overlap > 2, "a late stage runs beside the others"
