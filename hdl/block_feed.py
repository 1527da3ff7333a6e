"""What goes into the array of ``transformer-block``: constants and weights from the stream, operands from memories."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..models.transformer_block import SHIFT_BYTES
from .layout import payload_layout
from .walker import Walker

__all__ = ["ConstantIntake", "OperandFeed"]


class ConstantIntake(wiring.Component):
    """Takes a phase's sections from the stream: constants into registers, the weights behind them on to the array.

    Parameters
    ----------
    config : :class:`~carrysave.models.transformer_block.TransformerBlockConfig`

    Members
    -------
    restart : ``In(1)``
        A phase begins; the members below stay the same until the next.
    sectioned, other, weighted : ``In(1)``
        It has sections; with constants of another branch; with weights.
    sections_last : ``In``
        Number of the last section.
    words_last : ``In``
        Number of the last word of a column of weights.
    i : ``In(stream)``
        Words.
    weights : ``Out(stream)``
        Those of them that are weights.
    bias, multiplier, shift, other_multiplier, other_shift : ``Out``
        Constants of each column.
    collected : ``Out(1)``
        They are a section's.
    final : ``Out(1)``
        That is the last section.
    taken : ``In(1)``
        They are no longer needed.
    """

    def __init__(self, config):
        self._config = config
        lanes, word = config.lanes, config.lanes * 8
        most = max(config.width_words, config.hidden_words, config.token_words)
        multiplier, shift = 8 * config.multiplier_bytes, 8 * SHIFT_BYTES
        super().__init__({
            "restart": In(1),
            "sectioned": In(1),
            "other": In(1),
            "weighted": In(1),
            "sections_last": In(range(most)),
            "words_last": In(range(most)),
            "i": In(stream.Signature(word)),
            "weights": Out(stream.Signature(word)),
            "bias": Out(8 * config.bias_bytes).array(lanes),
            "multiplier": Out(multiplier).array(lanes),
            "shift": Out(shift).array(lanes),
            "other_multiplier": Out(multiplier).array(lanes),
            "other_shift": Out(shift).array(lanes),
            "collected": Out(1),
            "final": Out(1),
            "taken": In(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config = self._config
        lanes = config.lanes
        own = config.bias_bytes + config.multiplier_bytes + SHIFT_BYTES
        both = own + config.multiplier_bytes + SHIFT_BYTES
        constants, weights = Signal(), Signal()
        section, count = Signal.like(self.sections_last), Signal(range(max(both, config.lanes << len(self.words_last))))
        m.d.comb += [
            self.weights.payload.eq(self.i.payload),
            self.weights.valid.eq(self.i.valid & weights),
            self.i.ready.eq((constants & ~self.collected) | (weights & self.weights.ready)),
        ]

        # Words go in at the top, so that those of the other branch, which come first, end up below.
        for lane in range(lanes):
            held = Signal(8 * both, name=f"constants{lane}", reset_less=True)
            with m.If(constants & ~self.collected & self.i.valid):
                m.d.sync += held.eq(Cat(held[8:], self.i.payload.word_select(lane, 8)))
            m.d.comb += Cat(
                self.other_multiplier[lane],
                self.other_shift[lane],
                self.bias[lane],
                self.multiplier[lane],
                self.shift[lane],
            ).eq(held)

        last, ends = Signal.like(count), Signal()
        constants_last = Mux(self.other, both - 1, own - 1)
        # Rows of weights fill tiles.
        rows_last = Cat(Const(lanes - 1, (lanes - 1).bit_length()), self.words_last)
        m.d.comb += [last.eq(Mux(constants, constants_last, rows_last)), ends.eq(count == last)]
        over = Signal()
        m.d.comb += over.eq(section == self.sections_last)
        with m.If(self.taken):
            m.d.sync += self.collected.eq(0)
        with m.If(self.restart):
            m.d.sync += [constants.eq(self.sectioned), weights.eq(0), section.eq(0), count.eq(0)]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += count.eq(Mux(ends, 0, count + 1))
            with m.If(ends & constants):
                m.d.sync += [self.collected.eq(1), self.final.eq(over)]
            with m.If(ends):
                with m.If(constants & self.weighted):
                    m.d.sync += [constants.eq(0), weights.eq(1)]
                with m.Else():
                    m.d.sync += [constants.eq(~over), weights.eq(0), section.eq(section + 1)]
        return m


class OperandFeed(wiring.Component):
    """Beats of the array for one matrix product: rows from a memory, weights from the stream or from another memory.

    Parameters
    ----------
    config : :class:`~carrysave.models.transformer_block.TransformerBlockConfig`

    Members
    -------
    restart : ``In(1)``
        A phase begins; the members below stay the same until the next.
    gemm : ``In(1)``
        It is a matrix product.
    weighted : ``In(1)``
        Weights come from the stream.
    rows_last, words_last, columns_last : ``In``
        Largest row of the left operand, word of the reduction, word of columns of the right operand.
    row, word : ``Out``
        The word of the left operand that is to be read.
    row_enable : ``Out(1)``
        It is.
    row_data : ``In``
        Words read, a cycle later.
    lane, weight_word, weight_column : ``Out``
        The row of the right operand that is to be read: row of a tile, and tile along the reduction and the columns.
    weight_enable : ``Out(1)``
        It is.
    weight_data : ``In``
        Words read, a cycle later.
    weights : ``In(stream)``
        From the stream.
    o : ``Out(stream)``
        Beats of the array.

    Implementation notes
    --------------------
    Rows and loads run by themselves; a beat is what there is of both. A tile is loaded as soon as the one before it is swapped in
    and the array takes loads again, so that a tile of enough rows costs a cycle a row.
    """

    def __init__(self, config):
        self._config = config
        word = config.lanes * 8
        most = range(max(config.width_words, config.hidden_words, config.token_words))
        super().__init__({
            "restart": In(1),
            "gemm": In(1),
            "weighted": In(1),
            "rows_last": In(range(config.max_tokens)),
            "words_last": In(most),
            "columns_last": In(most),
            "row": Out(range(config.max_tokens)),
            "word": Out(most),
            "row_enable": Out(1),
            "row_data": In(word),
            "lane": Out(range(config.lanes)),
            "weight_word": Out(most),
            "weight_column": Out(most),
            "weight_enable": Out(1),
            "weight_data": In(word),
            "weights": In(stream.Signature(word)),
            "o": Out(stream.Signature(payload_layout(config.units["array"].i))),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config = self._config
        most = max(config.width_words, config.hidden_words, config.token_words)
        m.submodules.rows = rows = Walker(rows=config.max_tokens, words=most, passes=most)
        m.submodules.tiles = tiles = Walker(words=most, parts=config.lanes, passes=most)
        m.d.comb += [
            rows.rows_last.eq(self.rows_last),
            tiles.parts_last.eq(config.lanes - 1),
            self.row.eq(rows.row),
            self.word.eq(rows.word),
            self.lane.eq(~tiles.part),  # the last of a tile first
            self.weight_word.eq(tiles.word),
            self.weight_column.eq(tiles.number),
        ]
        for walker in (rows, tiles):
            m.d.comb += [
                walker.restart.eq(self.restart),
                walker.words_last.eq(self.words_last),
                walker.passes_last.eq(self.columns_last),
            ]

        # A word read stays in the memory's output until it is taken.
        row_there, row_taken, weight_there, weight_taken = (
            Signal(name=name) for name in ("row_there", "row_taken", "weight_there", "weight_taken")
        )
        going = ~self.restart
        m.d.comb += [
            self.row_enable.eq(going & self.gemm & rows.active & (~row_there | row_taken)),
            rows.step.eq(self.row_enable),
            self.weight_enable.eq(going & self.gemm & ~self.weighted & tiles.active & (~weight_there | weight_taken)),
            tiles.step.eq(self.weight_enable),
        ]
        m.d.sync += [
            row_there.eq(self.row_enable | (row_there & ~row_taken)),
            weight_there.eq(self.weight_enable | (weight_there & ~weight_taken)),
        ]
        swap, first, last = Signal(), Signal(), Signal()
        with m.If(self.row_enable):
            m.d.sync += [swap.eq(rows.row == 0), first.eq(rows.word == 0), last.eq(rows.word == self.words_last)]

        beat = Signal.like(self.o.payload, name="beat")
        there, free, loaded = Signal(), Signal(), Signal()
        # The array takes no load right behind a swap: a row in the same beat would wait for it.
        wait = config.units["array"].load_wait
        held, hold = Signal(range(max(wait, 2))), Signal()
        m.d.comb += hold.eq((there & beat.swap & (wait > 1)) | (held != 0))
        with m.If(there & beat.swap & self.o.ready):
            m.d.sync += held.eq(max(wait - 1, 0))
        with m.Elif(held != 0):
            m.d.sync += held.eq(held - 1)
        count = Signal(range(config.lanes))
        row, load = Signal(), Signal()
        m.d.comb += [
            free.eq(~there | self.o.ready),
            row.eq(free & row_there & (~swap | loaded)),
            load.eq(free & ~loaded & ~hold & Mux(self.weighted, self.weights.valid, weight_there)),
            row_taken.eq(row),
            weight_taken.eq(load & ~self.weighted),
            self.weights.ready.eq(free & ~loaded & ~hold & self.weighted),
            self.o.payload.eq(beat),
            self.o.valid.eq(there),
        ]
        with m.If(free):
            m.d.sync += [
                there.eq(row | load),
                beat.a.eq(self.row_data),
                beat.b.eq(Mux(self.weighted, self.weights.payload, self.weight_data)),
                beat.row.eq(row),
                beat.load.eq(load),
                beat.swap.eq(row & swap),
                beat.first.eq(first),
                beat.last.eq(last),
            ]
        with m.If(load):
            m.d.sync += count.eq(count + 1)
        with m.If(load & (count == config.lanes - 1)):
            m.d.sync += loaded.eq(1)
        with m.Elif(row & swap):
            m.d.sync += loaded.eq(0)
        return m
