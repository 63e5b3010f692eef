"""The teacher of the systems that learn from one: a larger network that has seen more streets than its students."""

from __future__ import annotations

from claims.jobs import Job, Training
from claims.world import Scale

TEACHER = "teacher"
EVERY = 3
"""Of the students' frames every third is labelled."""
MORE, EPOCHS = 3, 12


def more_streets(scale: Scale, fps: int = 2) -> str:
    """DATA: streets at a few frames a second; the first of them are the students'."""
    return scale.street(1_000, MORE * scale.clips, fps=fps)


def teacher_job(scale: Scale) -> Job:
    """All frames of them are labelled."""
    config = scale.config(EPOCHS, network="teacher")
    return Job(TEACHER, Training(recipe="supervised", config=config, data=more_streets(scale)))
