"""Runs that build on each other, two at a time, each on one thread; what is done is not done again."""

from __future__ import annotations

import ctypes
import hashlib
import json
import multiprocessing
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import torch

from edge_vss.training import TrainConfig, TrainOptions, frames_of, train
from edge_vss.training.frames import FrameStore
from edge_vss.training.resume import RESUME

DONE = "done.json"
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Job:
    """One piece of work that leaves a folder of its own name."""

    name: str
    work: Callable[[Path, Path], dict[str, Any]]
    """(its folder, that of all jobs) → what to remember. Its ``repr`` says all it depends on."""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Training:
    """A run of ``edge-vss train``; teacher and initial weights are names of jobs."""

    recipe: str
    config: TrainConfig
    data: str
    target: str | None = None
    teacher: str | None = None
    init: str | None = None
    seed: int = 0

    def __call__(self, folder: Path, root: Path) -> dict[str, Any]:
        def checkpoint(job: str | None) -> str | None:
            return job and str(root / job / "checkpoint.safetensors")

        options = TrainOptions(
            recipe=self.recipe,
            data=(self.data.format(root=root),),
            target=(self.target,) if self.target else (),
            teacher=checkpoint(self.teacher),
            init=checkpoint(self.init),
            config=self.config,
            seed=self.seed,
            out=folder,
            resume=(folder / RESUME).exists(),
        )
        train(options, frames=_read(_Key(_same_frames(options), options)))
        return {}


@dataclass(frozen=True)
class _Key:
    """Options that differ in nothing that the frames depend on are equal."""

    text: str
    options: TrainOptions = field(compare=False)


def _same_frames(options: TrainOptions) -> str:
    config = options.config
    assert isinstance(config, TrainConfig)
    looks = (options.recipe, config.network, config.frames_before, config.labelled_every, config.clicks)
    return repr((options.data, options.target, config.held_out, looks))


@lru_cache(maxsize=2)
def _read(key: _Key) -> FrameStore:
    return frames_of(key.options)


def play(jobs: Sequence[Job], root: Path, workers: int = 2) -> dict[str, dict[str, Any]]:
    """Does what is not done yet, in order of need; returns what each remembered."""
    root.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    waiting = {job.name: job for job in jobs}
    assert len(waiting) == len(jobs), "every job has a name of its own"
    prints = _prints(waiting)
    for name in list(waiting):
        known = _known(root / name, prints[name])
        if known is not None:
            results[name] = known
            del waiting[name]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin) as pool:
        running: dict[Future[dict[str, Any]], str] = {}
        while waiting or running:
            ready = [job for job in waiting.values() if all(name in results for name in job.needs)]
            for job in ready[: workers - len(running)]:
                del waiting[job.name]
                running[pool.submit(_do, job, root, prints[job.name])] = job.name
            assert running, f"{', '.join(waiting)} wait for each other"
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                results[name] = future.result()
                left = len(waiting) + len(running)
                print(f"{name}: {results[name]['seconds']:.0f} s, {left} to go", flush=True)
    return results


def _begin() -> None:
    """A worker has one thread, and ends when the process that plays the jobs does, however that ends."""
    torch.set_num_threads(1)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _prints(jobs: Mapping[str, Job]) -> dict[str, str]:
    """By name, what tells a job from one that differs in anything it depends on, what it needs included."""
    found: dict[str, str] = {}

    def print_of(name: str) -> str:
        if name not in found:
            job = jobs[name]
            text = "\n".join([repr(job.work), *map(print_of, job.needs)])
            found[name] = hashlib.sha256(text.encode()).hexdigest()
        return found[name]

    return {name: print_of(name) for name in jobs}


def _known(folder: Path, digest: str) -> dict[str, Any] | None:
    path = folder / DONE
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_bytes())
        if found.get("job") == digest:
            return found
    return None


def _do(job: Job, root: Path, digest: str) -> dict[str, Any]:
    folder = root / job.name
    started = folder / "job"
    if folder.exists() and (not started.exists() or started.read_text() != digest):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    started.write_text(digest)
    start = time.monotonic()
    result = job.work(folder, root) | {"job": digest, "seconds": time.monotonic() - start}
    (folder / DONE).write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    return result
