"""Bundles whose variants hold pre- and post-processing, on the native runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge_vss.bundle import load_bundle, write_bundle
from edge_vss.data.sources import open_source
from edge_vss.deploy import deploy
from edge_vss.export.pixel_variants import with_pixel_engines
from edge_vss.runtime import Pipeline

SIZE = (144, 208)
SOURCE = "street:[size=144x208,frames=10,seed=3]"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same network with the host's kernels, and with engines for RGB frames in both variants."""
    folder = tmp_path_factory.mktemp("pixels")
    plain, staged = folder / "plain.bundle", folder / "staged.bundle"
    deploy("zoo:clockwork-street", plain, height=96, width=128, calibration=SOURCE, precisions=("fp32", "int8"))
    bundle = load_bundle(plain)
    names = [variant.name for variant in bundle.manifest.variants]
    manifest, files = with_pixel_engines(bundle.manifest, ("rgb", *SIZE), names)
    write_bundle(staged, manifest, {**{name: bundle.read(name) for name in bundle.manifest.files}, **files})
    return plain, staged


@pytest.mark.parametrize("schedule", ["full", "adaptive", "alternate", "pipeline-2", "pipeline-3"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_labels_are_those_of_the_hosts_kernels(bundles: tuple[Path, Path], schedule: str, precision: str) -> None:
    found: list[list[Any]] = []
    for path in bundles:
        with (
            Pipeline(path, schedule=schedule, precision=precision, threads=2) as pipeline,
            open_source(SOURCE) as frames,
        ):
            found.append([pipeline.process(frame) for frame in frames])
    plain, staged = found
    assert len(plain) == 10
    for host, engine in zip(plain, staged):
        assert "host_pixels" not in engine.flags
        (wanted,), (got,) = host.labels.values(), engine.labels.values()
        assert got.shape == SIZE and np.mean(got == wanted) >= (0.999 if precision == "fp32" else 0.99)


def test_frames_of_another_kind_go_through_the_host_and_say_so(bundles: tuple[Path, Path]) -> None:
    other = "street:[size=100x150,frames=3,seed=3]"
    results: list[list[Any]] = []
    for path in bundles:
        with Pipeline(path, schedule="full", precision="fp32", threads=1) as pipeline, open_source(other) as frames:
            results.append([pipeline.process(frame) for frame in frames])
    for host, engine in zip(*results):
        assert "host_pixels" in engine.flags and "host_pixels" not in host.flags
        (wanted,), (got,) = host.labels.values(), engine.labels.values()
        np.testing.assert_array_equal(got, wanted)


def test_engines_that_are_missing_or_too_few_are_refused(bundles: tuple[Path, Path], tmp_path: Path) -> None:
    bundle = load_bundle(bundles[1])
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    variant = bundle.manifest.variants[0]
    assert variant.pixels is not None
    for change in ({"pre": "pixels/none.onnx"}, {"post": {}}, {"height": 0}):
        wrong = msgspec.structs.replace(variant, pixels=msgspec.structs.replace(variant.pixels, **change))
        manifest = msgspec.structs.replace(bundle.manifest, variants=(wrong,))
        with pytest.raises(Exception, match="pixel engine"):
            write_bundle(tmp_path / "wrong.bundle", manifest, files)
