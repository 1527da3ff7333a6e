"""Formal proofs: everything at 4 bits holds, every wrong gate is caught, and the machinery refuses what is not so."""

import dataclasses

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from carrysave.models.bit_slice import BitSliceConfig
from carrysave.models.config import Config
from carrysave.models.cube import CubeConfig
from carrysave.models.errors import ConfigError
from carrysave.models.mac import MACConfig, OPT1Config
from carrysave.models.matrix import MatrixConfig
from carrysave.models.stationary import SystolicWSConfig, TreeConfig
from carrysave.models.systolic import SystolicConfig
from carrysave.sim import formal
from carrysave.sim.bit_sums import NotProven, WordAdder, equal_by_abc, reduce_sum
from carrysave.sim.logic import Logic, LogicError, logic_of
from carrysave.sim.pe_steps import product_step
from carrysave.sim.polynomials import Group, Specification, packed_bits
from carrysave.sim.steps import check_lags

SMALL = {"width": 4, "max_k": 4}
CONFIGS = [
    MACConfig.from_mapping(SMALL),
    MACConfig.from_mapping({**SMALL, "signed": False, "encode": "edge"}),
    MACConfig.from_mapping({**SMALL, "a_signed": False, "partial_products": "and", "adder": "brent-kung"}),
    OPT1Config.from_mapping(SMALL),
    OPT1Config.from_mapping({**SMALL, "b_signed": False, "encode": "edge", "carry_spacing": 1, "carry_spacing_low": 1}),
    OPT1Config.from_mapping({**SMALL, "signed": False, "partial_products": "and", "carry_spacing": 64}),
    OPT1Config.from_mapping({**SMALL, "correction": "pe"}),
    SystolicConfig.from_mapping({**SMALL, "product_rows": 2}),
    SystolicConfig.from_mapping({**SMALL, "pe": "mac", "adder_cycles": 2, "correction": "pe"}),
    CubeConfig.from_mapping({**SMALL, "lanes": 3, "encode": "edge", "adder_cycles": 3}),
    MatrixConfig.from_mapping({**SMALL, "pe": "opt2"}),
    SystolicWSConfig.from_mapping({**SMALL, "pe": "mac"}),
    SystolicWSConfig.from_mapping({**SMALL, "pe": "opt1", "encode": "edge"}),
    TreeConfig.from_mapping({**SMALL, "lanes": 5}),
    TreeConfig.from_mapping({**SMALL, "lanes": 3, "pe": "mac", "signed": False}),
    BitSliceConfig.from_mapping({"width": 4, "pe": "opt4e"}),
    BitSliceConfig.from_mapping({"width": 5, "pe": "opt4c", "encoding": "naf", "signed": False}),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical()[:90])
def test_all_is_proven(config):
    lines = []
    proofs = formal.prove(config, log=lines.append)
    assert [str(proof) for proof in proofs if not proof.proven] == []
    assert lines == [str(proof) for proof in proofs]
    assert len(proofs) == len(formal.subjects(config))
    assert all(proof.how for proof in proofs)


def test_eight_bits():
    for step in (product_step(OPT1Config(), "opt1"), product_step(MACConfig(), "mac")):
        assert "every clear, every a (256), all other bits as symbols" in step.prove()


def mutants(step):
    """Every gate of a step, as every other kind of gate."""
    logic = step.logic
    for node in logic.cone([bit for bit, _weight in step.terms]):
        kinds = {"and", "or", "xor"} - {logic.gates[node][0]} if len(logic.gates[node]) == 3 else ()
        for kind in sorted(kinds):
            yield dataclasses.replace(step, logic=logic.mutated(node, kind))


def failure_of(step):
    try:
        step.prove()
    except NotProven as error:
        return str(error)
    return None


@pytest.mark.parametrize("kind", ["opt1", "mac"])
@pytest.mark.parametrize("blind", [False, True], ids=["by example", "by algebra"])
def test_mutants_are_caught(kind, blind, monkeypatch):
    """A step is proven if and only if it is right; the examples alone tell so, and so does the algebra alone."""
    config = (OPT1Config if kind == "opt1" else MACConfig).from_mapping(SMALL)
    step = product_step(config, kind)
    original = Specification.counterexample
    if blind:
        monkeypatch.setattr(Specification, "counterexample", lambda self, terms: None)
    caught = survived = 0
    # One in a few mutants: those of the MAC that are right take ABC each.
    for mutant in list(mutants(step))[:: 3 if kind == "opt1" else 9]:
        specification = Specification(mutant.logic, mutant.width)
        mutant.specify(specification)
        wrong = original(specification, mutant.terms, cases=8192)
        failure = failure_of(mutant)
        assert (failure is None) == (wrong is None), failure
        caught += failure is not None
        survived += failure is None  # "or" for "exclusive or" where both are never 1
        assert failure is None or blind or failure.startswith("wrong with clear[0] = ")
    assert caught > 3 * survived > 0


def test_a_wrong_constant_is_caught():
    config = OPT1Config.from_mapping(SMALL)
    step = product_step(config, "opt1")

    def specify(specification):
        step.specify(specification)
        specification.add_constant(1 << config.acc_width - 1)

    with pytest.raises(NotProven, match=r"^wrong with clear\[0\] = 0 for a = 0x"):
        dataclasses.replace(step, specify=specify).prove()
    reduced = reduce_sum(step.logic, step.terms, step.width)
    wrong = Specification(step.logic, step.width)
    specify(wrong)
    with pytest.raises(NotProven, match="the coefficient of 1 differs"):
        wrong.check(reduced)


