"""Trained checkpoints that come with the package, a model card beside each."""

from __future__ import annotations

from pathlib import Path

from edge_vss.errors import BadInput

__all__ = ["zoo_checkpoint", "zoo_names"]

FOLDER = Path(__file__).parent


def zoo_names() -> tuple[str, ...]:
    """Names that ``zoo:NAME`` takes, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.safetensors")))


def zoo_checkpoint(name: str) -> Path:
    """The file of one checkpoint.

    Raises:
        BadInput: No such name.
    """
    if name not in zoo_names():
        raise BadInput(f"no checkpoint zoo:{name}; known: {', '.join(f'zoo:{known}' for known in zoo_names())}")
    return FOLDER / f"{name}.safetensors"
