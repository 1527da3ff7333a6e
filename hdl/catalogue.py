"""Every design by name."""

import difflib

from ..models.errors import CarrysaveError
from .design import Design
from .designs_dfp import DFP_DESIGNS
from .designs_fixed import FIXED_POINT_DESIGNS
from .designs_float import FLOAT_DESIGNS
from .designs_integer import INTEGER_DESIGNS

__all__ = ["DESIGNS", "Design", "UnknownDesign", "design"]


class UnknownDesign(CarrysaveError, KeyError):
    """No design of that name."""

    def __str__(self):
        return self.args[0]


DESIGNS = {entry.name: entry for entry in (*INTEGER_DESIGNS, *FLOAT_DESIGNS, *DFP_DESIGNS, *FIXED_POINT_DESIGNS)}


def design(name):
    """The entry of that name; raises :exc:`UnknownDesign` with the nearest names."""
    if name in DESIGNS:
        return DESIGNS[name]
    near = difflib.get_close_matches(str(name), DESIGNS, n=3, cutoff=0.6) or sorted(DESIGNS)
    raise UnknownDesign(f"no design is called {name!r}; did you mean {', '.join(near)}?")
