"""Design ``transformer-block``: one array, the integer functions behind it, memories, and a controller that joins them."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import memory

from ..models.transformer_block import PHASES
from .block_feed import ConstantIntake, OperandFeed
from .block_phases import PhaseControl, work_words
from .event_counter import place_event_counter
from .layer_norm import LayerNorm
from .requantise import Requantise
from .shared import Shared
from .shift_gelu import ShiftGELU
from .shiftmax import Shiftmax
from .stream_unit import StreamUnit
from .tree import MultiplierTree
from .walker import Walker
from .weight_stationary import WeightStationaryArray
from .word_streams import Narrow, Transposer, Widen

__all__ = ["TransformerBlock"]

_ARRAYS = {"tree": MultiplierTree, "systolic-ws": WeightStationaryArray}
_UNITS = {"shiftmax": Shiftmax, "layer_norm": LayerNorm, "gelu": ShiftGELU}


class TransformerBlock(StreamUnit):
    """A transformer block in integers, phase after phase.

    Parameters
    ----------
    config : :class:`~carrysave.models.transformer_block.TransformerBlockConfig`

    Members
    -------
    i, o, counters
        As in :class:`~carrysave.hdl.stream_unit.StreamUnit`.

    Implementation notes
    --------------------
    ::

        i --> constants ------------------> tables of the units
         |                     .-----.
         |--> weights -------> |     |      .-> requantise --------------------------------.
         |    b memory ------> |array| --> -+-> requantise -> ShiftGELU -> requantise -----+--> work memory, b memory
         |    work memory ---> |     |      '-> requantise with residual --> sum memory
         '--> x memory ------> '-----'
                                            work memory --> Shiftmax --> work memory
                                            sum memory --> I-LayerNorm --> requantise --> x memory, o

    A phase begins when all results of the one before are in their memory, so that no address is compared. In an address rows
    are below words: it is made of numbers side by side. The work memory holds context, query and scores side by side, later what
    is between the layers of the MLP; the b memory keys, transposed tile by tile, and values.
    """

    def elaborate(self, platform):
        m = Module()
        path = _Datapath(m, self)
        path.connect_input()
        path.connect_operands()
        path.connect_reader()
        path.connect_tables()
        path.connect_array_results()
        path.connect_functions()
        path.connect_results()
        for phase in PHASES:
            m.submodules[f"cycles_{phase}"] = counter = place_event_counter(1)
            # Between one block and the next nothing counts.
            counts = path.now[phase] & (self.i.valid | path.begun) if phase == "input" else path.now[phase]
            m.d.comb += [counter.events.eq(counts), self.counters[phase].eq(counter.count)]
        return m


class _Datapath:
    """Parts of a block while it is elaborated, and the connections between them."""

    def __init__(self, m, block):
        config = block.config
        self.m, self.config, self.i, self.o = m, config, block.i, block.o
        lanes, slices, rows = config.lanes, config.slices, 1 << config.row_bits
        self.lane_bits, self.unit_bits = lanes.bit_length() - 1, config.unit_lanes.bit_length() - 1
        m.submodules.control = self.control = control = PhaseControl(config)
        m.submodules.intake = self.intake = ConstantIntake(config)
        m.submodules.feed = self.feed = OperandFeed(config)

        self.now = now = control.now
        self.norm, self.residual, self.weighted, self.gemm = (
            Signal(name=name) for name in ("norm", "residual_sum", "weighted", "gemm")
        )
        m.d.comb += [
            self.norm.eq(now.first_norm | now.second_norm),
            self.residual.eq(now.projection | now.contraction),
            self.weighted.eq(now.query | now.key | now.value | self.residual | now.expansion),
            self.gemm.eq(self.weighted | now.scores | now.context),
        ]

        depths = {
            "x": (8 * lanes, rows * config.width_words),
            "work": (8 * lanes, rows * work_words(config)),
            "b": (8 * lanes, rows * 2 * config.head_words),
            "sums": (config.unit_lanes * config.residual_width, rows * slices * config.width_words),
        }
        self.writes, self.reads = {}, {}
        for name, (width, depth) in depths.items():
            m.submodules[f"{name}_memory"] = store = memory.Memory(shape=width, depth=depth, init=[])
            self.writes[name], self.reads[name] = store.write_port(), store.read_port()

        self.units = {}
        for name, unit in config.units.items():
            kind = _ARRAYS[config.array] if name == "array" else _UNITS.get(name, Requantise)
            made = kind(unit)
            placed = Shared(lambda made=made: made, made.signature, name=name, reset=True, scope=True)
            m.submodules[name] = self.units[name] = placed

        sizes = {"rows": config.max_tokens, "words": max(config.width_words, config.hidden_words, config.token_words)}
        for name in ("reader", "drain", "writer"):
            m.submodules[name] = walker = Walker(**sizes, parts=slices)
            setattr(self, name, walker)
            m.d.comb += [walker.restart.eq(control.restart), walker.words_last.eq(control.columns_last)]
        m.submodules.widen = self.widen = Widen(width=8 * config.unit_lanes, slices=slices)
        #: Number of the last token, and whether there is one already.
        self.tokens_last, self.begun = Signal(config.row_bits), Signal()
        #: The units have the constants of what comes next.
        self.loaded = Signal()

    def row_of(self, number):
        """A row's number as part of an address."""
        return Cat(number, Signal(self.config.row_bits - len(number), name="no_row"))

    def connect_input(self):
        """Tokens go to their memory, all other words to the intake."""
        m, now, control, intake = self.m, self.now, self.control, self.intake
        m.d.comb += [
            self.i.ready.eq(Mux(now.input, ~control.restart, intake.i.ready)),
            intake.i.payload.eq(self.i.p.x.as_value()),
            intake.i.valid.eq(self.i.valid & ~now.input),
            intake.restart.eq(control.restart),
            intake.sectioned.eq(self.gemm | self.norm),
            intake.other.eq(self.residual | now.expansion),
            intake.weighted.eq(self.weighted),
            intake.sections_last.eq(control.sections_last),
            intake.words_last.eq(control.words_last),
            control.token_words_last.eq(self.tokens_last[self.lane_bits :]),
        ]
        with m.If(now.input & self.i.valid & self.i.ready):
            m.d.sync += [self.tokens_last.eq(self.writer.row), self.begun.eq(1)]
        with m.Elif(~now.input):
            m.d.sync += self.begun.eq(0)

    def connect_operands(self):
        """The array's side of the memories."""
        m, now, control, feed, intake = self.m, self.now, self.control, self.feed, self.intake
        array, reads = self.units["array"], self.reads
        from_x = Signal()
        # Keys are transposed: their tiles along the tokens are the product's columns.
        token_word = Mux(now.scores, feed.weight_column, feed.weight_word)[: self.config.row_bits - self.lane_bits]
        head_word = Mux(now.scores, feed.weight_word, feed.weight_column)
        m.d.comb += [
            from_x.eq(now.query | now.key | now.value | now.expansion),
            feed.restart.eq(control.restart),
            feed.gemm.eq(self.gemm),
            feed.weighted.eq(self.weighted),
            feed.rows_last.eq(self.tokens_last),
            feed.words_last.eq(control.words_last),
            feed.columns_last.eq(control.columns_last),
            feed.weights.payload.eq(intake.weights.payload),
            feed.weights.valid.eq(intake.weights.valid),
            intake.weights.ready.eq(feed.weights.ready),
            feed.row_data.eq(Mux(from_x, reads["x"].data, reads["work"].data)),
            feed.weight_data.eq(reads["b"].data),
            reads["b"].en.eq(feed.weight_enable),
            reads["b"].addr.eq(Cat(feed.lane, token_word, now.context, head_word)),
            array.i.payload.eq(feed.o.payload),
            array.i.valid.eq(feed.o.valid),
            feed.o.ready.eq(array.i.ready),
        ]
        row = self.row_of(feed.row)
        with m.If(from_x):
            m.d.comb += [reads["x"].en.eq(feed.row_enable), reads["x"].addr.eq(Cat(row, feed.word))]
        with m.Elif(self.gemm):
            m.d.comb += [
                reads["work"].en.eq(feed.row_enable),
                reads["work"].addr.eq(Cat(row, feed.word + control.read_base)),
            ]

    def connect_reader(self):
        """What is read beside the array's operands: the residual branch, scores, residual sums."""
        m, now, control, reader, reads = self.m, self.now, self.control, self.reader, self.reads
        slices = self.config.slices
        m.submodules.read_slices = self.read_slices = Narrow(width=8 * self.config.unit_lanes, slices=slices)
        there, enable, self.taken = Signal(name="read_there"), Signal(name="read_enable"), Signal(name="read_taken")
        #: Of what was read: the last of its row.
        self.read_ends = Signal()
        row = self.row_of(reader.row)
        reading = self.residual | now.shiftmax | self.norm
        m.d.comb += [
            reader.rows_last.eq(self.tokens_last),
            reader.parts_last.eq(Mux(self.norm, slices - 1, 0)),
            reader.row_major.eq(~self.residual),
            enable.eq(reading & ~control.restart & reader.active & (~there | self.taken)),
            reader.step.eq(enable),
            reads["sums"].addr.eq(Cat(reader.part, row, reader.word)),
            reads["sums"].en.eq(enable & self.norm),
        ]
        m.d.sync += there.eq(enable | (there & ~self.taken))
        with m.If(enable):
            m.d.sync += self.read_ends.eq((reader.word == reader.words_last) & (reader.part == reader.parts_last))
        with m.If(self.residual):
            m.d.comb += [reads["x"].en.eq(enable), reads["x"].addr.eq(Cat(row, reader.word))]
        with m.If(now.shiftmax):
            m.d.comb += [reads["work"].en.eq(enable), reads["work"].addr.eq(Cat(row, reader.word + control.read_base))]
        self.read_there = there
        # The last word of scores ends with the last token's slice.
        last_slice = self.tokens_last[self.unit_bits : self.lane_bits]
        m.d.comb += [
            self.read_slices.i.payload.eq(Mux(now.shiftmax, reads["work"].data, reads["x"].data)),
            self.read_slices.i.valid.eq(there & ~self.norm),
            self.read_slices.end.eq(Mux(now.shiftmax & self.read_ends, last_slice, slices - 1)),
        ]

    def connect_tables(self):
        """A section's constants go into the tables of one unit, or of two, one after the other."""
        m, config, now, intake, units = self.m, self.config, self.now, self.intake, self.units
        part, second, ends = Signal(range(config.slices)), Signal(name="second_table"), Signal(name="table_ends")
        two, loading = Signal(name="two_tables"), Signal()
        targets = {
            "requantise": ~self.norm & ~self.residual & ~second,
            "residual": self.residual,
            "layer_norm": self.norm & ~second,
            "norm_requantise": self.norm & second,
            # What its table was for before has to be through: that is behind ShiftGELU.
            "gelu_requantise": now.expansion & second & ~self.pending_gelu(),
        }
        #: For each unit with a table: what its stream brings is a row of it.
        self.loading = {}
        accepted = 0
        for name, chosen in targets.items():
            self.loading[name] = load = Signal(name=f"{name}_load")
            m.d.comb += load.eq(loading & chosen)
            accepted |= load & units[name].i.ready
            payload = units[name].i.p
            other = "other_" if name == "gelu_requantise" else ""
            constants = {"multiplier": f"{other}multiplier", "shift": f"{other}shift"}
            if name == "layer_norm":
                constants = {"bias": "bias"}
            elif name in ("requantise", "residual"):
                constants["bias"] = "bias"
            if name == "residual":
                constants |= {"residual_multiplier": "other_multiplier", "residual_shift": "other_shift"}
            m.d.comb += payload.load.eq(load)
            for field, source in constants.items():
                columns = getattr(intake, source)
                for lane in range(config.unit_lanes):
                    each = Cat(columns[word * config.unit_lanes + lane] for word in range(config.slices))
                    m.d.comb += payload[field][lane].eq(each.word_select(part, len(columns[0])))
        m.d.comb += [
            loading.eq(intake.collected & ~self.loaded & ~self.control.restart),
            two.eq(self.norm | now.expansion),
            ends.eq((part == config.slices - 1) & (second | ~two)),
            intake.taken.eq(accepted & ends),
        ]
        drain = self.drain
        column_ends = drain.step & (drain.part == drain.parts_last) & (drain.row == drain.rows_last)
        with m.If(self.control.restart | (column_ends & ~now.scores)):
            m.d.sync += self.loaded.eq(0)
        with m.Elif(intake.taken & (self.gemm | intake.final)):
            m.d.sync += self.loaded.eq(1)
        with m.If(accepted):
            m.d.sync += part.eq(part + 1)
            with m.If(part == config.slices - 1):
                m.d.sync += [part.eq(0), second.eq(two & ~second)]

    def pending_gelu(self):
        """Whether elements of the MLP are on their way to what requantises ShiftGELU's results."""
        m, config, units = self.m, self.config, self.units
        pending = Signal(range(config.max_tokens * config.slices + 1))
        going_in = self.now.expansion & self.drain.step
        target = units["gelu_requantise"].i
        m.d.sync += pending.eq(pending + going_in - (target.valid & target.ready & ~target.p.load))
        return pending.any()

    def connect_array_results(self):
        """Sums of the array, a slice at a time, go to what requantises them, with the residual branch or without."""
        m, config, units, drain = self.m, self.config, self.units, self.drain
        plain, sums = units["requantise"], units["residual"]
        source = units["array"].o
        acc_width = config.units["array"].acc_width
        m.submodules.sum_slices = cut = Narrow(width=config.unit_lanes * acc_width, slices=config.slices)
        branch = self.read_slices.o
        plain_there, sums_there = Signal(), Signal()
        m.d.comb += [
            cut.i.payload.eq(source.payload.as_value()),
            cut.i.valid.eq(source.valid),
            source.ready.eq(cut.i.ready),
            cut.end.eq(config.slices - 1),
            drain.rows_last.eq(self.tokens_last),
            drain.parts_last.eq(config.slices - 1),
            plain_there.eq(cut.o.valid & self.loaded & ~self.residual),
            sums_there.eq(cut.o.valid & self.loaded & self.residual & branch.valid),
            plain.i.valid.eq(plain_there | self.loading["requantise"]),
            sums.i.valid.eq(sums_there | self.loading["residual"]),
            drain.step.eq((plain_there & plain.i.ready) | (sums_there & sums.i.ready)),
            cut.o.ready.eq(drain.step),
        ]
        for lane in range(config.unit_lanes):
            x = cut.o.p.slice.word_select(lane, acc_width)
            other = branch.p.slice.word_select(lane, 8).as_signed()
            m.d.comb += [plain.i.p.x[lane].eq(x), sums.i.p.x[lane].eq(x), sums.i.p.residual_x[lane].eq(other)]

    def connect_functions(self):
        """Shiftmax and I-LayerNorm of what was read, ShiftGELU of what was requantised, and what requantises the last two."""
        m, config, now, units, loading = self.m, self.config, self.now, self.units, self.loading
        branch, reads = self.read_slices.o, self.reads
        shiftmax, norm, gelu = (units[name] for name in ("shiftmax", "layer_norm", "gelu"))
        ends = branch.p.last & self.read_ends
        m.d.comb += [
            shiftmax.i.p.x.as_value().eq(branch.p.slice),
            shiftmax.i.p.last.eq(ends),
            shiftmax.i.valid.eq(branch.valid & now.shiftmax),
            norm.i.p.x.as_value().eq(reads["sums"].data),
            norm.i.p.last.eq(self.read_ends & ~loading["layer_norm"]),
            norm.i.valid.eq((self.read_there & self.norm & self.loaded) | loading["layer_norm"]),
        ]
        if config.unit_lanes > 1:
            # As many lanes are empty as the last token's number lacks to a whole slice.
            m.d.comb += shiftmax.i.p.empty.eq(Mux(ends, ~self.tokens_last[: self.unit_bits], 0))
        m.d.comb += [
            branch.ready.eq(Mux(now.shiftmax, shiftmax.i.ready, self.drain.step)),
            self.taken.eq(Mux(self.norm, norm.i.ready & self.loaded, self.read_slices.i.ready)),
        ]

        beats = config.units["gelu"].row_beats
        place = Signal(range(beats))
        plain = units["requantise"].o
        m.d.comb += [
            gelu.i.p.x.as_value().eq(plain.p.y.as_value()),
            gelu.i.p.last.eq(place == beats - 1),
            gelu.i.valid.eq(plain.valid & now.expansion),
        ]
        with m.If(gelu.i.valid & gelu.i.ready):
            m.d.sync += place.eq(Mux(gelu.i.p.last, 0, place + 1))
        for source, name in ((norm, "norm_requantise"), (gelu, "gelu_requantise")):
            target, load = units[name], loading[name]
            m.d.comb += [
                target.i.p.x.as_value().eq(source.o.p.y.as_value()),
                target.i.valid.eq(source.o.valid | load),
                source.o.ready.eq(target.i.ready & ~load),
            ]

    def connect_results(self):
        """Results go to their memory, or out; the last one ends the phase."""
        m, config, now, control, units, writer = self.m, self.config, self.now, self.control, self.units, self.writer
        plain, widen, gelu_in = units["requantise"].o, self.widen, units["gelu"].i
        wide, word = widen.i, widen.o
        out = {name: units[name].o for name in ("shiftmax", "norm_requantise", "gelu_requantise", "residual")}
        to_memory = {
            "shiftmax": now.shiftmax,
            "norm_requantise": now.first_norm,
            "gelu_requantise": now.expansion,
        }
        m.d.comb += [
            wide.p.slice.eq(plain.p.y.as_value()),
            wide.valid.eq(plain.valid & ~now.expansion),
            plain.ready.eq(Mux(now.expansion, gelu_in.ready, wide.ready)),
        ]
        for name, chosen in to_memory.items():
            with m.If(chosen):
                m.d.comb += [wide.p.slice.eq(out[name].p.y.as_value()), wide.valid.eq(out[name].valid)]
            m.d.comb += out[name].ready.eq(wide.ready & chosen)
        with m.If(now.shiftmax):
            m.d.comb += wide.p.last.eq(out["shiftmax"].p.last)
        with m.If(now.second_norm):
            m.d.comb += [self.o.valid.eq(out["norm_requantise"].valid), out["norm_requantise"].ready.eq(self.o.ready)]
        m.d.comb += [
            self.o.p.y.eq(out["norm_requantise"].p.y),
            self.o.p.last.eq(writer.final),
            out["residual"].ready.eq(1),
        ]

        arrived = now.input & self.i.valid & self.i.ready
        by_slice = self.residual | now.second_norm
        written = Signal()
        m.d.comb += [
            writer.rows_last.eq(Mux(now.input, config.max_tokens - 1, self.tokens_last)),
            writer.parts_last.eq(Mux(by_slice, config.slices - 1, 0)),
            writer.row_major.eq(now.input | now.shiftmax | self.norm),
            written.eq(word.valid & word.ready),
            writer.step.eq(arrived | written | (self.residual & out["residual"].valid) | (self.o.valid & self.o.ready)),
        ]
        keys_done = self._connect_keys()
        tokens_end = arrived & self.i.p.last & (writer.word == writer.words_last)
        m.d.comb += control.done.eq(
            ~control.restart & Mux(now.key, keys_done, (writer.step & writer.final) | tokens_end)
        )

        row, writes = self.row_of(writer.row), self.writes
        value_address = Cat(row, Const(1, 1), writer.word)
        m.d.comb += [
            writes["x"].en.eq(arrived | (now.first_norm & written)),
            writes["x"].addr.eq(Cat(row, writer.word)),
            writes["x"].data.eq(Mux(now.input, self.i.p.x.as_value(), word.payload)),
            writes["work"].en.eq(written & (now.query | now.scores | now.shiftmax | now.context | now.expansion)),
            writes["work"].addr.eq(Cat(row, writer.word + control.write_base)),
            writes["work"].data.eq(word.payload),
            writes["sums"].en.eq(self.residual & out["residual"].valid),
            writes["sums"].addr.eq(Cat(writer.part, row, writer.word)),
            writes["sums"].data.eq(out["residual"].p.y.as_value()),
        ]
        with m.If(now.value):
            m.d.comb += [
                writes["b"].en.eq(written),
                writes["b"].addr.eq(value_address),
                writes["b"].data.eq(word.payload),
            ]

    def _connect_keys(self):
        """Keys are transposed on their way; whether the last of them are written."""
        m, config, now, writer, word = self.m, self.config, self.now, self.writer, self.widen.o
        lanes = config.lanes
        m.submodules.transposer = transposer = Transposer(width=8, size=lanes)
        m.submodules.keys = keys = Walker(rows=config.token_words, words=config.head_words, parts=lanes)
        # The last tile of a word's rows is filled up; what with, does not matter.
        fill = Signal()
        m.d.comb += [
            fill.eq(transposer.partial & (writer.row == 0)),
            transposer.i.payload.eq(word.payload),
            transposer.i.valid.eq(fill | (word.valid & now.key)),
            word.ready.eq(Mux(now.key, transposer.i.ready & ~fill, 1)),
            transposer.o.ready.eq(1),
            keys.restart.eq(self.control.restart),
            keys.rows_last.eq(self.control.token_words_last),
            keys.words_last.eq(config.head_words - 1),
            keys.parts_last.eq(lanes - 1),
            keys.step.eq(transposer.o.valid),
        ]
        token_word = Cat(keys.row, Signal(config.row_bits - self.lane_bits - len(keys.row), name="no_word"))
        with m.If(now.key):
            m.d.comb += [
                self.writes["b"].en.eq(transposer.o.valid),
                self.writes["b"].addr.eq(Cat(keys.part, token_word, Const(0, 1), keys.word)),
                self.writes["b"].data.eq(transposer.o.payload),
            ]
        return keys.step & keys.final
