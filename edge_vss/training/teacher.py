"""Teachers: a checkpoint of ours or an ONNX file of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from edge_vss.errors import BadInput
from edge_vss.networks import StagedNetwork
from edge_vss.networks.staged import LOGITS
from edge_vss.training.checkpoint import load_checkpoint

__all__ = ["OnnxTeacher", "StagedTeacher", "Teacher", "load_teacher"]


class Teacher(Protocol):
    """Scores, and where it has them features, of a batch of images."""

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, 3, H, W) float32, normalised → (N, C, h, w) logits and (N, c, h', w') features or None."""


class StagedTeacher:
    """A network of ours; its features are those of its deep stage."""

    def __init__(self, network: StagedNetwork) -> None:
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        self.network.to(images.device)
        outputs = self.network(images)
        feature = next((value for name, value in outputs.items() if name.startswith("feature/")), None)
        return outputs[LOGITS].float(), None if feature is None else feature.float()


class OnnxTeacher:
    """An ONNX file run by ONNX Runtime: one (N, 3, H, W) float32 input, logits (N, C, h, w) as its first output.

    It is fed images normalised as the student's. A file of fixed batch size 1 is run frame by frame.

    Raises:
        BadInput: It does not load, or has other inputs or outputs than those.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        onnxruntime.disable_telemetry_events()
        if not path.is_file():
            raise BadInput(f"no teacher at {path}")
        try:
            self.session = onnxruntime.InferenceSession(str(path), providers=onnxruntime.get_available_providers())
        except Exception as error:  # ONNX Runtime's exceptions share no base but this.
            raise BadInput(f"teacher {path} does not load: {str(error).splitlines()[0]}") from error
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
            raise BadInput(f"teacher {path} has {len(inputs)} inputs; want one of shape (N, 3, H, W), float32")
        if len(outputs[0].shape) != 4 or outputs[0].type != "tensor(float)":
            raise BadInput(f"teacher {path}: output {outputs[0].name} is not (N, C, h, w) float32 logits")
        self.path = path
        self.input, self.output = inputs[0], outputs[0]

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        pixels = np.ascontiguousarray(images.detach().float().cpu().numpy())
        for place, (want, got) in enumerate(zip(self.input.shape, pixels.shape, strict=True)):
            if place > 0 and isinstance(want, int) and want != got:
                raise BadInput(
                    f"teacher {self.path} takes {self.input.shape}, training crops are {pixels.shape}: "
                    "set crop_height and crop_width to its size"
                )
        pieces = np.split(pixels, len(pixels)) if self.input.shape[0] == 1 else [pixels]
        scores = [self.session.run([self.output.name], {self.input.name: piece})[0] for piece in pieces]
        return torch.from_numpy(np.concatenate(scores)).to(images.device), None


def load_teacher(source: str, classes: int) -> Teacher:
    """A teacher for students with ``classes`` classes.

    Args:
        source: A checkpoint, ``zoo:NAME`` or a file that ends in ``.onnx``.

    Raises:
        BadInput: It does not load, looks at frames before, or scores another number of classes.
    """
    if source.endswith(".onnx"):
        teacher = OnnxTeacher(Path(source))
        found = teacher.output.shape[1]
        if not isinstance(found, int):
            raise BadInput(f"teacher {source}: the number of classes is not fixed in the file")
        loaded: Teacher = teacher
    else:
        checkpoint = load_checkpoint(source)
        if checkpoint.network.turns > 1:
            raise BadInput(f"teacher {source}: its sub-networks take turns; a teacher answers frame by frame")
        found = checkpoint.info.network.classes
        loaded = StagedTeacher(checkpoint.network)
    if found != classes:
        raise BadInput(f"teacher {source} scores {found} classes, the data has {classes}")
    return loaded
