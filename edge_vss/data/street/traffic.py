"""What moves: cars ahead and oncoming, people walking and crossing, cyclists. Each place is a formula of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.street.kit import Kit, Scene
from edge_vss.data.street.path import Journey

__all__ = ["Traffic"]

_BEHIND_M, _AHEAD_M = 12.0, 130.0
_FIRST_INSTANCE = 48100


@dataclass(frozen=True, kw_only=True)
class _Mover:
    """Travels along z at its own speed, and comes round again when it leaves the window around the camera."""

    kind: str
    slot: int
    start_m: float
    speed_m_s: float
    d: float
    seed: int


class Traffic:
    """The moving part of a clip."""

    def __init__(self, kit: Kit, journey: Journey, rng: np.random.Generator, lane_d: float) -> None:
        self._kit, self._journey = kit, journey
        theme = kit.theme
        self._movers: list[_Mover] = []
        window = _BEHIND_M + _AHEAD_M
        self._leaders = self._make_leaders(rng, lane_d)
        for lane in range(theme.lanes):
            d = theme.driven_m * (lane + 0.5) / theme.lanes
            self._queue("car", rng, d, -rng.uniform(5, 13), window, rng.poisson(4 * theme.traffic))
        if theme.lanes > 1:
            d = -theme.driven_m * (0.75 if lane_d > -theme.driven_m / 2 else 0.25)
            self._queue("car", rng, d, journey.speed(0) * rng.uniform(0.6, 1.3), window, rng.poisson(3 * theme.traffic))
        kerb = theme.driven_m - 0.4
        self._queue("rider", rng, -kerb, rng.uniform(3, 6), window, rng.poisson(0.4 * theme.person_share + 0.3))
        self._queue("rider", rng, kerb, -rng.uniform(3, 6), window, rng.poisson(0.3 * theme.person_share + 0.2))
        walkers = rng.poisson(7 * theme.person_share + 1)
        for _ in range(walkers):
            d = rng.choice([-1, 1]) * (theme.half_road_m + rng.uniform(0.5, max(0.8, theme.pavement_m - 0.3)))
            self._add("person", rng, rng.uniform(0, window), rng.choice([-1, 1]) * rng.uniform(0.9, 1.7), d)
        for _ in range(rng.poisson(0.5 * theme.person_share + 0.2)):
            self._add("crosser", rng, rng.uniform(0, window), 0.0, rng.uniform(0, 30))
        for _ in range(rng.poisson(0.35)):
            self._add("side-rider", rng, rng.uniform(0, window), 0.0, rng.uniform(0, 40))

    def _make_leaders(self, rng: np.random.Generator, lane_d: float) -> list[tuple[float, float, int, float]]:
        gap, leaders = rng.uniform(7, 40), []
        for _ in range(rng.poisson(1.6 * self._kit.theme.traffic)):
            leaders.append((gap, lane_d + rng.normal(0, 0.15), int(rng.integers(96)), rng.uniform(0, 6.28)))
            gap += rng.uniform(11, 35)
        return leaders

    def _queue(self, kind: str, rng: np.random.Generator, d: float, speed: float, window: float, count: int) -> None:
        """Movers of one lane share a speed and keep their distance, so none drives through another."""
        slots = rng.permutation(10)[: min(10, count)]
        for slot in slots:
            self._add(kind, rng, (slot + rng.uniform(0.1, 0.4)) * window / 10, speed, d)

    def _add(self, kind: str, rng: np.random.Generator, start: float, speed: float, d: float) -> None:
        slot = len(self._movers)
        self._movers.append(
            _Mover(kind=kind, slot=slot, start_m=start, speed_m_s=speed, d=float(d), seed=int(rng.integers(96)))
        )

    def surfaces(self, time_s: float) -> NDArray[np.float64]:
        """(N, COLUMNS) at one moment."""
        scene = Scene(self._kit)
        eye_z, speed = self._journey.z(time_s), self._journey.speed(time_s)
        braking = self._journey.speed(time_s + 0.3) < speed - 0.15 or speed < 0.6
        for i, (gap, d, seed, phase) in enumerate(self._leaders):
            z = eye_z + gap + 0.08 * gap * np.sin(0.3 * time_s + phase)
            scene.car(float(z), d, seed, _FIRST_INSTANCE + 12000 + i, braking=braking)
        for mover in self._movers:
            self._place(scene, mover, time_s, eye_z)
        return scene.finish()

    def _place(self, scene: Scene, mover: _Mover, time_s: float, eye_z: float) -> None:
        window = _BEHIND_M + _AHEAD_M
        travelled = mover.start_m + self._journey.z(0) + mover.speed_m_s * time_s
        lap = int(np.floor((travelled - (eye_z - _BEHIND_M)) / window))
        z = travelled - lap * window
        instance = _FIRST_INSTANCE + (mover.slot % 60) * 200 + lap % 200
        seed = (mover.seed + 31 * (lap % 7)) % 96
        step = int((time_s * 1.9 + mover.slot * 0.37) * 4) % 4
        if mover.kind == "car":
            scene.car(z, mover.d, seed, instance, turn=np.pi if mover.speed_m_s < 0 else 0.0)
        elif mover.kind == "rider":
            scene.rider(z, mover.d, seed, instance, step)
        elif mover.kind == "person":
            scene.person(z, mover.d, seed, instance, step, mirror=bool(mover.slot % 2))
        else:
            self._cross(scene, mover, time_s, z, z - eye_z, instance, step)

    def _cross(
        self, scene: Scene, mover: _Mover, time_s: float, z: float, ahead_m: float, instance: int, step: int
    ) -> None:
        """Walk or ride across, to and fro (a triangle wave), and keep to the kerb while the camera is near."""
        span = self._kit.theme.half_road_m + 1.0
        speed = 1.3 if mover.kind == "crosser" else 3.5
        phase = ((time_s * speed + mover.d) / (2 * span)) % 2.0
        d = span * (2 * phase - 1 if phase < 1 else 3 - 2 * phase)
        clearance = span * float(np.clip((14 - abs(ahead_m)) / 8, 0, 1))
        d = max(d, clearance) if d > 0 else min(d, -clearance)
        if mover.kind == "crosser":
            scene.person(z, d, mover.seed, instance, step, mirror=phase >= 1)
        else:
            scene.rider(z, d, mover.seed, instance, step, side=True, mirror=phase >= 1)
