"""Bit heap: dots of any shape, reduced with full and half adders by arrival time.

A dot is one bit with a bit weight (its column) and an estimated arrival time. Adding dots column by column is how every
multiplier and multiply-accumulate unit here forms its sum; what remains is one dot a column, or two where a carry word
is wanted (carry-save form).
"""

from contextlib import nullcontext

from amaranth.hdl import Const, Signal, Value

__all__ = ["AND_PS", "CARRY_PS", "XOR_PS", "BitHeap"]

# Delays to rank dots by; only their order matters. Of the values near those of loaded NanGate 45 nm gates these gave the
# best PEs (docs/benchmarks.md).
XOR_PS = 70
CARRY_PS = 25
AND_PS = 20


class BitHeap:
    """Dots by column, summed modulo ``2 ** width``.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
        Module that receives the adders.
    width : :class:`int`
        Columns; carries out of the last one are dropped.
    name : :class:`str`
        Prefix of the signals.
    """

    def __init__(self, m, *, width, name="heap"):
        self._m = m
        self._width = width
        self._name = name
        self._columns = [[] for _ in range(width)]
        self._count = 0

    def add(self, column, dot, arrival_ps=0):
        """Add one dot; a constant zero, or a column beyond the width, adds nothing."""
        dot = Value.cast(dot)
        if len(dot) != 1:
            raise ValueError(f"a dot must be one bit wide, not {len(dot)!r}")
        if column >= self._width or (isinstance(dot, Const) and dot.value == 0):
            return
        self._columns[column].append((arrival_ps, self._count, dot))
        self._count += 1

    def add_word(self, word, arrival_ps=0, column=0):
        """Add the bits of an unsigned word, the lowest into ``column``."""
        for offset, dot in enumerate(word):
            self.add(column + offset, dot, arrival_ps)

    @property
    def heights(self):
        """Number of dots in each column."""
        return [len(column) for column in self._columns]

    def _signal(self, kind, column, value):
        signal = Signal(name=f"{self._name}_{kind}{column}_{self._count}")
        self._count += 1
        self._m.d.comb += signal.eq(value)
        return signal

    def _carry_to(self, column, arrival_ps, value):
        if column < self._width:
            self.add(column, self._signal("c", column, value), arrival_ps)

    def _full_adder(self, column, dots):
        (t0, _, x), (t1, _, y), (t2, _, z) = dots
        # The latest dot meets one exclusive-or only. Synthesis turns a multiplexed carry into fewer gates than a majority.
        half = self._signal("p", column, x ^ y)
        half_ps = max(t0, t1) + XOR_PS
        ready_ps = max(half_ps, t2)
        self._carry_to(column + 1, ready_ps + CARRY_PS, (half & z) | (~half & x))
        return ready_ps + XOR_PS, self._count, self._signal("s", column, half ^ z)

    def _half_adder(self, column, dots):
        (t0, _, x), (t1, _, y) = dots
        ready_ps = max(t0, t1)
        self._carry_to(column + 1, ready_ps + AND_PS, x & y)
        return ready_ps + XOR_PS, self._count, self._signal("s", column, x ^ y)

    def reduce(self, two):
        """Reduce to one dot a column, or at most two where ``two(column)`` is true.

        Columns are worked through from the least significant one; in each, the earliest dots are combined first.

        Parameters
        ----------
        two : callable
            From a column to whether two dots may remain there.

        Returns
        -------
        list of list of (arrival_ps, dot)
            What remains, by column; the heap is spent afterwards.
        """
        rest = []
        for column, dots in enumerate(self._columns):
            self._reduce_column(column, 2 if two(column) else 1)
            rest.append([(arrival_ps, dot) for arrival_ps, _, dot in dots])
        return rest

    def register(self, rows, enable=None):
        """Reduce to at most ``rows`` dots a column, and go on with them from registers, a cycle later.

        What is constant stays as it is. With ``enable`` registers take new values only while it is true.
        """
        for column, dots in enumerate(self._columns):
            self._reduce_column(column, rows)
            for index, (_arrival_ps, count, dot) in enumerate(dots):
                if isinstance(dot, Const):
                    continue
                register = Signal(name=f"{self._name}_r{index}_{column}", reset_less=True)
                with self._m.If(enable) if enable is not None else nullcontext():
                    self._m.d.sync += register.eq(dot)
                dots[index] = (0, count, register)

    def _reduce_column(self, column, goal):
        dots = self._columns[column]
        while len(dots) > goal:
            dots.sort(key=lambda dot: dot[:2])
            # A half adder where full adders would leave one dot too many; on the earliest dots, where it hides.
            size = 2 if (len(dots) - goal) % 2 else 3
            taken = dots[:size]
            del dots[:size]
            dots.append(self._full_adder(column, taken) if size == 3 else self._half_adder(column, taken))
        dots.sort(key=lambda dot: dot[:2])
