"""Functional coverage of a stream's fields: did the corners of every operand, and their pairs, go in?"""

from itertools import combinations

import numpy as np

__all__ = ["coverage", "holes"]


def _bins(field):
    bins = {"minimum": field.minimum, "-1": -1, "0": 0, "1": 1, "maximum": field.maximum}
    if not field.signed:
        del bins["-1"]
    distinct = {}
    for name, value in bins.items():
        if field.minimum <= value <= field.maximum and value not in distinct.values():
            distinct[name] = value
    return distinct


def coverage(payload, beats, never=()):
    """How often each corner went in.

    Parameters
    ----------
    payload : :class:`~carrysave.models.payload.Payload`
    beats : array of ``payload.dtype``
    never : iterable of :class:`str`
        Bins to leave out, as ``"field: bin"``: what no legal beats meet.

    Returns
    -------
    :class:`dict`
        From a field's name, and from ``"x x y"`` for each pair of scalar fields, to a dictionary of bins to counts. A
        field's bins are minimum, -1, 0, 1 and maximum, as far as it can hold them and they differ. An array field's
        count is that of the element that met the bin least often, so that no count of zero hides.
    """
    result, hits = {}, {}
    for field in payload.fields:
        values = beats[field.name].reshape(len(beats), field.size)
        hits[field.name] = {name: values == value for name, value in _bins(field).items()}
        result[field.name] = {
            name: int(found.sum(axis=0).min(initial=len(beats))) for name, found in hits[field.name].items()
        }
    scalars = [field.name for field in payload.fields if not field.shape]
    for one, other in combinations(scalars, 2):
        result[f"{one} x {other}"] = {
            f"{name}, {other_name}": int(np.count_nonzero(found & other_found))
            for name, found in hits[one].items()
            for other_name, other_found in hits[other].items()
        }
    left_out = set(never)
    return {
        name: {bin_: count for bin_, count in bins.items() if f"{name}: {bin_}" not in left_out}
        for name, bins in result.items()
    }


def holes(covered):
    """Names of the bins that were never met, as ``"field: bin"``."""
    return [f"{name}: {bin_}" for name, bins in covered.items() for bin_, count in bins.items() if not count]
