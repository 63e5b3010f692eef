"""Something that happens in the middle of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from torch import Tensor

from edge_vss.training.batches import Batch
from edge_vss.training.loop import Loop


@contextmanager
def before_step(number: int, act: Callable[[Loop], None]) -> Iterator[None]:
    """Trainings in the block call ``act`` before they do a step, numbered from 0."""
    step = Loop._step

    def stepped(self: Loop, batch: Batch, steps: int) -> dict[str, Tensor]:
        if batch.step == number:
            act(self)
        return step(self, batch, steps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "_step", stepped)
        yield


def kill(loop: Loop) -> None:
    """As what ends a training at once, without a word."""
    raise KeyboardInterrupt
