"""Parts of units of rows: where rows end in a stream, one value of a row's elements, rows that wait for it."""

from amaranth.hdl import Cat, Const, Mux, Signal, signed
from amaranth.lib import fifo

from ..models.shift_exp import SUM_LIMIT

__all__ = ["MaximumBuffer", "RowCounter", "RowValue", "clamped_sum", "ends_width", "filled", "give_ends"]


def clamped_sum(total):
    """A sum of exponentials, clamped."""
    return Mux(total > SUM_LIMIT, SUM_LIMIT, total)[: SUM_LIMIT.bit_length()]


def ends_width(config):
    """Bits of the ends of a beat, which go with it: see :class:`RowCounter`."""
    return 2 + config.empty_width


def filled(m, config, ends, words, name, *, neutral=0):
    """Words of the lanes of a beat with these ends; in empty lanes the neutral word. The first lane is never empty."""
    found = words[:1]
    for n, word in enumerate(words[1:], 1):
        found.append(Signal.like(word, name=f"{name}{n}"))
        m.d.comb += found[n].eq(Mux(ends[2:] < config.lanes - n, word, neutral))
    return found


def give_ends(m, config, payload, ends):
    """Drive ``last``, ``cut`` and ``empty`` of results."""
    names = ("last", "cut", *(field.name for field in config.empty_fields))
    m.d.comb += Cat(payload[name] for name in names).eq(ends)


class RowCounter:
    """Where rows end: at ``last``, and after the longest row without it.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    config : :class:`~carrysave.models.row_unit.RowUnitConfig`
    payload : view
        Of a beat: ``last``, and ``empty`` with more than one lane.
    accepted : 1-bit value
        A beat of data is taken.

    Members
    -------
    place : value
        Of the beat in its row.
    ending : 1-bit value
        The beat ends its row.
    empty : value
        How many of its lanes are empty.
    ends : value
        It ends its row; it does so without ``last``; ``empty``.
    """

    def __init__(self, m, config, *, payload, accepted):
        last = payload.last
        self.place = Signal(range(max(config.row_beats, 2)), name="place")
        self.ending, cut = Signal(name="ending"), Signal(name="cut")
        m.d.comb += [cut.eq(~last & (self.place == config.row_beats - 1)), self.ending.eq(last | cut)]
        self.empty = Const(0, 0)
        if config.empty_fields:
            self.empty = Signal(config.empty_width, name="empty")
            m.d.comb += self.empty.eq(Mux(last, payload.empty, 0))
        self.ends = Cat(self.ending, cut, self.empty)
        with m.If(accepted):
            m.d.sync += self.place.eq(Mux(self.ending, 0, self.place + 1))


class RowValue:
    """One value of all elements of a row, by a tree over a beat's and a register over the beats; never waits.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    words : list of values
        A beat's, one a lane.
    valid, ends : 1-bit value
        There is a beat; it ends its row.
    pair : callable
        From two values the value of both.
    shape : shape
        Of what a row has.
    limited : callable, optional
        From a value of a beat, and from one of a register and a beat, to what the register keeps.
    name : :class:`str`
        Prefix of signals.

    Members
    -------
    value : value
        Of a row, ``ceil(log2(lanes)) + 1`` cycles after its last beat; for one cycle.
    valid : 1-bit value
        It is there.
    """

    def __init__(self, m, words, *, valid, ends, pair, shape, name, limited=lambda value: value):
        def held(value, what, *, reset=False):
            register = Signal(value.shape(), name=f"{name}_{what}", reset_less=not reset)
            m.d.sync += register.eq(value)
            return register

        flow, level = Cat(valid, valid & ends), 0
        while len(words) > 1:
            words = [pair(*words[n : n + 2]) if n + 1 < len(words) else words[n] for n in range(0, len(words), 2)]
            words = [held(word, f"{level}_{n}") for n, word in enumerate(words)]
            flow, level = held(flow, f"flow{level}", reset=True), level + 1
        (word,) = words
        self.value = Signal(shape, name=f"{name}_of_row", reset_less=True)
        first = Signal(name=f"{name}_first", init=1)
        self.valid = held(flow[1], "ended", reset=True)
        with m.If(flow[0]):
            m.d.sync += [first.eq(flow[1]), self.value.eq(Mux(first, limited(word), limited(pair(self.value, word))))]


class MaximumBuffer:
    """Rows wait here until their maximum is known.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    config : :class:`~carrysave.models.row_unit.RowUnitConfig`
        With ``maximum_cycles``.
    i : stream
        Of ``x``, ``last``, and ``empty`` with more than one lane.
    at_least : :class:`int`, optional
        The maximum is no less.

    Members
    -------
    r_rdy, r_en : ``Signal()``
        There is a beat; it is taken, if there is one.
    beat : value
        Elements, lane 0 lowest, and above them the beat's ends. An element of an empty lane is the smallest there is, or
        ``at_least``.
    maximum : value
        Of the beat's row, signed.

    Implementation notes
    --------------------
    The buffer of beats holds a longest row and what comes until the first beat of it is taken, so that no row can fill it without
    its end. Beside it is one of maxima, as deep: a row has a beat there.
    """

    def __init__(self, m, config, i, *, at_least=None):
        accepted = Signal(name="accepted")
        counter = RowCounter(m, config, payload=i.p, accepted=accepted)
        neutral = -(1 << config.width - 1) if at_least is None else at_least
        values = [i.p.x[n] for n in range(config.lanes)]
        values = filled(m, config, counter.ends, values, "filled", neutral=neutral)
        width, depth = config.lanes * config.width, config.row_beats + config.maximum_cycles + 1
        m.submodules.elements = elements = fifo.SyncFIFO(width=width + ends_width(config), depth=depth)
        m.submodules.maxima = maxima = fifo.SyncFIFO(width=config.width, depth=depth)
        value = RowValue(
            m, values, valid=accepted, ends=counter.ending, pair=_larger, shape=signed(config.width), name="maximum"
        )
        largest = value.value if at_least is None else _larger(value.value, at_least)
        self.r_rdy, self.r_en = Signal(name="row_known"), Signal(name="row_taken")
        self.beat, self.maximum = elements.r_data, Signal(signed(config.width), name="maximum_known")
        m.d.comb += [
            accepted.eq(i.valid & i.ready),
            i.ready.eq(elements.w_rdy),
            elements.w_data.eq(Cat(*values, counter.ends)),
            elements.w_en.eq(accepted),
            maxima.w_data.eq(largest),
            maxima.w_en.eq(value.valid),
            self.r_rdy.eq(maxima.r_rdy),
            self.maximum.eq(maxima.r_data),
            elements.r_en.eq(self.r_rdy & self.r_en),
            maxima.r_en.eq(elements.r_en & elements.r_data[width]),
        ]


def _larger(a, b):
    return Mux(a > b, a, b)
