"""Becomes ``edge-vss run`` with the options of a TOML file: what the systemd unit starts.

``python -m edge_vss.jetson.service /etc/edge-vss/camera.toml``
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from edge_vss.errors import BadInput, shortened

__all__ = ["main", "read_command"]

POSITIONAL = ("bundle", "source")


def read_command(path: Path) -> list[str]:
    """The arguments of ``edge-vss`` that a file stands for. Which options there are, ``edge-vss run`` knows.

    Raises:
        BadInput: The file cannot be read, is no TOML, lacks the bundle or the source, or holds what is no option.
    """
    try:
        options = msgspec.toml.decode(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: is no TOML: {error}") from None
    for name in POSITIONAL:
        if not isinstance(options.get(name), str) or not options[name]:
            raise BadInput(f'{path}: wants {name} = "…"')
    extra = [part for key, value in options.items() if key not in POSITIONAL for part in _option(path, key, value)]
    return ["run", *extra, "--", *(options[name] for name in POSITIONAL)]


def _option(path: Path, key: str, value: Any) -> Iterator[str]:
    option = "--" + key.replace("_", "-")
    if value is True:
        yield option
    elif isinstance(value, list):
        for each in value:
            yield from _option(path, key, each)
    elif isinstance(value, str | int | float):
        if value is not False:
            yield f"{option}={value}"
    else:
        raise BadInput(f"{path}: {key} is no option; want text, a number, true or a list")


def main(arguments: list[str] | None = None) -> int:
    """Read the file and become the frame loop; only a failure comes back."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("edge-vss: usage: python -m edge_vss.jetson.service FILE.toml", file=sys.stderr)
        return 2
    try:
        command = read_command(Path(arguments[0]))
    except BadInput as error:
        print(f"edge-vss: {shortened(str(error))}", file=sys.stderr)
        return error.exit_code
    # The same process, so that systemd hears its signs of life from the one that it watches.
    os.execv(sys.executable, [sys.executable, "-m", "edge_vss.cli", *command])


if __name__ == "__main__":
    sys.exit(main())
