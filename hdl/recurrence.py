"""Unsigned division and square root, a bit a cycle: one at a time in one place, or one begun every cycle in a pipeline."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from .shared import Shared

__all__ = ["Iterative", "Lockstep", "Pipelined", "Quotient", "Root"]


class Quotient:
    """Division.

    Operands are ``dividend`` and ``divisor``, such that the quotient fits; results ``quotient`` and ``rest``.

    Parameters
    ----------
    dividend_width, divisor_width, quotient_width : :class:`int`
    """

    def __init__(self, *, dividend_width, divisor_width, quotient_width):
        self.steps = quotient_width
        self.operands = {"dividend": dividend_width, "divisor": divisor_width}
        self.results = {"quotient": quotient_width, "rest": divisor_width}
        #: State: the word has what is left of the dividend above the quotient so far.
        self.state = {"rest": divisor_width, "quotient": quotient_width, "divisor": divisor_width}

    def first(self, *, dividend, divisor):
        """State before the first step."""
        return {"rest": dividend[self.steps :], "quotient": dividend[: self.steps], "divisor": divisor}

    def step(self, *, rest, quotient, divisor):
        """State after a step."""
        larger = Cat(quotient[-1], rest)
        difference = larger - divisor  # negative if it does not fit
        fits = ~difference[-1]
        return {
            "rest": Mux(fits, difference, larger)[: len(rest)],
            "quotient": Cat(fits, quotient[:-1]),
            "divisor": divisor,
        }


class Root:
    """Square root, rounded down.

    Operand is ``radicand``; result ``root``.

    Parameters
    ----------
    root_width : :class:`int`
        The radicand has twice as many bits.
    """

    def __init__(self, *, root_width):
        self.steps = root_width
        self.operands = {"radicand": 2 * root_width}
        self.results = {"root": root_width}
        # The rest is at most twice the root.
        self.state = {"rest": root_width + 1, "radicand": 2 * root_width, "root": root_width}

    def first(self, *, radicand):
        """State before the first step."""
        return {"rest": Const(0, len(radicand)), "radicand": radicand, "root": Const(0, self.steps)}

    def step(self, *, rest, radicand, root):
        """State after a step."""
        larger = Cat(radicand[-2:], rest)
        difference = larger - Cat(Const(1, 2), root)  # negative if it does not fit
        fits = ~difference[-1]
        return {
            "rest": Mux(fits, difference, larger)[: len(rest)],
            "radicand": Cat(Const(0, 2), radicand[:-2]),
            "root": Cat(fits, root[:-1]),
        }


class _Recurrence(wiring.Component):
    """Base of both.

    Parameters
    ----------
    recurrence : :class:`Quotient` or :class:`Root`

    Members
    -------
    The operands : ``In``
    valid : ``In(1)``
    ready : ``Out(1)``
    The results : ``Out``
        From registers, as many cycles later as there are steps.
    done : ``Out(1)``
        They are there, for this cycle only.
    """

    def __init__(self, recurrence):
        self._recurrence = recurrence
        super().__init__(self.ports(recurrence))

    @staticmethod
    def ports(recurrence):
        """Signature for a recurrence."""
        return wiring.Signature({
            **{name: In(width) for name, width in recurrence.operands.items()},
            "valid": In(1),
            "ready": Out(1),
            **{name: Out(width) for name, width in recurrence.results.items()},
            "done": Out(1),
        })  # fmt: skip

    def _state(self, m, values, suffix, *, registers=False):
        """Values of a state as signals of its widths."""
        signals = {
            name: Signal(width, name=f"{name}_{suffix}", reset_less=registers)
            for name, width in self._recurrence.state.items()
        }
        domain = m.d["sync" if registers else "comb"]
        domain += [signals[name].eq(values[name]) for name in signals]
        return signals

    def _first(self, m):
        operands = {name: getattr(self, name) for name in self._recurrence.operands}
        return self._state(m, self._recurrence.first(**operands), "first")

    def _give(self, m, state):
        m.d.comb += [getattr(self, name).eq(state[name]) for name in self._recurrence.results]


class Pipelined(_Recurrence):
    """One begins every cycle; never waits."""

    def elaborate(self, platform):
        m = Module()
        state, valid = self._first(m), self.valid
        for step in range(self._recurrence.steps):
            state = self._state(m, self._recurrence.step(**state), str(step), registers=True)
            following = Signal(name=f"valid{step}")
            m.d.sync += following.eq(valid)
            valid = following
        self._give(m, state)
        m.d.comb += [self.ready.eq(1), self.done.eq(valid)]
        return m


class Iterative(_Recurrence):
    """One at a time; the next one may begin in the cycle in which the last one is done."""

    def elaborate(self, platform):
        m = Module()
        steps, first = self._recurrence.steps, self._first(m)
        left = Signal(range(steps + 1))  # of what has begun, the last one of being done
        begins = Signal()
        m.d.comb += [self.ready.eq(left <= 1), begins.eq(self.valid & self.ready)]
        held = {
            name: Signal(width, name=f"{name}_held", reset_less=True) for name, width in self._recurrence.state.items()
        }
        now = self._state(m, {name: Mux(begins, first[name], held[name]) for name in held}, "now")
        following = self._recurrence.step(**now)
        m.d.sync += [held[name].eq(following[name]) for name in held]
        with m.If(begins):
            m.d.sync += left.eq(steps)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        self._give(m, held)
        m.d.comb += self.done.eq(left == 1)
        return m


class Lockstep(wiring.Component):
    """Recurrences of all lanes at once, for operands whose number on the way is bounded: who gives them never waits.

    Parameters
    ----------
    recurrence : :class:`Quotient` or :class:`Root`
    style : :class:`str`
        One of :data:`~carrysave.models.row_unit.DIVIDERS`.
    depth : :class:`int`
        Most sets of operands that wait for an iterative one.
    core : :class:`str`
        Name of the lanes' shared module.
    lanes : :class:`int`

    Members
    -------
    The operands : ``In``
        Each that of all lanes, lane 0 lowest.
    valid : ``In(1)``
    The results : ``Out``
        As many cycles later as there are steps, if none is in the way, and one more with ``"iterative"``.
    done : ``Out(1)``
        They are there, for this cycle only.
    """

    def __init__(self, recurrence, *, style, depth, core, lanes=1):
        self._recurrence, self._style, self._depth, self._lanes = recurrence, style, depth, lanes
        self._core = core
        super().__init__({
            **{name: In(width * lanes) for name, width in recurrence.operands.items()},
            "valid": In(1),
            **{name: Out(width * lanes) for name, width in recurrence.results.items()},
            "done": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        operands, valid = {name: getattr(self, name) for name in self._recurrence.operands}, self.valid
        if self._style == "iterative":
            words = Cat(operands.values())
            m.submodules.waiting = waiting = fifo.SyncFIFO(width=len(words), depth=self._depth)
            m.d.comb += [waiting.w_data.eq(words), waiting.w_en.eq(valid)]
            valid, place = waiting.r_rdy, 0
            for name, word in operands.items():
                operands[name] = waiting.r_data[place : place + len(word)]
                place += len(word)
        kind = Iterative if self._style == "iterative" else Pipelined
        lanes = []
        for n in range(self._lanes):
            m.submodules[f"lane_{n}"] = lane = Shared(
                lambda: kind(self._recurrence), kind.ports(self._recurrence), name=self._core, reset=True
            )
            for name, width in self._recurrence.operands.items():
                m.d.comb += getattr(lane, name).eq(operands[name][width * n :][:width])
            m.d.comb += lane.valid.eq(valid)
            lanes.append(lane)
        if self._style == "iterative":
            m.d.comb += waiting.r_en.eq(lanes[0].ready)
        for name in self._recurrence.results:
            m.d.comb += getattr(self, name).eq(Cat(getattr(lane, name) for lane in lanes))
        m.d.comb += self.done.eq(lanes[0].done)
        return m
