"""A column of bit-slice PEs with its scheduler: one row of A, several columns of B."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..models.bit_slice import GROUP
from .encoders import place_sparse_encoder
from .final_adder import place_final_adder
from .operand_bank import digit_layout
from .shared import Shared
from .slice_pe import place_opt3_pe, place_slice_correction, place_slice_pe, slice_carry_columns

__all__ = ["SliceColumn", "place_slice_column"]


class SliceColumn(wiring.Component):
    """Works on the tiles of one row of A, digit weight by digit weight from the most significant one.

    PE n works n cycles behind PE 0: select lines, addresses of B and the marks of a sum's beginning, its shifts and its end
    travel from PE to PE. So the PEs finish one a cycle, and one multiplexer and one final adder serve them all. Nothing in
    here ever stalls; what there is to wait for is waited for with bubbles.

    Parameters
    ----------
    config : :class:`~carrysave.models.bit_slice.BitSliceConfig`

    Members
    -------
    start : ``In(1)``
        Begin the next tile in the next cycle; only while ``idle``.
    half, weight, entry : ``Out``, one for each lane
        What to read of the lane's :class:`~.operand_bank.DigitBank`.
    group, digits, last_entry : ``In``, one for each lane
        What it answers.
    address : ``Out``
        What to read of B, for each PE and in it each lane: half, group, index.
    b : ``In``
        What it answers, raw bits.
    room : ``In(1)``
        There is room for a row of results.
    ends : ``Out(1)``
        A tile ended with the last cycle and takes this room.
    result, write : ``Out``
        A result, and which PE's it is, one bit for each.
    issued : ``Out``
        Digits issued in this cycle.
    idle : ``Out(1)``
        The column's tile has ended.
    blocked : ``Out(1)``
        It could not end in the last cycle, for want of room.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        lanes, cols = config.pe_lanes, config.cols
        address = (2 * config.entries * GROUP - 1).bit_length()
        return wiring.Signature({
            "start": In(1),
            "half": Out(data.ArrayLayout(1, lanes)),
            "weight": Out(data.ArrayLayout(range(config.recoding.n_digits), lanes)),
            "entry": Out(data.ArrayLayout(range(config.entries), lanes)),
            "group": In(data.ArrayLayout(range(config.entries), lanes)),
            "digits": In(data.ArrayLayout(digit_layout(config), lanes)),
            "last_entry": In(data.ArrayLayout(1, lanes)),
            "address": Out(cols * lanes * address),
            "b": In(cols * lanes * config.b_width),
            "room": In(1),
            "ends": Out(1),
            "result": Out(config.acc_width),
            "write": Out(cols),
            "issued": Out(range(lanes + 1)),
            "idle": Out(1),
            "blocked": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config = self._config
        cols, pipeline = config.cols, config.pipeline
        load = Signal(config.pe_lanes)
        if config.pe == "opt3":
            pes, free, valid = self._own_encoders(m, load)
        else:
            pes, free, valid = self._common_encoders(m, load)
        end, ends = Signal(), Signal(pipeline + cols)
        m.d.sync += ends.eq(Cat(end, ends))
        m.d.comb += self.ends.eq(ends[0])
        # Ends are `cols` cycles apart, so that the multiplexer is free again.
        started, stepped = self._schedule(m, load, free, end, self.room & ~ends[: cols - 1].any())
        m.d.comb += self.issued.eq(sum(valid[1:], valid[0]))

        clear, shift = (Signal(pipeline - 1 + cols, name=name, reset_less=True) for name in ("clear", "shift"))
        m.d.sync += [clear.eq(Cat(started, clear)), shift.eq(Cat(stepped, shift))]
        m.submodules.correction = correction = place_slice_correction(config)
        m.d.comb += correction.last.eq(ends[pipeline - 2])
        for n, pe in enumerate([correction, *pes]):
            mark = pipeline - 2 + max(n - 1, 0)
            m.d.comb += [pe.clear.eq(clear[mark]), pe.shift.eq(shift[mark])]

        m.submodules.final_adder = final = place_final_adder(config, slice_carry_columns(config))
        chosen = 0
        for n, pe in enumerate(pes):
            state = Cat(pe.s, pe.c)
            chosen = (state & ends[pipeline - 1 + n].replicate(len(state))) | chosen
        m.d.comb += [
            Cat(final.s, final.c).eq(chosen),
            final.correction.eq(correction.correction),
            self.result.eq(final.result),
            self.write.eq(ends[pipeline:]),
        ]
        return m

    def _schedule(self, m, load, free, end, room):
        """Registers say which group each lane loads next; a new weight begins in all lanes together."""
        config = self._config
        top = config.recoding.n_digits - 1
        crosses = []
        for lane in range(config.pe_lanes):
            half, cross = Signal(name=f"half{lane}"), Signal(name=f"cross{lane}", init=1)
            weight = Signal(range(top + 1), name=f"weight{lane}", init=top)
            entry = Signal(range(config.entries), name=f"entry{lane}")
            crosses.append(cross)
            lowest = weight == 0
            with m.If(load[lane]):
                m.d.sync += [entry.eq(Mux(self.last_entry[lane], 0, entry + 1)), cross.eq(self.last_entry[lane])]
                with m.If(self.last_entry[lane]):
                    m.d.sync += [weight.eq(Mux(lowest, top, weight - 1)), half.eq(half ^ lowest)]
            m.d.comb += [self.half[lane].eq(half), self.weight[lane].eq(weight), self.entry[lane].eq(entry)]
        together, ending, step = Signal(), Signal(), Signal()
        starting = Signal()  # a register of each column's own: the barrier takes its time
        idle, blocked, started, stepped = Signal(init=1), Signal(), Signal(), Signal()
        m.d.comb += [
            together.eq(Cat(crosses, free).all()),
            step.eq(together & (self.weight[0] != top)),
            ending.eq(together & (self.weight[0] == top) & ~idle & ~starting),
            end.eq(ending & room),
            load.eq(Cat(starting | step | (ready & ~cross) for ready, cross in zip(free, crosses, strict=True))),
            self.idle.eq(idle),
            self.blocked.eq(blocked),
        ]
        m.d.sync += [
            idle.eq((idle | end) & ~self.start),
            starting.eq(self.start),
            blocked.eq(ending & ~end),
            started.eq(starting),
            stepped.eq(step),
        ]
        return started, stepped

    def _common_encoders(self, m, load):
        """OPT4: a sparse encoder for each lane; selects and addresses travel."""
        config = self._config
        half = Signal(reset_less=True)  # all lanes are in the same tile
        with m.If(self.start):  # its first digit comes two cycles later, its own half's turn it is already
            m.d.sync += half.eq(self.half[0])
        places, valids, selects, free = [], [], [], []
        for lane in range(config.pe_lanes):
            m.submodules[f"encoder{lane}"] = encoder = place_sparse_encoder(GROUP)
            m.d.comb += [encoder.load.eq(load[lane]), *self._feed(encoder, lane)]
            group = Signal(len(self.group[lane]), name=f"group{lane}", reset_less=True)
            with m.If(load[lane]):
                m.d.sync += group.eq(self.group[lane])
            places.append(Cat(encoder.index, group))
            valids.append(encoder.valid)
            selects.append(Cat(encoder.two_o, encoder.negative_o))
            free.append(encoder.free)
        select = Signal(2 * config.pe_lanes, reset_less=True)
        m.d.sync += select.eq(Cat(selects))
        travelling, pes = [*places, Cat(valids), half], []
        for n in range(config.cols):
            stage = [Signal(len(value), name=f"stage{n}_{i}", reset_less=True) for i, value in enumerate(travelling)]
            m.d.sync += [register.eq(value) for register, value in zip(stage, travelling, strict=True)]
            travelling = stage
            *stage_places, stage_valids, stage_half = stage
            address = Cat(Cat(place, stage_half) for place in stage_places)
            # A bubble must add nothing: its operand is zero.
            used = Cat(valid.replicate(config.b_width) for valid in stage_valids)
            m.submodules[f"pe{n}"] = pe = place_slice_pe(config)
            m.d.comb += [
                self.address.word_select(n, len(address)).eq(address),
                pe.select.eq(pes[-1].select_o if pes else select),
                pe.b.eq(self.b.word_select(n, len(pe.b)) & used),
            ]
            pes.append(pe)
        return pes, free, valids

    def _own_encoders(self, m, load):
        """OPT3: groups travel, each PE picks their non-zero digits itself."""
        config = self._config
        loads = load[0]
        group = {name: self.digits[0][name] for name in digit_layout(config).members}
        where = Cat(self.group[0], self.half[0])
        pes = []
        for n in range(config.cols):
            if n:
                loads_r = Signal(name=f"load{n}")
                m.d.sync += loads_r.eq(loads)
                loads = loads_r
                registers = {name: Signal(GROUP, name=f"{name}{n}", reset_less=True) for name in group}
                m.d.sync += [register.eq(group[name]) for name, register in registers.items()]
                group = registers
            m.submodules[f"pe{n}"] = pe = place_opt3_pe(config, GROUP)
            place = Signal(len(where), name=f"where{n}", reset_less=True)
            with m.If(loads):
                m.d.sync += place.eq(where)
            where = place
            m.d.comb += [
                pe.load.eq(loads),
                *(getattr(pe, name).eq(value) for name, value in group.items()),
                self.address.word_select(n, len(pe.index) + len(place)).eq(Cat(pe.index, place)),
                pe.b.eq(self.b.word_select(n, config.b_width)),
            ]
            pes.append(pe)
        return pes, [pes[0].free], [pes[0].valid]

    def _feed(self, encoder, lane):
        return [getattr(encoder, name).eq(self.digits[lane][name]) for name in digit_layout(self._config).members]


def place_slice_column(config):
    """A :class:`SliceColumn` as the shared module ``slice_column``."""
    return Shared(lambda: SliceColumn(config), SliceColumn.ports(config), name="slice_column", reset=True)
