"""Benchmarks of golden models: rows of floating point, dynamic fixed point and integer functions, and their table."""

import pytest

from carrysave.bench_dfp import dfp_speeds
from carrysave.bench_fixed import block_speeds, function_speeds
from carrysave.bench_float import FloatSpeed, float_speeds, markdown
from carrysave.models.float_dot import ACCUMULATORS


def test_rows():
    rows = {row.name: row for row in float_speeds(size=16, pairs=1000, seconds=0, threads=1)}
    for name in ("bfloat16", "float8_e4m3fn"):
        for multiplier in ("L-Mul", "exact"):
            for what in (f"{name}, {multiplier}", *(f"{name}, {multiplier}, {acc}" for acc in ACCUMULATORS)):
                row = rows[what]
                assert row.ratio == pytest.approx(row.rate / rows[row.beside].rate)
    assert all(row.rate > 0 for row in rows.values())
    assert rows["float32, NumPy, 16 x 16 x 16"].ratio == 1
    assert {row.beside for row in rows.values() if row.ratio == 1} == {row.beside for row in rows.values()}


def test_rows_of_dynamic_fixed_point():
    rows = dfp_speeds(size=12, seconds=0)
    assert len({row.name for row in rows}) == 6
    assert {row.beside for row in rows} == {rows[0].name} == {"float64, NumPy, 12 x 12 x 12"}
    assert all(row.rate > 0 and row.ratio == pytest.approx(row.rate / rows[0].rate) for row in rows)


def test_rows_of_integer_functions():
    rows = function_speeds(rows=20, length=8, seconds=0)
    assert len({row.name for row in rows}) == 6
    assert {row.beside for row in rows} == {rows[0].name} == {"softmax, float64, NumPy, 20 x 8"}
    real, integers = block_speeds(seconds=0)
    assert integers.beside == real.name
    assert all(row.rate > 0 for row in (*rows, real, integers))


def test_markdown():
    row = FloatSpeed(name="bfloat16, L-Mul", rate=1.234567e8, ratio=0.25, beside="bfloat16, ml_dtypes")
    assert markdown([row], "tokens")[0].startswith("| tokens |")
    assert markdown([row])[-1] == "| bfloat16, L-Mul | 123.5 | 0.25 | bfloat16, ml_dtypes |"
