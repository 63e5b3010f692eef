"""``inspect --lint`` on real exports: lawful as they are written, and named by file, node and rule once damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from verbs import Cli

from edge_vss.bundle import load_bundle, write_bundle

SOURCE = "street:[size=64x96,frames=16,seed=3]"
DAMAGED = "engines/deep.tensorrt.int8.onnx"


@pytest.fixture(scope="module")
def exported(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edge_vss.deploy import deploy

    out = tmp_path_factory.mktemp("lint") / "tensorrt.bundle"
    kinds = {"precisions": ("fp32", "fp16", "int8"), "backends": ("tensorrt",)}
    deploy(tiny_checkpoint, out, calibration=SOURCE, **kinds)  # type: ignore[arg-type]
    return out


def changed(bundle: Path, out: Path, change: Callable[[bytes], bytes]) -> Path:
    """The bundle with one engine changed, size and digest in order."""
    old = load_bundle(bundle)
    files = {name: old.read(name) for name in old.manifest.files}
    files[DAMAGED] = change(files[DAMAGED])
    return write_bundle(out, msgspec.structs.replace(old.manifest, files={}), files).path


def with_zero_point(engine: bytes) -> bytes:
    model = onnx.load_from_string(engine)
    node = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[2])
    tensor.CopyFrom(numpy_helper.from_array(np.array(5, np.int8), tensor.name))
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture(scope="module")
def variants(exported: Path) -> list[str]:
    return [one.name for one in load_bundle(exported).manifest.variants if one.backend == "tensorrt"]


def test_what_an_export_writes_is_lawful(cli: Cli, exported: Path, variants: list[str]) -> None:
    assert variants == ["tensorrt-fp32", "tensorrt-fp16", "tensorrt-int8"]
    done = cli("inspect", exported, "--lint", "--json", "-")
    assert done.code == 0, done.err
    assert done.json["findings"] == [] and done.json["variants"] == variants
    assert len(set(done.json["files"])) == 14
    assert done.err.strip() == "14 files, 0 findings"


def test_a_broken_rule_is_bad_input(cli: Cli, exported: Path, tmp_path: Path) -> None:
    bundle = changed(exported, tmp_path / "bad.bundle", with_zero_point)
    done = cli("inspect", bundle, "--lint", "--json", "-")
    assert done.code == 3
    last = done.err.strip().splitlines()[-1]
    assert last.startswith(f"edge-vss: {bundle}: 14 files, ")
    findings = done.json["findings"]
    assert {one["file"] for one in findings} == {DAMAGED} and {one["rule"] for one in findings} == {"symmetric-int8"}
    assert all(findings[0][key] in done.err for key in ("file", "node", "rule", "text"))
    assert (findings[0]["variant"], findings[0]["stage"]) == ("tensorrt-int8", "deep")
    assert findings[0]["file"] in last and repr(findings[0]["node"]) in last and "symmetric-int8" in last


def without_scale(engine: bytes) -> bytes:
    model = onnx.load_from_string(engine)
    node = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    del node.input[1:]
    data: bytes = model.SerializeToString()
    return data


@pytest.mark.parametrize("change", [lambda engine: b"\x08\x09not a model", lambda engine: b"", without_scale])
def test_an_engine_that_is_no_model_is_bad_input(
    cli: Cli, exported: Path, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    bundle = changed(exported, tmp_path / "odd.bundle", change)
    done = cli("inspect", bundle, "--lint")
    assert done.code == 3 and done.err.count("\n") == 1 and DAMAGED in done.err


def test_a_bundle_without_tensorrt_says_so(cli: Cli, tiny_bundle: Path) -> None:
    done = cli("inspect", tiny_bundle, "--lint")
    assert done.code == 0 and done.out.count("\n") == 1
    assert "no variant for TensorRT" in done.out and "--backend tensorrt" in done.out
