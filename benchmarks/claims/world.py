"""The world that all systems are compared in, and how large a comparison is."""

from __future__ import annotations

from dataclasses import dataclass

from edge_vss.training import AugmentConfig, LossConfig, TrainConfig


@dataclass(frozen=True)
class Scale:
    """How much is rendered, trained and scored."""

    size: tuple[int, int] = (96, 128)
    clips: int = 60
    frames: int = 12
    held_out_clips: int = 16
    epochs: float = 1.0
    """Against what the system's module says."""
    batch: int = 16
    seeds: int = 3
    held_out_seed: int = 90_000
    """Of the first held-out street. Recipes were tried out on those from 80,000 on."""
    budgets: tuple[float, ...] = (0.5, 0.55, 0.6, 0.65, 0.7, 0.8)
    """Of firings, which an adaptive clock is tried with."""
    camvid: str | None = None
    """Folder of CamVid; with it some systems have rows of its val split."""

    def street(self, seed: int, clips: int, **keys: object) -> str:
        """DATA; equal seeds are equal streets."""
        height, width = self.size
        more = "".join(f",{key}={value}" for key, value in keys.items())
        return f"street:[seed={seed},clips={clips},frames={self.frames},size={height}x{width}{more}]"

    def train_data(self, seed: int = 1_000, **keys: object) -> str:
        return self.street(seed, self.clips, **keys)

    def held_out(self, **keys: object) -> str:
        return self.street(self.held_out_seed, self.held_out_clips, **keys)

    def config(self, epochs: int, *, loss: LossConfig | None = None, **rest: object) -> TrainConfig:
        """A run on this world: views are as large as frames, zoomed, turned and coloured moderately."""
        height, width = self.size
        return TrainConfig(
            height=height,
            width=width,
            crop_height=height,
            crop_width=width,
            epochs=max(1, round(epochs * self.epochs)),
            batch=self.batch,
            validate_every=0,
            save_every=max(1, round(epochs * self.epochs / 4)),
            ema=0.99,
            augment=AugmentConfig(scale=(0.8, 1.6), brightness=0.15, contrast=0.2, gamma=0.2, saturation=0.3),
            loss=loss or LossConfig(),
            **rest,  # type: ignore[arg-type]
        )


WHOLE = Scale()
QUICK = Scale(size=(64, 96), clips=6, frames=6, held_out_clips=3, epochs=0.15, batch=8, seeds=2)
TINY = Scale(size=(64, 96), clips=2, frames=6, held_out_clips=2, epochs=0.05, batch=4, seeds=1, budgets=(0.5, 0.8))
