"""Telling people what went wrong: a beat in words, and one line on a mismatch with the inputs that led to it."""

from ..hdl.catalogue import design

__all__ = ["completing_beat", "describe_beat", "mismatch"]

NEAR = 4


def describe_beat(payload, beat):
    """One beat as ``name=value`` pairs; long arrays are cut."""
    parts = []
    for field in payload.fields:
        values = beat[field.name].ravel().tolist()
        text = (
            str(values[0]) if not field.shape else f"[{', '.join(map(str, values[:16]))}{', ...' * (len(values) > 16)}]"
        )
        parts.append(f"{field.name}={text}")
    return " ".join(parts)


def completing_beat(config, beats, index):
    """Index of the input beat that completes output beat ``index``; None if the inputs do not give that many."""
    golden = design(config.design).golden
    low, high = 0, len(beats)
    if len(golden(config, beats)) <= index:
        return None
    while high - low > 1:  # invariant: `low` beats give too few outputs, `high` beats enough
        middle = (low + high) // 2
        if len(golden(config, beats[:middle])) > index:
            high = middle
        else:
            low = middle
    return high - 1


def mismatch(config, beats, expected, *, index, got, cycle):
    """One line on a wrong output beat.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
    beats, expected : arrays
        Input beats and expected output beats.
    index : :class:`int`
        Which output beat is wrong.
    got : array of one beat, or None
        What came; None if it had unknown (x) bits.
    cycle : :class:`int`
        Clock cycle in which it came.
    """
    got_text = "unknown (x) bits" if got is None else describe_beat(config.o, got[0])
    if index >= len(expected):
        return f"output beat {index}, cycle {cycle}: got {got_text}, expected no more than {len(expected)} output beats"
    text = f"output beat {index}, cycle {cycle}: got {got_text}, expected {describe_beat(config.o, expected[index])}"
    last = completing_beat(config, beats, index)
    if last is None:
        return text
    first = max(last - NEAR + 1, 0)
    near = "; ".join(f"{n}: {describe_beat(config.i, beats[n])}" for n in range(first, last + 1))
    return f"{text}; inputs up to the beat that completes it: {near}"
