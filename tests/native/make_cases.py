"""Write bundles, frames and expected traces for the native tests: ``make_cases.py OUT``.

Each case is a folder with ``bundle/``, ``frames.bin`` and ``trace.txt``; the traces come from the reference executor.
The native program needs nothing but the C functions and these files, so it can run under any sanitizer.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec
from graphs import chain_graph, chain_graph_schedules, plain_functions
from onnx_cases import write_onnx_cases
from runtime.plain_bundles import all_cases, image_of, random_frames, write_plain_bundle

from edge_vss.bundle import EngineRef, write_bundle
from edge_vss.executor import ReferenceExecutor, Step
from edge_vss.graph import Graph, Read, Stage, Tensor
from edge_vss.schedule import Schedule


def fnv(data: bytes) -> int:
    """64-bit FNV-1a."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def trace_line(graph: Graph, step: Step) -> str:
    """Fired stages, stage ages, output ages and the hash of every output tensor."""
    fired = "".join("1" if stage.name in step.fired else "0" for stage in graph.stages)
    ages = ",".join(str(step.stage_age_frames[stage.name]) for stage in graph.stages)
    outputs = ",".join(f"{step.age_frames[name]}:{fnv(step.outputs[name].tobytes()):016x}" for name in graph.outputs)
    return f"{fired} {ages} {outputs}"


def write_case(folder: Path, graph: Graph, schedule: Schedule, backend: str) -> None:
    """One case: 40 frames with two resets."""
    folder.mkdir(parents=True, exist_ok=True)
    write_plain_bundle(folder / "bundle", graph, [schedule], backend=backend)
    _, _, height, width = graph.tensor(graph.image).shape
    reference = ReferenceExecutor(graph, schedule, plain_functions(graph))
    frames, lines = random_frames(height, width, 40), []
    with (folder / "frames.bin").open("wb") as file:
        file.write(struct.pack("<3i", len(frames), height, width))
        for index, frame in enumerate(frames):
            reset = index in (17, 30)
            if reset:
                reference.reset()
            file.write(struct.pack("<iqq", reset, frame.sequence, frame.pts_us) + frame.planes[0].tobytes())
            step = reference.step(image_of(frame), sequence=frame.sequence, pts_us=frame.pts_us)
            lines.append(trace_line(graph, step))
    outputs = " ".join(f"{name}:{graph.tensor(name).bytes}" for name in graph.outputs)
    (folder / "trace.txt").write_text("\n".join([outputs, *lines]) + "\n")


def write_outside(folder: Path) -> None:
    """The two-stage graph that ``outside_backend.c`` plays."""
    labels = {"shape": (1, 8, 8), "dtype": "uint8"}
    graph = Graph(
        image="image",
        tensors=(
            Tensor(name="image", shape=(1, 3, 8, 8)),
            Tensor(name="first", shape=(1, 8, 8), dtype="uint8", lives="state"),
            Tensor(name="labels", **labels),  # type: ignore[arg-type]
        ),
        stages=(
            Stage(name="one", inputs=(Read("image"),), outputs=("first",)),
            Stage(name="two", inputs=(Read("first"),), outputs=("labels",)),
        ),
        outputs=("labels",),
    )
    write_plain_bundle(folder, graph, [Schedule(name="full")], backend="outside")


def write_failing(folder: Path) -> None:
    """Two variants: the first one's deep stage fails with its 5th firing."""
    graph = chain_graph()
    bundle = write_plain_bundle(folder, graph, [Schedule(name="full")])
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    good = bundle.manifest.variants[0]
    failing = json.loads(files[good.engines["s3"].file])
    files["engines/failing.json"] = json.dumps({**failing, "fail_after": 5}).encode()
    engines = {**good.engines, "s3": EngineRef(file="engines/failing.json")}
    first = msgspec.structs.replace(good, name="first", engines=engines)
    write_bundle(folder, msgspec.structs.replace(bundle.manifest, variants=(first, good)), files)


def write_deadline(folder: Path, sleep_us: int) -> None:
    """A deep stage that is too dear for a shorter deadline, and a ladder."""
    graph = chain_graph()
    schedules = chain_graph_schedules(graph)
    ladder = ("full", "adaptive", "alternate", "reuse")
    write_plain_bundle(folder, graph, schedules, extra={"s3": {"sleep_us": sleep_us}}, ladder=ladder)


def main(out: Path) -> None:
    """Write every case."""
    for backend in ("plain", "plain-device"):
        for name, (graph, schedule) in all_cases().items():
            write_case(out / f"{backend}-{name}", graph, schedule, backend)
    write_outside(out / "outside")
    write_failing(out / "failing")
    write_deadline(out / "deadline", 400)
    write_deadline(out / "deadline-slow", 4000)
    write_onnx_cases(out / "tensorrt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
