"""Parts of floating-point multipliers: the operands' fields and classes, the product's exponent, the choice of the answer."""

from amaranth.hdl import Cat, Const, Mux, Signal

from .adder import prefix_levels

__all__ = [
    "ExponentField",
    "Operand",
    "answer",
    "constant_row",
    "half_sums",
    "leading_zeros",
    "named",
    "shifted_left",
    "shifted_right",
    "special_answers",
]


def named(m, name, value):
    """The value as a signal of that name, evaluated once however often it is used."""
    signal = Signal(len(value), name=name)
    m.d.comb += signal.eq(value)
    return signal


def _is_zero(value):
    return isinstance(value, Const) and value.value == 0


def leading_zeros(bits):
    """Whether a power of two of bits are all zero, and how many are above the highest one; all ones if there is none."""
    if len(bits) == 1:
        return ~bits, Cat()
    half = len(bits) // 2
    (low_zero, low), (high_zero, high) = leading_zeros(bits[:half]), leading_zeros(bits[half:])
    return low_zero & high_zero, Cat(Mux(high_zero, low, high), high_zero)


def shifted_left(m, word, amount, name):
    """The word shifted to the left, no longer than it was: one row of multiplexers a bit of the amount."""
    for level, by in enumerate(amount):
        moved = Cat(Const(0, min(1 << level, len(word))), word)[: len(word)]
        word = named(m, f"{name}{level}", Mux(by, moved, word))
    return word


def shifted_right(m, word, amount, name):
    """The word shifted to the right, and whether a one was dropped."""
    sticky = Const(0)
    for level, by in enumerate(amount):
        step = min(1 << level, len(word))
        sticky = named(m, f"{name}_sticky{level}", sticky | (by & word[:step].any()))
        word = named(m, f"{name}{level}", Mux(by, Cat(word[step:], Const(0, step)), word))
    return word, sticky


class Operand:
    """Fields and class of a code.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    code : value
    form : :class:`~carrysave.models.float_format.FloatFormat`
    name : :class:`str`
        Prefix of the signals.

    Members
    -------
    mantissa, exponent : value
        The two fields.
    hidden : 1-bit value
        The exponent field is not 0.
    zero : 1-bit value
        Zero, or a subnormal number of a format without them.
    special, nan : 1-bit value
        Infinity or NaN; NaN. Meaningless in a format without NaN.
    """

    def __init__(self, m, code, form, name):
        self.mantissa = code[: form.mantissa_bits]
        self.exponent = code[form.mantissa_bits : form.mantissa_bits + form.exponent_bits]
        self.hidden = named(m, f"{name}_hidden", self.exponent.any())
        magnitude = Cat(self.mantissa, self.exponent)
        self.zero = ~(magnitude.any() if form.subnormals else self.hidden)
        self.special = named(m, f"{name}_special", (self.exponent if form.nan == "ieee" else magnitude).all())
        self.nan = self.special & self.mantissa.any() if form.infinities else self.special


def special_answers(a, b, form):
    """Answers that infinities and NaNs as operands ask for (IEEE 754-2019, 6.1 and 6.2).

    Parameters
    ----------
    a, b : :class:`Operand`
    form : :class:`~carrysave.models.float_format.FloatFormat`
        Of the operands.

    Returns
    -------
    nan, special : 1-bit value
        The product is NaN; it is NaN or infinity. Constants if the format has neither.
    """
    if form.nan == "none":
        return Const(0), Const(0)
    special = a.special | b.special
    if not form.infinities:
        return special, special
    return a.nan | b.nan | (a.special & b.zero) | (b.special & a.zero), special


def constant_row(x, y, constant, third=None):
    """A row of half adders that adds a constant to two words, specialised to each bit of the constant.

    Parameters
    ----------
    x, y : list of (1-bit value or ``None``)
        Bits of the words; ``None`` in the same columns of both where they have none.
    constant : :class:`int`
        Taken modulo ``2 ** len(x)``.
    third : 1-bit value, optional
        One more dot in column 0.

    Returns
    -------
    columns : list of list of 1-bit values
        At most two dots a column, of the same sum.
    carry : 1-bit value or ``None``
        Dot for the column above.
    """
    columns, carry = [], third
    for column, (p, q) in enumerate(zip(x, y, strict=True)):
        one = constant >> column & 1
        lower = [] if carry is None else [carry]
        if p is None:
            columns.append([Const(1)] * one + lower)
            carry = None
        elif one or lower:
            columns.append([~(p ^ q) if one else p ^ q, *lower])
            carry = p | q if one else p & q
        else:
            columns.append([p, q])
    return columns, carry


