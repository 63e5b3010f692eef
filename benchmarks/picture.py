"""Makes the README's moving picture: generated video, and the labels that a bundle gives it under ``adaptive``.

python benchmarks/picture.py street.bundle docs/street.gif
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from edge_vss.data.colour import to_rgb
from edge_vss.data.sources import open_source
from edge_vss.runtime import Pipeline, overlay

SOURCE = "street:[seed=70001,look=camera,size=352x480,frames=56,fps=15]"
KEPT = 2
"""Every second frame is shown."""
CENTISECONDS = 13
COLOURS = 96


def pictures(bundle: Path) -> list[NDArray[np.uint8]]:
    """(H / 2, W, 3) uint8 each: the frame and its overlay side by side at half size."""
    found = []
    with open_source(SOURCE) as source, Pipeline(bundle, schedule="adaptive") as pipeline:
        output = pipeline.info.outputs[0]
        for index, frame in enumerate(source):
            labels = pipeline.process(frame).labels[output.name]
            if index % KEPT == 0:
                rgb = to_rgb(frame)
                both = np.concatenate([rgb, overlay(rgb, labels, output.palette, 0.6)], 1)
                height, width = both.shape[0] // 2, both.shape[1] // 2
                found.append(both.reshape(height, 2, width, 2, 3).mean((1, 3)).astype(np.uint8))
    return found


def write_gif(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    """One palette for all frames, and only what changed from frame to frame."""
    height, width = frames[0].shape[:2]
    graph = av.filter.Graph()
    time_base = Fraction(1, 100)
    source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=time_base)
    split, sink = graph.add("split"), graph.add("buffersink")
    palette = graph.add("palettegen", f"max_colors={COLOURS}:stats_mode=diff")
    paint = graph.add("paletteuse", "dither=none:diff_mode=rectangle")
    for giver, taker, out, into in ((source, split, 0, 0), (split, palette, 0, 0), (split, paint, 1, 0)):
        giver.link_to(taker, out, into)
    palette.link_to(paint, 0, 1)
    paint.link_to(sink)
    graph.configure()
    for index, rgb in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        picture.pts, picture.time_base = index * CENTISECONDS, time_base
        source.push(picture)
    source.push(None)
    with av.open(str(path), "w", format="gif") as container:
        stream: Any = container.add_stream("gif", rate=Fraction(100, CENTISECONDS))
        stream.width, stream.height, stream.pix_fmt, stream.time_base = width, height, "pal8", time_base
        for _ in frames:
            painted: Any = sink.pull()
            painted.time_base = time_base
            container.mux(stream.encode(painted))
        container.mux(stream.encode())


if __name__ == "__main__":
    write_gif(Path(sys.argv[2]), pictures(Path(sys.argv[1])))
