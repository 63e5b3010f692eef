"""Where the street runs and how the camera travels along it, in closed form: any moment can be asked for alone.

World axes: x right, y up, z forward, in metres; the street runs along z with its centre line at x = c(z). A place
beside the line is named by (z, d): x = c(z) + d / cos(heading(z)). The ground keeps to the same formula, so what
stands at the kerb stays at the kerb.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.street.config import Motion

__all__ = ["CentreLine", "Journey", "Pose"]

_BEND = {"stopped": 0.10, "steady": 0.06, "turning": 0.60, "fast": 0.08, "mixed": 0.30}
_SPEED_M_S = {
    "stopped": (0.0, 0.0),
    "steady": (6.0, 10.0),
    "turning": (5.0, 8.0),
    "fast": (15.0, 22.0),
    "mixed": (4.0, 9.0),
}


class CentreLine:
    """A sum of sines; ``bend`` bounds its slope dx/dz."""

    def __init__(self, rng: np.random.Generator, motion: Motion) -> None:
        wavelength_m = np.array([rng.uniform(90, 140), rng.uniform(160, 260), rng.uniform(300, 500)])
        if motion != "turning":
            wavelength_m *= 1.8
        share = rng.dirichlet([2.0, 2.0, 1.0])
        slope = _BEND[motion] * rng.uniform(0.6, 1.0) * share
        self._rate = 2 * np.pi / wavelength_m
        self._amplitude = slope / self._rate
        self._phase = rng.uniform(0, 2 * np.pi, 3)

    def x(self, z: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """x of the centre line in metres, same shape as ``z``."""
        angle = np.multiply.outer(z, self._rate) + self._phase
        return np.asarray((self._amplitude * np.sin(angle)).sum(-1))

    def heading(self, z: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Direction of the street in radians, positive to the right, same shape as ``z``."""
        angle = np.multiply.outer(z, self._rate) + self._phase
        return np.asarray(np.arctan((self._amplitude * self._rate * np.cos(angle)).sum(-1)))

    def place(self, z: float, d: float) -> tuple[float, float]:
        """World (x, z) of the point ``d`` metres to the right of the centre line at ``z``."""
        return float(self.x(z) + d / np.cos(self.heading(z))), z


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where the camera is and looks."""

    x: float
    z: float
    height_m: float
    yaw: float
    """Radians, positive to the right."""
    pitch: float
    """Radians, positive looks down."""
    speed_m_s: float

    def rotation(self) -> NDArray[np.float64]:
        """(3, 3) world axes -> camera axes (x right, y down, z forward)."""
        cy, sy, cp, sp = np.cos(self.yaw), np.sin(self.yaw), np.cos(self.pitch), np.sin(self.pitch)
        forward = np.array([sy * cp, -sp, cy * cp])
        right = np.array([cy, 0.0, -sy])
        down = np.array([-sy * sp, -cp, -cy * sp])
        return np.stack([right, down, forward])


class Journey:
    """The camera's way along the street."""

    def __init__(self, rng: np.random.Generator, motion: Motion, line: CentreLine, lane_d: float) -> None:
        self._line, self._lane_d, self._motion = line, lane_d, motion
        self._start_z = rng.uniform(0, 2000)
        self._speed = rng.uniform(*_SPEED_M_S[motion])
        self._swing = 1.0 if motion == "mixed" else rng.uniform(0.0, 0.25)
        self._period_s = rng.uniform(9, 18) if motion == "mixed" else rng.uniform(6, 14)
        self._phase = rng.uniform(0, 2 * np.pi)
        self._height_m = rng.uniform(1.15, 1.6)
        self._aim = rng.normal(0, 0.03)
        # Looking round at a corner: the houses of one side come face to face.
        self._glance = rng.uniform(0.15, 0.7) * rng.choice([-1, 1]) if motion == "turning" else 0.0
        self._glance_period_s = rng.uniform(8, 16)
        self._pitch = rng.normal(0.0, 0.03)
        self._drift = rng.uniform(0.05, 0.3) if motion != "stopped" else 0.0
        self._shake = rng.uniform(0.2, 1.0) * (0.15 if motion == "stopped" else 1.0)
        self._shake_phase = rng.uniform(0, 2 * np.pi, 4)
        if motion == "stopped":  # at a junction, in a queue, or askew at the kerb
            self._aim += rng.normal(0, 0.06)

    def z(self, time_s: float) -> float:
        """How far along the street the camera is, in metres."""
        rate = 2 * np.pi / self._period_s
        swing = self._swing / rate * (np.sin(rate * time_s + self._phase) - np.sin(self._phase))
        return float(self._start_z + self._speed * (time_s + swing))

    def speed(self, time_s: float) -> float:
        """Metres per second, >= 0."""
        rate = 2 * np.pi / self._period_s
        return float(self._speed * (1 + self._swing * np.cos(rate * time_s + self._phase)))

    def pose(self, time_s: float) -> Pose:
        """The camera at one moment."""
        z, speed = self.z(time_s), self.speed(time_s)
        phase = self._shake_phase
        lane = self._lane_d + self._drift * np.sin(0.4 * time_s + phase[0])
        shake = self._shake * min(1.0, 0.15 + speed / 10)
        glance = self._glance * np.sin(2 * np.pi * time_s / self._glance_period_s) ** 3
        yaw = float(self._line.heading(z + 3.0)) + self._aim + glance + 0.004 * shake * np.sin(2.1 * time_s + phase[1])
        pitch = self._pitch + 0.004 * shake * (np.sin(9.0 * time_s + phase[2]) + 0.6 * np.sin(14.3 * time_s + phase[3]))
        x, _ = self._line.place(z, float(lane))
        bounce = 0.012 * shake * float(np.sin(8.3 * time_s + phase[3]))
        return Pose(x=x, z=z, height_m=self._height_m + bounce, yaw=yaw, pitch=float(pitch), speed_m_s=speed)
