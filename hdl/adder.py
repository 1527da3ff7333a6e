"""Carry-propagate adders: parallel-prefix structures over bits that may arrive at different times."""

from amaranth.hdl import Cat, Const, Signal, Value

__all__ = ["prefix_add", "prefix_levels"]


def prefix_levels(structure, width):
    """The combinations of a parallel-prefix structure.

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


def prefix_add(m, columns, *, structure, name="sum"):
    """Sum of one or two dots a column, modulo the number of columns.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    columns : list of list of 1-bit values
        One or two dots each, least significant column first; a column may be empty, too.
    structure : :class:`str`
        See :func:`prefix_levels`.
    name : :class:`str`
        Prefix of the signals.

    Returns
    -------
    value
        As wide as there are columns.
    """

    def named(kind, i, value):
        signal = Signal(name=f"{name}_{kind}{i}")
        m.d.comb += signal.eq(value)
        return signal

    half, generate, propagate = [], [], []
    for i, dots in enumerate(columns):
        if len(dots) > 2:
            raise ValueError(f"column {i} holds {len(dots)!r} dots, an adder takes two at most")
        x, y = [*map(Value.cast, dots), Const(0), Const(0)][:2]
        half.append(named("h", i, x ^ y) if len(dots) == 2 else x)
        generate.append(named("g", i, x & y) if len(dots) == 2 else Const(0))
        propagate.append(half[-1])

    for number, level in enumerate(prefix_levels(structure, len(columns))):
        before = list(generate), list(propagate)
        for i, j in level:
            g, p = before[0][i], before[1][i]
            low_g, low_p = before[0][j], before[1][j]
            if not _is_zero(low_g):
                through = p & low_g
                generate[i] = named(f"g{number}_", i, through if _is_zero(g) else g | through)
            propagate[i] = Const(0) if _is_zero(p) or _is_zero(low_p) else named(f"p{number}_", i, p & low_p)

    bits = [half[0]] if half else []
    for i in range(1, len(columns)):
        carry = generate[i - 1]
        bits.append(half[i] if _is_zero(carry) else half[i] ^ carry)
    return Cat(bits)


def _is_zero(value):
    return isinstance(value, Const) and value.value == 0
