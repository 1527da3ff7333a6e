"""Partial products exhaustively at four bits, sampled at others: digits, rows, what they sum to."""

import itertools
import random

import pytest
from amaranth.hdl import Cat, Const

from carrysave.hdl.bit_heap import BitHeap
from carrysave.hdl.partial_products import (
    and_array,
    booth_digits,
    digit_count,
    digit_rows,
    digits_from_word,
    digits_to_word,
    minimal_digits,
    product_constant,
)
from carrysave.models.digits import Recoding

SIGNS = list(itertools.product((True, False), repeat=2))


def integer(value, width, signed):
    return value - (1 << width) if signed and value >> (width - 1) else value


def total(m, heap):
    return Cat((dots[0][1] if dots else Const(0)) for dots in heap.reduce(lambda column: False))


def build(kind, a_signed, b_signed, width):
    def circuit(m, a, b):
        heap = BitHeap(m, width=width)
        if kind == "and":
            and_array(m, heap, a, b, a_signed, b_signed)
        elif kind == "booth":
            digit_rows(m, heap, booth_digits(m, a, a_signed), b, b_signed)
        elif kind == "minimal":
            digit_rows(m, heap, minimal_digits(m, a, a_signed), b, b_signed, arrivals_ps=[50] * 10)
        else:
            word = digits_to_word(minimal_digits(m, a, a_signed))
            digit_rows(m, heap, digits_from_word(word, a_signed), b, b_signed)
        return total(m, heap)

    return circuit


def check(run, kind, a_width, b_width, a_signed, b_signed, vectors):
    width = a_width + b_width + 3
    constant = product_constant("and" if kind == "and" else "booth", a_width, a_signed, b_width, b_signed)
    outputs = run(build(kind, a_signed, b_signed, width), [a_width, b_width], vectors)
    for (a, b), output in zip(vectors, outputs, strict=True):
        product = integer(a, a_width, a_signed) * integer(b, b_width, b_signed)
        assert output == (product + constant) % (1 << width), (a, b)
        assert product + constant >= 0  # so that no borrow runs through the accumulator's upper part


@pytest.mark.parametrize("kind", ["and", "booth", "minimal", "word"])
@pytest.mark.parametrize(("a_signed", "b_signed"), SIGNS)
@pytest.mark.parametrize(("a_width", "b_width"), [(4, 4), (5, 4), (4, 5)])
def test_exhaustively(combinational, kind, a_width, b_width, a_signed, b_signed):
    vectors = list(itertools.product(range(1 << a_width), range(1 << b_width)))
    check(combinational, kind, a_width, b_width, a_signed, b_signed, vectors)


@pytest.mark.parametrize("kind", ["and", "booth", "minimal", "word"])
@pytest.mark.parametrize(("a_width", "b_width"), [(8, 8), (7, 12), (16, 16), (16, 4), (9, 15)])
def test_sampled(gates, kind, a_width, b_width):
    rng = random.Random(a_width * 100 + b_width)
    a_signed, b_signed = SIGNS[(a_width + b_width) % 4]
    corners = [[0, 1, (1 << w - 1) - 1, 1 << w - 1, (1 << w) - 1] for w in (a_width, b_width)]
    vectors = list(itertools.product(*corners))
    vectors += [(rng.getrandbits(a_width), rng.getrandbits(b_width)) for _ in range(60)]
    check(gates, kind, a_width, b_width, a_signed, b_signed, vectors)


@pytest.mark.parametrize(("width", "signed"), [(4, True), (4, False), (5, True), (7, False), (8, True), (8, False)])
def test_booth_digits_are_the_models(combinational, width, signed):
    count = digit_count(width, signed)
    vectors = [(a,) for a in range(1 << width)]
    words = combinational(
        lambda m, a: Cat(Cat(d.neg, d.one, d.two) for d in booth_digits(m, a, signed)), [width], vectors
    )
    values = [integer(a, width, signed) for (a,) in vectors]
    expected, _negative = Recoding(encoding="mbe", width=width, signed=signed).encode(values)
    for digits, word in zip(expected.tolist(), words, strict=True):
        lines = [word >> 3 * i & 7 for i in range(count)]
        assert [(-1 if line & 1 else 1) * (line >> 1) for line in lines] == digits


@pytest.mark.parametrize(("width", "signed"), [(4, True), (4, False), (5, True), (7, False), (8, True), (8, False)])
def test_minimal_digits(combinational, width, signed):
    vectors = [(a,) for a in range(1 << width)]
    words = combinational(lambda m, a: digits_to_word(minimal_digits(m, a, signed)), [width], vectors)
    for (a,), word in zip(vectors, words, strict=True):
        lines = [word >> 3 * i & 7 for i in range(digit_count(width, signed))]
        digits = [{0: 0, 2: 1, 4: 2, 1: -1}[line] for line in lines[:-1]]
        top = lines[-1]
        digits.append((-1 if top & 1 else 1) * (top >> 1) if signed else {0: 0, 2: 1, 4: 2}[top])
        assert sum(digit * 4**i for i, digit in enumerate(digits)) == integer(a, width, signed)


def test_digit_that_is_never_negative_has_no_carry(module):
    heap = BitHeap(module, width=12)
    digit_rows(module, heap, booth_digits(module, Const(5, 4), False), Const(3, 4), False)
    # Three rows of six dots, two carries: the top digit of an unsigned operand needs none.
    assert sum(heap.heights) == 3 * 6 + 2
