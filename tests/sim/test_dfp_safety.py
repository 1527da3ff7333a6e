"""Proofs that accumulators of dynamic fixed point do not wrap around: they hold, and fail for a derivation that is wrong."""

import re
import sys
from itertools import product

import pytest

from carrysave.models.dfp_dot import DFPDotConfig
from carrysave.models.dfp_fma import OPERANDS, SHIFT_ROUNDINGS, DFPFMAConfig, DFPFMACSConfig
from carrysave.models.errors import CarrysaveError
from carrysave.sim import dfp_safety

SAFE = [
    DFPFMAConfig(input_shift=shift, shift_rounding=rounding, operands=operands)
    for shift, rounding, operands in product(range(5), SHIFT_ROUNDINGS, OPERANDS)
    if shift or operands == "symmetric"  # else no chain is safe
]


@pytest.mark.parametrize("config", SAFE, ids=lambda one: f"{one.input_shift}-{one.shift_rounding}-{one.operands}")
def test_chains_of_sixteen_bits_are_safe(config):
    lines = []
    proofs = dfp_safety.prove(config, log=lines.append)
    assert [str(proof) for proof in proofs if not proof.proven] == []
    assert [proof.subject for proof in proofs] == ["pre-shift", "products", "accumulator", "safe chain"]
    assert lines == [str(proof) for proof in proofs]
    assert f"after each of {config.chain} steps of 2 its 32 bits are the exact sum" in lines[2]
    assert lines[3].startswith(f"safe chain: {config.chain + 1} steps can exceed 32 bits: z3, all operands ")


@pytest.mark.parametrize(
    ("config", "claim"),
    [
        (
            DFPFMAConfig(input_shift=0, overflow="saturate", chain=65536),
            "accumulator and step in 33 bits, before they are",
        ),
        (DFPFMAConfig(acc_width=8, overflow="saturate", chain=3), "accumulator and step in 31 bits, before they are"),
        (DFPFMACSConfig(input_shift=0, overflow="flag", chain=65536), "after each of 65536 steps of 2 its 49 bits are"),
        (DFPDotConfig(), "after each of 3 steps of 8 its 32 bits are"),
        (DFPDotConfig(lanes=3, overflow="flag", chain=1000), "after each of 1000 steps of 3 its 39 bits are"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.design,
)
def test_other_designs_and_policies(config, claim):
    proofs = dfp_safety.prove(config)
    assert [str(proof) for proof in proofs if not proof.proven] == []
    assert any(proof.claim.startswith(claim) for proof in proofs)


def test_a_chain_that_cannot_be_too_long():
    """Nothing is beyond the longest chain that there is: 65536 steps of four bits are far from 32."""
    proofs = dfp_safety.prove(DFPFMAConfig(width=4))
    assert [proof.subject for proof in proofs] == ["pre-shift", "products", "accumulator"]
    assert all(proof.proven for proof in proofs)


def failures(config):
    return {proof.subject: proof.failure for proof in dfp_safety.prove(config) if not proof.proven}


@pytest.mark.parametrize(
    ("name", "wrong", "subject", "failure"),
    [
        ("operand_range", (-16384, 16382), "pre-shift", "3276[67] is shifted to 16383"),
        ("operand_range", (-16384, 16384), "pre-shift", "no operand is shifted to 16384"),
        ("product_range", (-268419072, 268435455), "products", "-16384 times -16384 is outside of it"),
        ("product_range", (-268419071, 268435456), "products", r"-?1638[34] times -?1638[34] is outside of it"),
        ("step_range", (-536838144, 1 << 30), "accumulator", r"a sum of -?\d+ and a step of -?\d+ wrap around"),
        ("register_width", 31, "accumulator", r"a sum of -?\d+ and a step of -?\d+ wrap around"),
        ("safe_chain", 2, "safe chain", "3 steps reach 1610612736 at most, which still fits"),
    ],
)
def test_wrong_derivations_are_caught(monkeypatch, name, wrong, subject, failure):
    config = DFPFMAConfig()
    monkeypatch.setattr(type(config), name, wrong)
    assert re.fullmatch(failure, failures(config)[subject])


def test_a_clamp_that_is_too_narrow(monkeypatch):
    config = DFPFMAConfig(overflow="saturate", chain=9)
    monkeypatch.setattr(type(config), "total_width", 32)
    assert set(failures(config)) == {"accumulator"}


def test_what_is_undecided_is_not_proven(monkeypatch):
    monkeypatch.setattr(dfp_safety, "TIMEOUT_MS", 1)
    found = failures(DFPFMAConfig(input_shift=3, shift_rounding="toward-zero", operands="symmetric"))
    assert any(failure.startswith("z3 has no answer: ") for failure in found.values())


def test_z3_must_be_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "z3", None)
    with pytest.raises(
        CarrysaveError, match=r"^the proof that chains do not overflow needs z3: pip install z3-solver$"
    ):
        dfp_safety.prove(DFPFMAConfig())
