"""Whether a bundle holds what ``--backend`` and ``--precision`` ask for, said before anything is loaded."""

from __future__ import annotations

from edge_vss.bundle import Bundle, Variant
from edge_vss.errors import BadInput, WrongUsage
from edge_vss.runtime import backends

__all__ = ["PRECISIONS", "check_variant"]

PRECISIONS = ("fp32", "fp16", "int8")
"""Names that ``export`` and ``build`` know; a bundle that someone else wrote may have others."""


def check_variant(bundle: Bundle, backend: str, precision: str) -> Variant:
    """The first variant for a backend and a precision, ``auto`` or a name each; refuse what no variant has.

    Whether the machine can run the variant is for ``Pipeline`` to say.

    Raises:
        WrongUsage: No bundle has a variant of that name.
        BadInput: This bundle has none; the line lists those that it has.
    """
    variants = bundle.manifest.variants
    for option, name, known, held in (
        ("--backend", backend, tuple(backends()), {variant.backend for variant in variants}),
        ("--precision", precision, PRECISIONS, {variant.precision for variant in variants}),
    ):
        if name not in ("auto", *known, *held):
            raise WrongUsage(f"{option} {name!r} is not known; want auto or one of: {', '.join(known)}")
    for variant in variants:
        if backend in ("auto", variant.backend) and precision in ("auto", variant.precision):
            return variant
    asked = " ".join(name for name in (backend, precision) if name != "auto")
    listed = ", ".join(f"{variant.backend} {variant.precision}" for variant in variants)
    raise BadInput(f"{bundle.path} has no variant {asked!r}; it has: {listed}")
