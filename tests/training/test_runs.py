"""Whole runs in miniature: each recipe learns, a killed run goes on as if nothing had been, two processes agree."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from steps import before_step, kill

from edge_vss.errors import BadInput, WrongUsage
from edge_vss.networks import build_network, network_config
from edge_vss.training import AugmentConfig, TrainConfig, TrainOptions, load_checkpoint, train
from edge_vss.training.checkpoint import read_tensors, write_tensors
from edge_vss.training.loop import CHECKPOINT, LOG
from edge_vss.training.resume import RESUME


def options(bands: str, out: Path, config: TrainConfig, **rest: object) -> TrainOptions:
    return TrainOptions(recipe="supervised", data=[bands], out=out, config=config, **rest)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(bands: str, tiny: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train(options(bands, out, tiny))
    return out


def test_a_short_run_learns_and_its_checkpoint_says_how(finished: Path, tiny: TrainConfig) -> None:
    checkpoint = load_checkpoint(finished / "checkpoint.safetensors")
    training = checkpoint.info.training
    assert training["held_out_miou"] > 0.4
    assert training["recipe"] == "supervised"
    assert training["frames"] == 9
    assert msgspec.convert(training["config"], TrainConfig) == tiny
    assert [info.name for info in checkpoint.info.classes] == ["sky", "wall", "floor"]
    losses = [json.loads(line) for line in (finished / LOG).read_text().splitlines()]
    assert losses[-1]["held_out_miou"] >= training["held_out_miou"] - 1e-9 or len(losses) > 1


def test_a_killed_run_goes_on_and_ends_bit_for_bit_like_one_that_was_not(
    bands: str, tiny: TrainConfig, finished: Path, tmp_path: Path
) -> None:
    with before_step(5, kill), pytest.raises(KeyboardInterrupt):
        train(options(bands, tmp_path, tiny))
    assert json.loads(read_tensors(tmp_path / RESUME)[1]["run"])["step"] == 4
    train(options(bands, tmp_path, tiny, resume=True))
    whole, resumed = (read_tensors(folder / RESUME)[0] for folder in (finished, tmp_path))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_run_that_is_asked_to_stop_leaves_a_resume_point_of_the_step_at_hand(
    bands: str, tiny: TrainConfig, finished: Path, tmp_path: Path
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with before_step(4, lambda loop: signal.raise_signal(signal.SIGINT)), pytest.raises(KeyboardInterrupt):
        train(options(bands, tmp_path, tiny))
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
    assert json.loads(read_tensors(tmp_path / RESUME)[1]["run"])["step"] == 5
    train(options(bands, tmp_path, tiny, resume=True))
    assert (tmp_path / CHECKPOINT).read_bytes() == (finished / CHECKPOINT).read_bytes()


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "resume.safetensors"])
def test_a_changed_byte_is_noticed(bands: str, tiny: TrainConfig, finished: Path, tmp_path: Path, name: str) -> None:
    content = bytearray((finished / name).read_bytes())
    content[-1000] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match="is damaged: what it holds is not what was written"):
        read_tensors(tmp_path / name)
    if name == RESUME:
        with pytest.raises(BadInput, match="is damaged"):
            train(options(bands, tmp_path, tiny, resume=True))


def test_a_resume_point_of_another_run_is_refused(bands: str, tiny: TrainConfig, finished: Path) -> None:
    with pytest.raises(BadInput, match=r"belongs to another run: seed was 0, is 7$"):
        train(options(bands, finished, tiny, seed=7, resume=True))
    other = msgspec.structs.replace(tiny, rate=0.5, augment=AugmentConfig(scale=(1, 1)), clip=1.0, power=0.1)
    with pytest.raises(BadInput, match=r"config\.power was \S+, is 0\.1.*and \d+ more$"):
        train(options(bands, finished, other, resume=True))


def test_a_resume_point_of_another_version_says_so(bands: str, tiny: TrainConfig, tmp_path: Path) -> None:
    write_tensors(
        tmp_path / RESUME, {"network/a": torch.zeros(1)}, {"run": '{"step": 4, "best": null, "identity": "x"}'}
    )
    with pytest.raises(BadInput, match="no resume point of this version"):
        train(options(bands, tmp_path, tiny, resume=True))
    with pytest.raises(BadInput, match="holds another run"):
        train(options(bands, tmp_path, tiny))


def test_what_another_run_left_is_not_written_over(bands: str, tiny: TrainConfig, finished: Path) -> None:
    before = (finished / "checkpoint.safetensors").read_bytes()
    with pytest.raises(BadInput, match="holds another run"):
        train(options(bands, finished, tiny, seed=7))
    assert (finished / "checkpoint.safetensors").read_bytes() == before


def test_a_run_is_not_begun_anew_where_it_stands(bands: str, tiny: TrainConfig, finished: Path) -> None:
    before = (finished / "checkpoint.safetensors").read_bytes(), (finished / RESUME).read_bytes()
    with pytest.raises(BadInput, match="holds this run already; --resume"):
        train(options(bands, finished, tiny))
    assert ((finished / "checkpoint.safetensors").read_bytes(), (finished / RESUME).read_bytes()) == before


def test_a_run_that_diverges_stops_before_it_writes(bands: str, tiny: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"step \d+: the loss is no longer a number"):
        train(options(bands, tmp_path, msgspec.structs.replace(tiny, rate=1e30)))
    assert not list(tmp_path.glob("*.safetensors"))


def test_frames_without_a_labelled_pixel_teach_nothing(bands: str, tiny: TrainConfig, tmp_path: Path) -> None:
    void = tmp_path / "void"
    shutil.copytree(bands.removeprefix("folder:"), void)
    for path in (void / "labels").iterdir():
        cv2.imwrite(str(path), np.full((64, 96), 255, np.uint8))
    with pytest.raises(BadInput, match="no labelled pixel"):
        train(options(f"folder:{void}", tmp_path / "out", tiny))


def test_a_recipe_that_tunes_wants_the_whole_network(bands: str, tiny: TrainConfig, tmp_path: Path) -> None:
    config = msgspec.structs.replace(tiny, network="clockwork")
    with pytest.raises(BadInput, match=r"\d+ of \d+ tensors agree"):
        train(TrainOptions(recipe="qat", data=[bands], out=tmp_path, config=config, init="zoo:clockwork-street"))


def test_distillation_from_a_checkpoint_of_ours(bands: str, tiny: TrainConfig, finished: Path, tmp_path: Path) -> None:
    config = msgspec.structs.replace(tiny, network="perframe", epochs=1, validate_every=0, held_out=0)
    result = train(
        TrainOptions(
            recipe="distill",
            data=[bands],
            out=tmp_path,
            config=config,
            teacher=str(finished / "checkpoint.safetensors"),
        )
    )
    assert load_checkpoint(result.checkpoint).info.network.kind == "perframe"
    entry = json.loads((tmp_path / LOG).read_text().splitlines()[-1])
    assert entry["distil"] > 0
    assert entry["similarity"] > 0


def onnx_teacher(path: Path, classes: int, size: tuple[int, int] = (32, 64)) -> str:
    network = torch.nn.Conv2d(3, classes, 4, 4)
    torch.onnx.export(network.eval(), (torch.zeros(1, 3, *size),), path, dynamo=True, verbose=False)
    return str(path)


def test_distillation_from_an_onnx_file_of_the_users_own(bands: str, tiny: TrainConfig, tmp_path: Path) -> None:
    teacher = onnx_teacher(tmp_path / "teacher.onnx", classes=3)
    config = msgspec.structs.replace(tiny, epochs=1, validate_every=0, held_out=0)
    train(TrainOptions(recipe="distill", data=[bands], out=tmp_path / "out", config=config, teacher=teacher))
    entry = json.loads((tmp_path / "out" / LOG).read_text().splitlines()[-1])
    assert entry["distil"] > 0


def test_a_teacher_with_another_number_of_classes_is_refused(bands: str, tiny: TrainConfig, tmp_path: Path) -> None:
    teacher = onnx_teacher(tmp_path / "teacher.onnx", classes=5)
    with pytest.raises(BadInput, match="scores 5 classes, the data has 3"):
        train(TrainOptions(recipe="distill", data=[bands], out=tmp_path / "out", config=tiny, teacher=teacher))


def test_a_teacher_whose_sub_networks_take_turns_is_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    street, teacher = "street:[clips=1,frames=2,size=64x96]", "zoo:tdnet2-street"
    with pytest.raises(BadInput, match="take turns"):
        train(TrainOptions(recipe="distill", data=[street], out=tmp_path / "out", config=tiny, teacher=teacher))


@pytest.mark.parametrize("count", [1, 255])
def test_as_many_classes_as_no_network_has_are_refused_before_the_first_step(
    tiny: TrainConfig, tmp_path: Path, count: int
) -> None:
    for kind, value in (("images", 90), ("labels", 0)):
        (tmp_path / kind).mkdir()
        cv2.imwrite(str(tmp_path / kind / "0.png"), np.full((64, 96), value, np.uint8))
    (tmp_path / "classes.json").write_text(json.dumps([f"class {number}" for number in range(count)]))
    with pytest.raises(BadInput, match=f"2 to 254 classes, got {count}"):
        train(options(f"folder:{tmp_path}", tmp_path / "out", tiny))


def test_a_teacher_of_another_size_is_refused(bands: str, tiny: TrainConfig, tmp_path: Path) -> None:
    teacher = onnx_teacher(tmp_path / "teacher.onnx", classes=3, size=(64, 64))
    with pytest.raises(BadInput, match="set crop_height and crop_width"):
        train(TrainOptions(recipe="distill", data=[bands], out=tmp_path / "out", config=tiny, teacher=teacher))


def test_initial_weights_carry_over_where_they_fit(
    bands: str, tiny: TrainConfig, finished: Path, tmp_path: Path
) -> None:
    config = msgspec.structs.replace(tiny, epochs=1, rate=1e-12, warm_up=0.0, ema=0.0, validate_every=0, held_out=0)
    source = finished / "checkpoint.safetensors"
    result = train(options(bands, tmp_path, config, init=str(source)))
    before, after = (load_checkpoint(path).network.state_dict() for path in (source, result.checkpoint))
    name = "chain.stages.fine.stem.0.0.weight"
    assert torch.allclose(before[name], after[name])


def test_two_processes_average_their_gradients(bands: str, tiny: TrainConfig, tmp_path: Path) -> None:
    """Two processes with batch 2 take the same steps, and both hold the same weights at the end."""
    config = tmp_path / "tiny.toml"
    sizes = "".join(f"{name} = {getattr(tiny, name)}\n" for name in ("height", "width", "crop_height", "crop_width"))
    config.write_text(f"epochs = 1\nbatch = 2\n{sizes}")
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, torch\n"
        "from pathlib import Path\n"
        "from edge_vss.training import TrainOptions, train\n"
        "from edge_vss.training.loop import Loop\n"
        "loops = []\n"
        "run = Loop.run\n"
        "Loop.run = lambda self: (loops.append(self), run(self))[1]\n"
        "data, config, out = sys.argv[1:]\n"
        "train(TrainOptions(recipe='supervised', data=[data], out=Path(out), config=Path(config)))\n"
        "parameters = torch.cat([p.detach().flatten() for p in loops[0].network.parameters()])\n"
        "torch.save(parameters, Path(out) / f'{loops[0].among.rank}.pt')\n"
    )
    out = tmp_path / "out"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    done = subprocess.run(
        [*command, bands, str(config), str(out)], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (torch.load(out / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert torch.equal(first, second)
    assert json.loads((out / LOG).read_text().splitlines()[-1])["steps"] == 3
    torch.manual_seed(0)
    start = build_network(network_config("clockwork", classes=3))
    assert not torch.equal(first, torch.cat([p.detach().flatten() for p in start.parameters()]))


def test_a_run_without_held_out_frames_keeps_the_last_weights(bands: str, tiny: TrainConfig, tmp_path: Path) -> None:
    config = msgspec.structs.replace(tiny, epochs=1, held_out=0)
    assert train(options(bands, tmp_path, config)).held_out_miou is None
    averaged = read_tensors(tmp_path / RESUME)[0]
    kept = load_checkpoint(tmp_path / "checkpoint.safetensors").network.state_dict()
    assert all(torch.equal(kept[name], averaged[f"average/{name}"]) for name in kept)


@pytest.mark.parametrize(
    ("recipe", "teacher", "message"),
    [
        ("sorcery", None, "known: supervised, distill"),
        ("distill", None, "needs --teacher"),
        ("supervised", "zoo:x", "uses no teacher"),
    ],
)
def test_recipes_and_teachers_must_go_together(
    bands: str, tmp_path: Path, recipe: str, teacher: str | None, message: str
) -> None:
    with pytest.raises(WrongUsage, match=message):
        train(TrainOptions(recipe=recipe, data=[bands], out=tmp_path, teacher=teacher))
