"""What goes wrong, sorted by who can mend it; the command line turns each kind into one line and an exit code."""

from __future__ import annotations

__all__ = ["BadInput", "DeviceError", "EdgeVssError", "GateRefused"]


class EdgeVssError(Exception):
    """Base of the errors that carry a message for the user: what is wrong, where, what to do."""

    exit_code = 1


class BadInput(EdgeVssError, ValueError):
    """Something that does not load: a bundle, a checkpoint, data or video (exit code 3)."""

    exit_code = 3


class DeviceError(EdgeVssError, RuntimeError):
    """A camera, an accelerator or a back end that fails or is not there (exit code 4)."""

    exit_code = 4


class GateRefused(EdgeVssError):
    """A gate said no: accuracy, regression or golden mismatch (exit code 5)."""

    exit_code = 5
