"""Arithmetic at the heart of AI accelerators: RTL, golden models, proofs, silicon figures and bitstreams.

The calls listed in ``__all__`` are what the command line does, and return data; see :mod:`carrysave.api`.
"""

import importlib

__version__ = "0.1.0"

__all__ = [
    "CarrysaveError",
    "build",
    "compare_tpe",
    "configure",
    "demo",
    "designs",
    "doctor",
    "front",
    "gemm",
    "generate",
    "report",
    "run",
    "show",
    "verify",
]

_HOMES = {
    "CarrysaveError": ".models.errors",
    "compare_tpe": ".compare",
    "demo": ".demonstration",
    "doctor": ".health",
    "gemm": ".multiply",
}


def __getattr__(name):
    # Imported at first use: the rooms import the version from here, and most uses need only one of them.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, ".api"), __name__), name)