def half_sums(columns):
    """Sums of the columns without carries: all ones exactly if the columns' sum, modulo the next power of two, is."""
    return Cat(dots[0] ^ dots[1] if len(dots) == 2 else dots[0] if dots else Const(0) for dots in columns)


def _groups(m, columns, structure):
    """Generate and propagate of the columns from 0 up to each, by a parallel-prefix structure."""
    groups = []
    for i, (dots, half) in enumerate(zip(columns, half_sums(columns), strict=True)):
        generate = dots[0] & dots[1] if len(dots) == 2 else Const(0)
        groups.append((named(m, f"generate{i}", generate), named(m, f"propagate{i}", half)))
    for level, pairs in enumerate(prefix_levels(structure, len(columns))):
        before = list(groups)
        for high, low in pairs:
            (generate, propagate), (low_generate, low_propagate) = before[high], before[low]
            groups[high] = (
                named(m, f"generate{high}_{level}", generate | (propagate & low_generate)),
                named(m, f"propagate{high}_{level}", propagate & low_propagate),
            )
    return groups


class ExponentField:
    """A product's exponent field, but for a carry that comes late.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    half : list of 1-bit values
        Half sums of the field's columns.
    groups : list of (1-bit value, 1-bit value)
        Generate and propagate of the columns from 0 up to each.
    negative, beyond : 1-bit value
        The sum is less than 0; more than the field holds.
    lowest, second, highest : 1-bit value
        The sum is 0; all ones but the last bit; all ones.

    Implementation notes
    --------------------
    Everything but the carry is known before, and all groups wait for it: it meets one gate and an exclusive-or on its way to
    a bit of the field, and two gates on its way to the answer's choice.
    """

    def __init__(self, m, half, groups, **flags):
        self._m = m
        self._half = half
        self._groups = groups
        self._flags = flags

    @classmethod
    def of_sum(cls, m, x, y, *, bias, third=None, structure="sklansky"):
        """Sum of two fields less the bias.

        Parameters
        ----------
        x, y : value
            The fields, equally wide.
        bias : :class:`int`
        third : 1-bit value, optional
            One more dot in column 0.
        structure : :class:`str`
            One of :func:`~carrysave.hdl.adder.prefix_levels`.

        Implementation notes
        --------------------
        A comparison takes no adder: the sum is ``n`` exactly if the sum less ``n + 1`` is all ones, and that shows in the half
        sums. Rows for different constants share what they have in common.
        """
        bits = len(x)

        def row(constant):
            columns, over = constant_row(x, y, constant, third)
            return columns, Const(0) if over is None else over

        def equals(value):
            columns, over = row(-bias - value - 1)
            missing = -1 - (-bias - value - 1 >> bits)  # carries that make all ones of what is above the field
            return half_sums(columns).all() & {0: ~over, 1: over}.get(missing, Const(0))

        columns, over = row(-bias)
        groups = _groups(m, columns, structure)
        # Above the field there are the upper bits of the bias, and up to two carries.
        carry = groups[-1][0]
        at_least = [Const(1), over | carry, over & carry, Const(0)]
        needed = -(-bias >> bits)
        flags = {
            "negative": ~at_least[min(needed, 3)],
            "beyond": at_least[min(needed + 1, 3)],
            "lowest": equals(0),
            "second": equals((1 << bits) - 2),
            "highest": equals((1 << bits) - 1),
        }
        return cls(m, list(half_sums(columns)), groups, **{name: named(m, name, flags[name]) for name in flags})

    @classmethod
    def of_bits(cls, m, field, **flags):
        """A sum that is resolved, with the flags of the class."""
        return cls(m, list(field), [(Const(0), field[: i + 1].all()) for i in range(len(field))], **flags)

    def cut(self, cuts, row):
        """The same from registers of that row, if there is one (:class:`~carrysave.hdl.float_unit.Cuts`)."""
        if row not in cuts:
            return self
        flags = {name: cuts.cut(row, value, name) for name, value in self._flags.items()}
        return self.of_bits(self._m, cuts.cut(row, self._sum(Const(0)), "exponent"), **flags)

    def _sum(self, carry):
        carries = [carry, *(generate | (propagate & carry) for generate, propagate in self._groups)]
        return Cat(half ^ into for half, into in zip(self._half, carries, strict=False))

    def add(self, carry, *, second_is_beyond, highest_is_beyond):
        """Add the carry.

        Parameters
        ----------
        carry : 1-bit value
        second_is_beyond, highest_is_beyond : 1-bit value
            The product exceeds the largest number if the sum *without* the carry is all ones but the last bit; all ones.

        Returns
        -------
        field : value
            Exponent field of the product, if that is neither below nor beyond.
        below : 1-bit value
            The field would be 0 or less.
        beyond : 1-bit value
            The product exceeds the largest number.
        """
        flags = self._flags
        below, beyond = flags["negative"], flags["beyond"]
        if not _is_zero(flags["lowest"]):
            below = below | (flags["lowest"] & ~carry)
        for name, condition in (("second", second_is_beyond), ("highest", highest_is_beyond)):
            if not _is_zero(condition):
                beyond = beyond | (flags[name] & condition)
        field = self._sum(carry)
        return named(self._m, "field", field), named(self._m, "below", below), named(self._m, "beyond", beyond)