def test_what_failed_is_told(monkeypatch):
    def fails():
        raise NotProven("for a reason")

    monkeypatch.setattr(formal, "subjects", lambda config: [("thing", "it is so", fails)])
    (proof,) = formal.prove(OPT1Config())
    assert not proof.proven
    assert str(proof) == "thing: it is so: NOT PROVEN: for a reason"


def test_designs_without_a_proof():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Other(Config):
        design = "other"
        shorthands = {}  # noqa: RUF012

    with pytest.raises(ConfigError, match=r"^there is no formal proof for other with these parameters$"):
        formal.subjects(Other())


class Pipeline(wiring.Component):
    """Adds its inputs after registers, as many as it is told for each."""

    def __init__(self, *lags):
        self.lags = lags
        super().__init__({**{f"x{index}": In(4) for index in range(len(lags))}, "sum": Out(4)})

    def elaborate(self, platform):
        m = Module()
        total = 0
        for index, lag in enumerate(self.lags):
            value = getattr(self, f"x{index}")
            for stage in range(lag):
                register = Signal(4, name=f"r{index}_{stage}", reset_less=True)
                m.d.sync += register.eq(value)
                value = register
            total = total + value
        m.d.comb += self.sum.eq(total)
        return m


def test_lags_of_a_pipeline():
    logic = logic_of(Pipeline(2, 0), "pipeline", state=())
    assert logic.lags["sum"][1] == {"x0[0]": 2, "x0[1]": 2, "x1[0]": 0, "x1[1]": 0}
    check_lags(logic, ("sum",), {"x0": lambda bit, index: 2 if index <= bit else None})
    assert logic.registers == {}
    values = dict(zip([*logic.ports["x0"], *logic.ports["x1"]], [1, 0, 1, 0, 0, 1, 1, 0], strict=True))
    assert logic.evaluate(logic.ports["sum"], values) == [1, 1, 0, 1]  # 5 + 6
    assert len(logic_of(Pipeline(2, 0), "pipeline").registers) == 8
    with pytest.raises(NotProven, match=r"^x0\[0\] reaches sum\[0\] 2 cycles late, not 1$"):
        check_lags(logic, ("sum",), {"x0": 1})


class Echo(wiring.Component):
    """An input meets itself of one cycle ago."""

    def __init__(self):
        super().__init__({"x": In(1), "y": Out(1)})

    def elaborate(self, platform):
        m = Module()
        before = Signal(reset_less=True)
        m.d.sync += before.eq(self.x)
        m.d.comb += self.y.eq(before ^ self.x)
        return m


def test_two_times_at_once_are_refused():
    with pytest.raises(LogicError, match=r"^x\[0\] arrives at \d+ both \d and \d cycles late$"):
        logic_of(Echo(), "echo", state=())


def test_gates_fold():
    logic = Logic()
    x, y = logic.input("x[0]"), logic.input("y[0]")
    assert logic.gate("and", x, 0) == 0
    assert logic.gate("or", 1, x) == 1
    assert logic.gate("xor", x, x) == 0
    assert logic.gate("xor", 1, x) == logic.gate("not", x)
    assert logic.gate("not", logic.gate("not", y)) == y
    assert logic.gate("and", x, y) == logic.gate("and", y, x)
    assert logic.gate("and", x, logic.gate("not", x)) == 0
    assert logic.gate("or", x, logic.gate("not", x)) == 1
    rows = {
        "xnor": 0b1001, "nand": 0b0111, "nor": 0b0001, "andnot": 0b0010, "ornot": 0b1011, "buf": 0b1010
    }  # fmt: skip
    for kind, row in rows.items():
        node = logic.cell(kind, *(x, y)[: 1 if kind == "buf" else 2])
        assert logic.evaluate([node], {x: 0b1010, y: 0b1100}, 0b1111) == [row], kind


def test_abc_compares():
    logic = Logic()
    x, y = logic.input("x[0]"), logic.input("y[0]")
    parity = logic.gate("xor", x, y)
    other = logic.gate("and", logic.gate("or", x, y), logic.gate("not", logic.gate("and", x, y)))
    assert equal_by_abc(logic.blif([parity], [x, y]), logic.blif([other], [x, y]))
    assert not equal_by_abc(logic.blif([parity], [x, y]), logic.blif([x], [x, y]))


def test_an_adder_must_add():
    logic = Logic()
    x = [logic.input(f"x[{index}]") for index in range(4)]
    y = [logic.input(f"y[{index}]") for index in range(4)]
    total = logic.add(x, y)
    columns = tuple(zip(x, y, strict=True))
    WordAdder(tuple(total), columns).prove(logic)
    with pytest.raises(NotProven, match="is not the sum of its dots"):
        WordAdder(tuple(total), columns[::-1]).prove(logic)
    with pytest.raises(NotProven, match="depends on more than its dots"):
        WordAdder(tuple(total), (*columns[:3], (x[3],))).prove(logic)


def test_groups_stand_for_their_values():
    logic = Logic()
    line, b = logic.input("line[0]"), logic.input("b[0]")
    negative = Group("digit", (line,), (packed_bits([0, 1]),), np.array([1, -1]))
    # b, or its complement and one: minus b modulo two bits.
    terms = [(logic.gate("xor", line, b), 1), (logic.gate("and", line, b), 2), (line, 1), (logic.gate("not", line), 0)]
    reduced = reduce_sum(logic, terms, 2)
    right, wrong = Specification(logic, 2), Specification(logic, 2)
    right.add_product(negative, [b], [1]).add_constant(0)
    with pytest.raises(NotProven, match="the coefficient of"):
        wrong.add_product(negative, [b], [2]).check(reduced)
    assert right.counterexample([*terms, (line, 1)]) is not None
