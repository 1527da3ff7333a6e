import numpy as np

from carrysave.models.payload import Field, Payload
from carrysave.sim.coverage import coverage, holes

PAYLOAD = Payload((Field("a", 4, True), Field("b", 3), Field("v", 4, True, (2,)), Field("last", 1)))


def beats(**fields):
    return PAYLOAD.beats(**fields)


def test_bins_are_counted():
    covered = coverage(
        PAYLOAD, beats(a=[-8, -1, -1, 7], b=[0, 1, 7, 7], v=[[-8, 0], [0, -8], [1, 1], [0, 7]], last=[0, 1, 1, 1])
    )
    assert covered["a"] == {"minimum": 1, "-1": 2, "0": 0, "1": 0, "maximum": 1}
    assert covered["b"] == {"minimum": 1, "1": 1, "maximum": 2}
    assert covered["last"] == {"minimum": 1, "1": 3}
    assert covered["a x b"]["-1, maximum"] == 1
    assert covered["a x b"]["minimum, maximum"] == 0
    assert set(covered) == {"a", "b", "v", "last", "a x b", "a x last", "b x last"}
    # Every element must have met a bin: the least one counts.
    assert covered["v"] == {"minimum": 1, "-1": 0, "0": 1, "1": 1, "maximum": 0}
    assert "a: 0" in holes(covered)
    assert "a: -1" not in holes(covered)
    met = beats(a=[0], b=[0], v=[[0, 0]], last=[0])
    assert "a x last: 1, 1" in holes(coverage(PAYLOAD, met))
    assert "a x last: 1, 1" not in holes(coverage(PAYLOAD, met, ["a x last: 1, 1"]))


def test_no_beats_cover_nothing():
    covered = coverage(PAYLOAD, PAYLOAD.zeros(0))
    assert not np.any([count for bins in covered.values() for count in bins.values()])
