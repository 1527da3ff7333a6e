"""What weight-stationary arrays have around their grid: streams, accumulator rows, and who waits when."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .accumulator_rows import place_accumulator_rows, place_row_adder, row_number_width
from .stream_unit import StreamUnit

__all__ = ["StationaryArray", "grid_ports", "sums_config"]


def sums_config(config):
    """The configuration inside of the grid, where an accumulator holds the sum of all lanes only, modulo its width."""
    return config.replace(acc_width=config.sum_width, overflow="wrap")


def grid_ports(config):
    """Signature of a grid.

    Members
    -------
    a : ``In``
        A row of A, raw bits.
    weight : ``In(row_cycles)``
        Which of a's digits is multiplied in this cycle, one-hot.
    b : ``In``
        A row of weights, raw bits.
    load : ``In(1)``
        ``b`` is to be shifted in.
    swap : ``In(1)``
        The loaded weights are those of ``a`` in this cycle and later.
    leading : ``In(1)``
        ``weight`` is that of the first digit of a row of A.
    sums : ``Out``
        Sums of all lanes: that of column c, ``depth + c`` cycles after those of ``a`` are in column 0's operand registers.
    """
    return wiring.Signature({
        "a": In(data.ArrayLayout(config.a_width, config.lanes)),
        "weight": In(config.row_cycles),
        "b": In(data.ArrayLayout(config.b_width, config.cols)),
        "load": In(1),
        "swap": In(1),
        "leading": In(1),
        "sums": Out(data.ArrayLayout(config.sum_width, config.cols)),
    })  # fmt: skip


class StationaryArray(StreamUnit):
    """Weight-stationary array with streams; a subclass gives the grid.

    Parameters
    ----------
    config : :class:`~carrysave.models.stationary.StationaryConfig`

    Members
    -------
    i : ``In(stream)``
        A row of A, a row of the next weights, or both a beat; see :attr:`StationaryConfig.i
        <carrysave.models.stationary.StationaryConfig.i>`.
    o : ``Out(stream)``
        A row of C a beat.

    Implementation notes
    --------------------
    Nothing inside ever waits. Finished sums stay in the accumulator rows until the output has taken them, so that these are
    the buffer of the results as well as what brings the columns, each a cycle behind the other, back into line. Which beats
    wait, and for how long, :func:`~carrysave.models.stationary_cycles.stationary_cycles` says.
    """

    def __init__(self, config):
        super().__init__(config)
        self.initiation_interval = 1  # between beats of any kind; between rows it is the configuration's

    def elaborate(self, platform):
        m = Module()
        config, beat = self.config, self.i.p
        m.submodules.grid = grid = self.place_grid()

        # A row is held for as many cycles as it has digits, most significant first, and accepted with the last.
        weight = Signal(config.row_cycles, init=1 << config.row_cycles - 1)
        allowed, begun = Signal(), Signal()
        going = begun | ~weight[-1]
        m.d.comb += [
            begun.eq(self.i.valid & weight[-1] & allowed),
            self.i.ready.eq(Mux(weight[-1], allowed, 1) & (weight[0] | ~beat.row)),
        ]
        if config.row_cycles > 1:
            with m.If(going & beat.row):
                m.d.sync += weight.eq(Cat(weight[1:], weight[0]))
        accepted = self.i.valid & self.i.ready
        row, load, swap = Signal(), Signal(), Signal()
        m.d.comb += [row.eq(accepted & beat.row), load.eq(accepted & beat.load), swap.eq(begun & beat.swap)]
        m.d.comb += [
            grid.a.eq(beat.a),
            grid.weight.eq(weight),
            grid.b.eq(beat.b),
            grid.load.eq(load),
            grid.swap.eq(swap),
            grid.leading.eq(begun),
        ]

        # The row's number among those since the swap.
        count, number = Signal(range(config.tile_rows + 1)), Signal(row_number_width(config))
        m.d.comb += number.eq(Mux(beat.swap & weight[-1], 0, count))
        with m.If(row):
            m.d.sync += count.eq(number + 1)
        with m.Elif(swap):
            m.d.sync += count.eq(0)

        free = self._accumulate(m, grid, row, number, swap)
        loads_free = _hold(m, swap, config.load_wait - 1, "load_hold")
        swaps_free = _hold(m, load, config.swap_wait - 1, "swap_hold") & free["reuse"] & free["blocks"]
        m.d.comb += allowed.eq((loads_free | ~beat.load) & (swaps_free | ~beat.swap) & (free["row"] | ~beat.row))
        return m

    def _accumulate(self, m, grid, row, number, swap):
        """Accumulator rows and the way out; what beats with a swap or a row wait for, by name."""
        config, beat = self.config, self.i.p
        # What a row brings along, by the cycles since it was accepted.
        rows, firsts, numbers, lasts = [row], [beat.first], [number], [row & beat.last]
        parts = range(config.accumulator_cycles)
        for cycle in range(1, config.depth + config.cols + len(parts) + 1):
            for train, resets, name in (
                (rows, False, "row"), (firsts, False, "first"), (numbers, False, "number"), (lasts, True, "last")
            ):  # fmt: skip
                register = Signal(len(train[-1]), name=f"{name}_{cycle}", reset_less=not resets)
                m.d.sync += register.eq(train[-1])
                train.append(register)

        take, result_row = Signal(), Signal(row_number_width(config))
        for column in range(config.cols):
            m.submodules[f"accumulator_{column}"] = memory = place_accumulator_rows(config)
            m.submodules[f"adder_{column}"] = adder = place_row_adder(config)
            cycle = config.depth + column
            m.d.comb += [
                adder.lanes.eq(grid.sums[column]),
                adder.old.eq(memory.old),
                adder.keep.eq(Cat(~firsts[cycle + 1 + part] for part in parts)),
                memory.row.eq(Cat(numbers[cycle + part] for part in parts)),
                memory.write.eq(Cat(rows[cycle + 1 + part] for part in parts)),
                memory.write_row.eq(Cat(numbers[cycle + 1 + part] for part in parts)),
                memory.sum.eq(adder.sum),
                memory.take.eq(take),
                memory.result_row.eq(result_row),
                self.o.p.c[column].eq(memory.result),
            ]

        # Results that are written, and of them one that is on offer.
        written, offered = Signal(range(2 * config.tile_rows + 1)), Signal()
        m.d.comb += [take.eq((written != 0) & (~offered | self.o.ready)), self.o.valid.eq(offered)]
        m.d.sync += [written.eq(written + lasts[-1] - take), offered.eq(take | (offered & ~self.o.ready))]

        # Results not yet read out: of this block, and of the block before it that had any. They lie in rows one after
        # another, those of a block from row 0. Whether there is a swap is known late and only selects.
        counts = range(config.tile_rows + 1)
        this, older = Signal(counts), Signal(counts)

        def after(count):
            """What is left of older results, and the row to read next."""
            some = count != 0
            following = Mux(take, Mux(count == 1, 0, result_row + 1), result_row)
            return some, count - (take & some), following

        some, left, following = after(older)
        any_left, swapped_left, swapped_following = after(this | older)
        rest = this - (take & ~some)
        m.d.sync += [
            older.eq(Mux(swap, swapped_left, left)),
            this.eq(Mux(swap, lasts[0], Mux(lasts[0], rest + 1, rest))),
            result_row.eq(Mux(swap, Mux(any_left, swapped_following, 0), following)),
        ]

        reuse = Signal(range(config.REUSE_CYCLES))
        with m.If(row):
            m.d.sync += reuse.eq(Mux(number == 0, 2, number == 1))
        with m.Elif(reuse != 0):
            m.d.sync += reuse.eq(reuse - 1)
        unread = (older != 0) | (beat.swap & (this != 0))
        return {
            "reuse": reuse == 0,
            "blocks": (older == 0) | (this == 0),
            "row": ~(unread & (result_row <= number)),
        }

    def place_grid(self):
        """The grid, a component with :func:`grid_ports`."""
        raise NotImplementedError


def _hold(m, event, cycles, name):
    """Whether the event is more than some cycles ago."""
    if cycles < 1:
        return 1
    left = Signal(range(cycles + 1), name=name)
    with m.If(event):
        m.d.sync += left.eq(cycles)
    with m.Elif(left != 0):
        m.d.sync += left.eq(left - 1)
    return left == 0
