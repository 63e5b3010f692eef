"""The teacher of the systems that learn from one: a larger network on the same labels as its students."""

from __future__ import annotations

from claims.jobs import Job, Training
from claims.world import Scale

TEACHER = "teacher"
EVERY = 3
"""Every third frame is labelled."""


def teacher_job(scale: Scale) -> Job:
    config = scale.config(50, network="teacher", labelled_every=EVERY)
    return Job(TEACHER, Training(recipe="supervised", config=config, data=scale.train_data()))