class _Choice:
    """Chooses between a computed code and those that conditions ask for.

    Implementation notes
    --------------------
    A bit is one and-or gate: the computed one passes unless it must be 0, and is forced to 1. Where it is forced, what passes
    does not matter, so that a condition reaches one side of the gate only.
    """

    def __init__(self, m, *, enable, zero):
        self._m = m
        self._enable = enable
        self._zero = zero
        self._codes = []
        self._signals = {}

    def add(self, condition, code):
        """Ask for a code; where several conditions hold, their codes are or'ed."""
        if not _is_zero(condition):
            self._codes.append((condition, code))

    def bits(self, computed):
        """The answer."""
        return Cat(self._bit(index, bit) for index, bit in enumerate(computed))

    def _bit(self, index, bit):
        ones = tuple(n for n, (_condition, code) in enumerate(self._codes) if code >> index & 1)
        zeros = tuple(n for n in range(len(self._codes)) if n not in ones)
        passed = bit & self._signal("passes", zeros, self._enable & ~(self._zero | self._any(zeros)))
        return passed | self._signal("forced", ones, self._enable & self._any(ones)) if ones else passed

    def _any(self, numbers):
        return Cat(self._codes[n][0] for n in numbers).any()

    def _signal(self, kind, numbers, value):
        if (kind, numbers) not in self._signals:
            self._signals[kind, numbers] = named(self._m, "_".join([kind, *map(str, numbers)]), value)
        return self._signals[kind, numbers]


def answer(m, magnitude, *, form, enable, sign, zero, below, beyond, overflow, nan, special):
    """The product's code.

    Parameters
    ----------
    magnitude : value
        Mantissa and exponent field as computed.
    form : :class:`~carrysave.models.float_format.FloatFormat`
        Of the product.
    enable : 1-bit value
        Without it all bits are zero.
    sign : 1-bit value
        Sign of the product; NaN has none.
    zero : 1-bit value
        An operand is zero.
    below, beyond : 1-bit value
        What was computed counts as zero; it exceeds the largest number, which counts only if no operand is zero or special.
    overflow : :class:`int`
        Code for that.
    nan, special : 1-bit value
        See :func:`special_answers`.
    """
    # A zero's exponent field is 0: the sum of the two, less such a bias, stays in the field whatever carries into it.
    blocked = special if form.bias > 2 else zero | special
    beyond = named(m, "overflows", beyond & ~blocked)
    choice = _Choice(m, enable=enable, zero=zero | below)
    if form.nan_code is not None:
        choice.add(nan, form.nan_code)
    if form.infinities:
        choice.add(special, form.infinity_code)
    choice.add(beyond, overflow)
    magnitude = choice.bits(magnitude)
    if not form.signed:
        return magnitude
    without_sign = nan | beyond if overflow == form.nan_code else nan
    return Cat(magnitude, sign & enable & ~without_sign)
