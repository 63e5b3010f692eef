"""Pre- and post-processing engines as stages of small graphs of their own, for whoever builds or checks them."""

from __future__ import annotations

from dataclasses import dataclass

from edge_vss.bundle.schema import Manifest, OutputSpec, Variant
from edge_vss.frame import plane_shapes
from edge_vss.graph import Graph, Read, Stage, Tensor

__all__ = ["PixelStage", "finite_name", "labels_name", "pixel_stages", "plane_names"]


@dataclass(frozen=True)
class PixelStage:
    """One pixel engine."""

    file: str
    stage: Stage
    """``pre``, or ``post.`` and the name of an output."""
    graph: Graph
    """It, between the tensors that it reads and writes."""


def plane_names(format: str) -> tuple[str, ...]:
    """What ``pre`` engines call the planes of a frame."""
    return ("luma", "chroma") if format == "nv12" else ("frame",)


def labels_name(output: OutputSpec) -> str:
    """What ``post`` engines call the label map."""
    return f"{output.name}.labels"


def finite_name(output: OutputSpec) -> str:
    """What ``post`` engines call the number that is finite as long as the scores are."""
    return f"{output.name}.finite"


def pixel_stages(manifest: Manifest, variant: Variant) -> list[PixelStage]:
    """The pixel engines of a variant, ``pre`` first; none where it has none."""
    engines = variant.pixels
    if engines is None:
        return []
    shapes = plane_shapes(engines.format, engines.height, engines.width)
    planes = [Tensor(name=name, shape=shape, dtype="uint8") for name, shape in zip(plane_names(engines.format), shapes)]
    image = manifest.graph.tensor(manifest.graph.image)
    found = [_alone(engines.pre, "pre", planes, [image])]
    for output in manifest.outputs:
        size = (1, engines.height, engines.width)
        writes = [Tensor(name=labels_name(output), shape=size, dtype="uint8")]
        if output.kind != "labels":
            writes.append(Tensor(name=finite_name(output), shape=(1,)))
        reads = [manifest.graph.tensor(output.tensor)]
        found.append(_alone(engines.post[output.name], f"post.{output.name}", reads, writes))
    return found


def _alone(file: str, name: str, reads: list[Tensor], writes: list[Tensor]) -> PixelStage:
    stage = Stage(name=name, inputs=tuple(Read(one.name) for one in reads), outputs=tuple(one.name for one in writes))
    source = Stage(name="source", inputs=(), outputs=tuple(one.name for one in reads[1:]))
    return PixelStage(
        file,
        stage,
        Graph(
            image=reads[0].name,
            tensors=(*reads, *writes),
            stages=(source, stage) if len(reads) > 1 else (stage,),
            outputs=stage.outputs,
        ),
    )
