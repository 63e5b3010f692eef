"""What the simulated ``tensorrt`` and ``pycuda`` share: the faults that a test asks for, device memory, and a record
of every name that the code under test touches.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

__all__ = ["Object", "Simulated", "State", "Use", "enumeration", "record_module", "start", "state"]

CODE_UNDER_TEST = "edge_vss."


@dataclass
class Use:
    """How a name was used."""

    calls: set[int] = field(default_factory=set)
    """Numbers of positional arguments, self not counted."""
    set: bool = False


@dataclass
class State:
    """The machine; a test makes a fresh one."""

    version: str = "10.3.0"
    faults: set[str] = field(default_factory=set)
    """Steps that fail: builder, parser, build, deserialise, json (broken), silent (names without types), context,
    address, execute, memory, retain."""
    types: tuple[str, ...] = ("FP32",)
    """Types of a plan's layers as the inspector tells them, in turn."""
    dla_cores: int = 0
    memory: dict[int, bytearray] = field(default_factory=dict)
    """Address -> device memory."""
    queues: dict[int, list[Callable[[], None]]] = field(default_factory=dict)
    """Stream -> work that waits for somebody to synchronise."""
    contexts: list[str] = field(default_factory=list)
    """CUDA contexts of this thread; retained ones that were not detached."""
    builds: int = 0
    configs: list[dict[str, Any]] = field(default_factory=list)
    """What every build was asked for."""
    used: dict[str, Use] = field(default_factory=dict)
    """Dotted name in ``tensorrt`` -> how the code under test used it."""

    @property
    def generation(self) -> int:
        return int(self.version.partition(".")[0])


_current = State()


def state() -> State:
    return _current


def start(fresh: State) -> State:
    global _current
    _current = fresh
    return fresh


def _from_code_under_test(depth: int) -> bool:
    return str(sys._getframe(depth + 1).f_globals.get("__name__", "")).startswith(CODE_UNDER_TEST)


def _note(name: str) -> Use:
    return _current.used.setdefault(name, Use())


def _noted(name: str) -> bool:
    return not name.startswith("__") or name in ("__init__", "__version__")


class Simulated(type):
    """Metaclass that records the class attributes, enumeration members and constructors that are used."""

    def __getattribute__(cls, name: str) -> Any:
        value = super().__getattribute__(name)
        if _noted(name) and cls.__module__ == "tensorrt" and _from_code_under_test(1):
            _note(f"{cls.__name__}.{name}")
        return value

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        if cls.__module__ == "tensorrt" and _from_code_under_test(1):
            _note(f"{cls.__name__}.__init__").calls.add(len(arguments))
        return super().__call__(*arguments, **options)


class Object(metaclass=Simulated):
    """Base that records attributes read, methods called and properties set on instances, under their class."""

    def __init_subclass__(cls) -> None:
        if cls.__module__ == "tensorrt":
            return
        base = next(parent for parent in cls.__mro__ if parent.__module__ == "tensorrt")
        for name, value in vars(cls).items():
            if _noted(name) and name != "__init__" and hasattr(base, name):  # an override, called by TensorRT
                _note(f"{base.__name__}.{name}").calls.add(value.__code__.co_argcount - 1)

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        kind = type(self)
        if not (_noted(name) and kind.__module__ == "tensorrt" and _from_code_under_test(1)):
            return value
        use = _note(f"{kind.__name__}.{name}")
        if not callable(value):
            return value

        def counted(*arguments: Any) -> Any:
            use.calls.add(len(arguments))
            return value(*arguments)

        return counted

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self)
        if kind.__module__ == "tensorrt" and _from_code_under_test(1):
            if not hasattr(kind, name):
                raise AttributeError(f"{kind.__name__} has no property {name}")  # as the real ones do
            _note(f"{kind.__name__}.{name}").set = True
        object.__setattr__(self, name, value)


def enumeration(name: str, *members: str) -> Any:
    """A class whose members are instances of it, in order."""
    kind = Simulated(name, (Object,), {"__module__": "tensorrt", "__int__": lambda self: self.value})
    for place, member in enumerate(members):
        value = kind()
        value.name, value.value = member, place
        setattr(kind, member, value)
    return kind


class _RecordedModule(ModuleType):
    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if _noted(name) and _from_code_under_test(1):
            _note(name)
        return value


def record_module(module: ModuleType) -> None:
    """From now on, names taken from ``module`` are recorded."""
    module.__class__ = _RecordedModule
