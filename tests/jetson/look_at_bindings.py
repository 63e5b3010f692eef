"""Looks for names in TensorRT's bindings: run in a process of its own, JSON in and out.

In: dotted name -> {"calls": numbers of positional arguments, "set": whether it was assigned to}.
Out: ``version``; ``problems``: what does not fit, in words; ``unseen``: names that could be hidden without a problem.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import tensorrt_bindings as trt


def find(name: str) -> Any:
    found: Any = trt
    for part in name.split("."):
        found = getattr(found, part)
    return found


def parameters(text: str) -> list[str]:
    """The parameters of a signature, split at commas outside brackets."""
    parts, depth, current = [], 0, ""
    for letter in text:
        depth += (letter in "([<{") - (letter in ")]>}")
        if letter == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += letter
    return [part.strip() for part in [*parts, current] if part.strip()]


def takes(found: Any, name: str, count: int) -> bool:
    """Whether one of a method's signatures, as its docstring has them, takes ``count`` positional arguments."""
    last = name.rpartition(".")[2]
    signatures = re.findall(rf"^(?:\d+\. )?{last}\((.*)\) -> ", found.__doc__ or "", re.MULTILINE)
    for signature in signatures:
        given = [part for part in parameters(signature) if not part.startswith("self")]
        if sum("=" not in part for part in given) <= count <= len(given):
            return True
    return False


def problems(uses: dict[str, Any]) -> list[str]:
    wrong = []
    for name, use in uses.items():
        try:
            found = find(name)
        except AttributeError:
            wrong.append(f"{name} does not exist")
            continue
        wrong += [f"{name} does not take {count} arguments" for count in use["calls"] if not takes(found, name, count)]
        if use["set"] and getattr(found, "fset", None) is None:
            wrong.append(f"{name} cannot be set")
    return wrong


def unseen(uses: dict[str, Any]) -> list[str]:
    """Names whose absence would not be noticed; there should be none."""
    blind = []
    missing = problems(uses)
    for name in uses:
        if name.endswith("__init__") or f"{name} does not exist" in missing:
            continue  # every class has a constructor; its class is hidden instead
        owner = find(name.rpartition(".")[0]) if "." in name else trt
        last = name.rpartition(".")[2]
        holder = next((base for base in getattr(owner, "__mro__", [owner]) if last in vars(base)), owner)
        kept = vars(holder)[last]
        delattr(holder, last)
        if f"{name} does not exist" not in problems(uses):
            blind.append(name)
        setattr(holder, last, kept)
    return blind


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    answer = {"version": trt.__version__, "problems": problems(asked), "unseen": unseen(asked)}
    answer["after"] = problems(asked)
    print(json.dumps(answer))
