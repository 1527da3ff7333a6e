"""Carry-propagate adders: parallel-prefix structures over bits that may arrive at different times."""

import functools
from itertools import pairwise

from amaranth.hdl import Cat, Const, Signal, Value

from .bit_heap import AND_PS, XOR_PS

__all__ = ["adder_parts", "arrival_prefix", "prefix_add", "prefix_levels"]

NODE_PS = 40  # through one prefix node, from a group's propagate or from the generate below it

_NEVER = -1  # arrival of a bit that is constantly zero


def adder_parts(width, count):
    """Bits of an adder that works in parts, a cycle apart, the lowest first; list of :class:`slice`."""
    return [slice(low, high) for low, high in pairwise(width * index // count for index in range(count + 1))]


def prefix_levels(structure, width):
    """The combinations of a regular parallel-prefix structure.

    Parameters
    ----------
    structure : :class:`str`
        ``"kogge-stone"``, ``"han-carlson"``, ``"sklansky"``, ``"brent-kung"`` or ``"ripple"``.
    width : :class:`int`
        Number of bits.

    Returns
    -------
    list of list of (int, int)
        Levels; each combines position ``i`` with the lower position ``j``, all from the values before the level.
    """
    if structure == "ripple":
        return [[(i, i - 1)] for i in range(1, width)]
    spans = [1 << k for k in range((width - 1).bit_length())]
    if structure == "kogge-stone":
        return [[(i, i - span) for i in range(span, width)] for span in spans]
    if structure == "sklansky":
        return [[(i, (i // span) * span - 1) for i in range(width) if (i // span) % 2] for span in spans]
    if structure == "brent-kung":
        up = [[(i, i - span) for i in range(2 * span - 1, width, 2 * span)] for span in spans]
        down = [[(i, i - span) for i in range(3 * span - 1, width, 2 * span)] for span in reversed(spans[:-1])]
        return [level for level in up + down if level]
    if structure == "han-carlson":
        # Kogge-Stone over the odd positions, then one level for the even ones.
        levels = [[(i, i - 1) for i in range(1, width, 2)]]
        levels += [[(i, i - span) for i in range(span + 1, width, 2)] for span in spans[1:]]
        levels.append([(i, i - 1) for i in range(2, width, 2)])
        return [level for level in levels if level]
    raise ValueError(f"prefix structure must be one of the known ones, not {structure!r}")


def _joined(high, low):
    """Arrival of (generate, propagate) of two neighbouring groups taken together."""
    (high_g, high_p), (low_g, low_p) = high, low
    propagate = _NEVER if _NEVER in (high_p, low_p) else max(high_p, low_p) + AND_PS
    if _NEVER in (low_g, high_p):
        return high_g, propagate
    # The generate of the higher group meets the last gate only.
    return max(low_g + NODE_PS, high_p + NODE_PS, high_g + NODE_PS // 2), propagate


@functools.lru_cache(maxsize=64)
def arrival_prefix(leaves):
    """A prefix structure for bits that arrive at different times: no slower than any, and no larger than that needs.

    Parameters
    ----------
    leaves : tuple of (int, int)
        When each position's generate and propagate arrive, in ps; -1 for one that is constantly zero.

    Returns
    -------
    list of (int, int, int)
        Nodes ``(high, split, low)`` in the order in which they can be built: the group ``high..low`` from the groups
        ``high..split`` and ``split - 1..low``. All groups ``i..0`` are among them.

    Implementation notes
    --------------------
    First the earliest possible arrival of every group, over all ways to split it. The latest of the groups that begin at
    0, the carries, sets the deadline of them all. Then, from the highest carry down, each takes the split that needs the
    fewest nodes that are not there yet and keeps its deadline; the lower carry it builds on inherits an earlier one. Where
    there is time the cheapest split is the ripple.
    """
    width = len(leaves)
    arrival = {(i, i): leaf for i, leaf in enumerate(leaves)}
    fastest = {}
    for span in range(1, width):
        for low in range(width - span):
            high = low + span
            options = [(_joined(arrival[high, k], arrival[k - 1, low]), k) for k in range(low + 1, high + 1)]
            # Nothing asks for the propagate of a group that begins at 0.
            arrival[high, low], fastest[high, low] = min(
                options, key=lambda option: (max(option[0]) if low else option[0][0], -option[1])
            )
    deadline = [max((arrival[i, 0][0] for i in range(width)), default=0)] * width

    built = {(i, i) for i in range(width)}

    def missing(high, low):
        if (high, low) in built:
            return []
        split = fastest[high, low]
        return [*missing(high, split), *missing(split - 1, low), (high, split, low)]

    groups, carries = [], []
    for i in range(width - 1, 0, -1):
        choices = [
            (missing(i, split), split)
            for split in range(1, i + 1)
            if _joined(arrival[i, split], arrival[split - 1, 0])[0] <= deadline[i]
        ]
        nodes, split = min(choices, key=lambda choice: (len(choice[0]), -choice[1]))
        groups += nodes
        built.update((high, low) for high, _split, low in nodes)
        carries.append((i, split, 0))
        if _NEVER not in (arrival[i, split][1], arrival[split - 1, 0][0]):
            deadline[split - 1] = min(deadline[split - 1], deadline[i] - NODE_PS)
    return groups + carries[::-1]


def _regular_prefix(structure, width):
    lows, nodes = list(range(width)), []
    for level in prefix_levels(structure, width):
        before = list(lows)
        for i, j in level:
            nodes.append((i, j + 1, before[j]))
            lows[i] = before[j]
    return nodes


def prefix_add(m, columns, *, structure, arrivals_ps=None, name="sum"):
    """Sum of one or two dots a column, modulo ``2 ** len(columns)``.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    columns : list of list of 1-bit values
        One or two dots each, least significant column first; a column may be empty, too.
    structure : :class:`str`
        One of those of :func:`prefix_levels`, or ``"hybrid"`` for :func:`arrival_prefix`.
    arrivals_ps : list of :class:`int`, optional
        When the later dot of each column arrives; all at once without.
    name : :class:`str`
        Prefix of the signals.

    Returns
    -------
    value
        As wide as there are columns.
    """

    def named(kind, high, low, value):
        signal = Signal(name=f"{name}_{kind}{high}_{low}")
        m.d.comb += signal.eq(value)
        return signal

    half, generate, propagate, leaves = [], {}, {}, []
    for i, dots in enumerate(columns):
        if len(dots) > 2:
            raise ValueError(f"column {i} holds {len(dots)!r} dots, an adder takes two at most")
        arrival_ps = arrivals_ps[i] if arrivals_ps else 0
        if len(dots) == 2:
            x, y = dots
            half.append(named("h", i, i, x ^ y))
            generate[i, i] = named("g", i, i, x & y)
            leaves.append((arrival_ps + AND_PS, arrival_ps + XOR_PS))
        else:
            half.append(Value.cast(dots[0]) if dots else Const(0))
            generate[i, i] = Const(0)
            leaves.append((_NEVER, arrival_ps if dots else _NEVER))
        propagate[i, i] = half[i]

    nodes = arrival_prefix(tuple(leaves)) if structure == "hybrid" else _regular_prefix(structure, len(columns))
    for high, split, low in nodes:
        g, p, low_g, low_p = (
            part[group] for group in ((high, split), (split - 1, low)) for part in (generate, propagate)
        )
        if not (_is_zero(p) or _is_zero(low_g)):
            through = p & low_g
            g = named("g", high, low, through if _is_zero(g) else g | through)
        generate[high, low] = g
        if low:  # nothing asks for the propagate of a group that begins at 0
            p = Const(0) if _is_zero(p) or _is_zero(low_p) else named("p", high, low, p & low_p)
        propagate[high, low] = p

    bits = half[:1]
    for i in range(1, len(columns)):
        carry = generate[i - 1, 0]
        bits.append(half[i] if _is_zero(carry) else half[i] ^ carry)
    return Cat(bits)


def _is_zero(value):
    return isinstance(value, Const) and value.value == 0
