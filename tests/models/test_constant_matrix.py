"""Networks of constant matrices against plain matrix products; their counts against those made by hand."""

import itertools

import numpy as np
import pytest

from carrysave.models.constant_matrix import MatrixNetwork, SharedSum, Term, full_adder_rows, matrix_network
from carrysave.models.constant_matrix_unit import (
    ConstantMatrixConfig,
    constant_matrix_golden,
    constant_matrix_stimulus,
)
from carrysave.models.errors import ConfigError
from carrysave.models.k_hot import k_hot


def product(weights, x):
    """W x, one multiplication at a time."""
    return [[sum(w * v for w, v in zip(row, vector, strict=True)) for row in weights] for vector in x]


def nonzero_digits(weight):
    """Fewest signed powers of two that sum up to a weight: by halving, an odd one loses what leaves a multiple of four."""
    count = 0
    while weight:
        if weight % 2:
            weight -= 2 - weight % 4
            count += 1
        weight //= 2
    return count


@pytest.mark.parametrize("share", [True, False])
def test_every_weight_alone(share):
    x = np.arange(-5, 6)[:, np.newaxis]
    for weight in range(-300, 301):
        network = matrix_network([[weight]], share=share)
        assert network.evaluate(x).tolist() == product([[weight]], x.tolist())
        if not share:
            digits = nonzero_digits(weight)
            negative = digits == 1 and weight < 0
            assert network.adders == max(digits - 1, 0) + negative
            assert network.depth == (max(digits, 1) - 1).bit_length() + negative


@pytest.mark.parametrize("share", [True, False])
def test_all_small_matrices(share):
    x = np.array(list(itertools.product((-2, -1, 0, 1), repeat=2)))
    for weights in itertools.product((-7, -2, 0, 1, 3, 5), repeat=4):
        weights = np.array(weights).reshape(2, 2).tolist()
        assert matrix_network(weights, share=share).evaluate(x).tolist() == product(weights, x.tolist())


CASES = {
    "small": (3, 4, 8),
    "tall": (9, 2, 128),
    "wide": (2, 9, 128),
    "square": (12, 12, 128),
    "16 bits": (4, 5, 1 << 15),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("density", [0.3, 1.0])
def test_random_matrices(name, density):
    rows, cols, limit = CASES[name]
    rng = np.random.default_rng(7)
    for _ in range(5):
        weights = rng.integers(-limit, limit, (rows, cols)) * (rng.random((rows, cols)) < density)
        x = rng.integers(-(1 << 23), 1 << 23, (20, cols))
        plain, shared = (matrix_network(weights, share=share) for share in (False, True))
        for network in (plain, shared):
            assert network.evaluate(x).tolist() == product(weights.tolist(), x.tolist())
            lows, highs = network.ranges(-3, 2)
            extremes = [[sum(min(c * -3, c * 2) for c in row), sum(max(c * -3, c * 2) for c in row)]
                        for row in network.coefficients.tolist()]  # fmt: skip
            assert [list(ends) for ends in zip(lows, highs, strict=True)] == extremes
        digits = sum(map(nonzero_digits, weights.ravel().tolist()))
        lone = sum(len(terms) == 1 and terms[0].negative for terms in plain.outputs)
        assert plain.adders == digits - sum(bool(terms) for terms in plain.outputs) + lone
        assert shared.adders <= plain.adders
        # No pattern occurs twice any more, in different outputs or in one.
        assert not repeated(shared)


def repeated(network):
    found, again = set(), set()
    for terms in network.outputs:
        for one, other in itertools.combinations(sorted(terms), 2):
            pattern = (one.node, other.node, other.shift - one.shift, one.negative != other.negative)
            (again if pattern in found and one.node != other.node else found).add(pattern)
    return again


def test_what_is_shared():
    # Both outputs are five times x, one of them eightfold: two terms, added once.
    network = matrix_network([[5], [40]])
    assert network.sums == (SharedSum(0, 0, 2, False),)
    assert network.outputs == ((Term(0, 1),), (Term(3, 1),))
    assert (network.adders, network.depth, network.levels) == (1, 1, [0, 1])
    # A row with its negative costs one negation more, whatever its length.
    row = [1, 0, 64, -16]
    alone, both = matrix_network([row], share=False), matrix_network([row, [-w for w in row]])
    assert both.adders == alone.adders + 1
    # A pattern of shared sums is one, too: 51 = 3 times 17, and 85 = 5 times 17.
    assert matrix_network([[51]]).adders < matrix_network([[51]], share=False).adders == 3
    # Terms that overlap in one row are not taken twice: x + 4 x + 16 x holds the pattern once.
    assert matrix_network([[21]]).sums == ()
    assert matrix_network([[85]]).sums == (SharedSum(0, 0, 2, False),)


def test_zeros_and_copies():
    x = np.array([[3, -4], [-1, 2]])
    network = matrix_network([[0, 0], [1, 0], [0, -8], [0, 0]])
    assert network.evaluate(x).tolist() == [[0, 3, 32, 0], [0, -1, -16, 0]]
    assert (network.adders, network.depth, network.outputs[0]) == (1, 1, ())
    copies = matrix_network([[77, 19]] * 5)
    assert copies.adders == matrix_network([[77, 19]] * 2).adders
    assert matrix_network([[0, 0, 0]]).adders == matrix_network([[0, 0, 0]]).depth == 0


def test_the_same_network_every_time():
    weights = np.random.default_rng(3).integers(-128, 128, (10, 10))
    one, other = matrix_network(weights), matrix_network(weights.tolist())
    assert (one.sums, one.outputs) == (other.sums, other.outputs)


def test_sharing_saves_adders():
    weights = np.clip(np.rint(np.random.default_rng(1).normal(0, 30, (16, 16))), -128, 127).astype(np.int64)
    plain, shared = matrix_network(weights, share=False), matrix_network(weights)
    assert plain.adders == 546
    assert shared.adders == 309
    assert shared.depth <= plain.depth + 1


def test_depth_of_the_shallowest_tree():
    # Leaves at levels 2, 2 and 0: the first two wait for each other, or one for the input.
    network = MatrixNetwork(
        inputs=1,
        sums=(SharedSum(0, 0, 1, False), SharedSum(1, 0, 5, False), SharedSum(1, 0, 9, True)),
        outputs=((Term(0, 0), Term(0, 2), Term(1, 3)),),
    )
    assert network.levels == [0, 1, 2, 2]
    assert network.depth == 4
    assert network.evaluate(np.array([[1]])).tolist() == [[1 + 35 + 2 * (3 - 512)]]


def test_rows_of_full_adders():
    assert [full_adder_rows(height) for height in (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 13, 14)] == [
        0, 0, 0, 1, 2, 3, 3, 4, 4, 5, 5, 6,
    ]  # fmt: skip


def test_text_of_weights():
    config = ConstantMatrixConfig(weights=[[1, -2], [30, 0]])
    assert config.weights == "1,-2/30,0"
    assert (
        config == ConstantMatrixConfig(weights="+1,-2/30,00") == ConstantMatrixConfig.of(np.array([[1, -2], [30, 0]]))
    )
    assert hash(config) == hash(ConstantMatrixConfig(weights="1,-2/30,0"))
    assert ConstantMatrixConfig.from_pairs(["weights=1,-2/30,0"]) == config
    assert ConstantMatrixConfig.from_toml(config.to_toml()) == config
    assert ConstantMatrixConfig.from_toml("weights = [[1, -2], [30, 0]]") == config
    assert ConstantMatrixConfig.from_pairs(["weights=-6"]).matrix.tolist() == [[-6]]
    assert ConstantMatrixConfig(weights=[4, 5]).matrix.tolist() == [[4], [5]]


def test_weights_of_few_terms():
    weights = np.random.default_rng(5).integers(-128, 128, (4, 6))
    config = ConstantMatrixConfig.of(weights, terms=2, recoding="greedy", x_width=5)
    assert (config.matrix == k_hot(weights, terms=2, recoding="greedy").values()).all()
    assert config.x_width == 5


@pytest.mark.parametrize("signed", [True, False])
def test_widths_are_those_of_the_worst_case(signed):
    config = ConstantMatrixConfig(weights=[[3, -5, 0], [1, 1, 1], [0, 0, 0]], x_width=3, x_signed=signed)
    values = range(config.x.minimum, config.x.maximum + 1)
    y = product(config.matrix.tolist(), itertools.product(values, repeat=3))
    assert config.y_ranges == [(min(column), max(column)) for column in zip(*y, strict=True)]
    (field,) = config.o.fields
    lowest, highest = min(map(min, y)), max(map(max, y))
    assert field.minimum <= lowest
    assert highest <= field.maximum
    assert lowest < field.minimum // 2 or highest > field.maximum // 2  # no bit too many
    assert not ConstantMatrixConfig(weights="1,2", x_signed=False).o.fields[0].signed


def test_golden_and_stimulus():
    config = ConstantMatrixConfig(weights="3,-5,0/1,1,1")
    beats = constant_matrix_stimulus(config, np.random.default_rng(1), 200)
    y = constant_matrix_golden(config, beats)["y"]
    assert y.tolist() == product(config.matrix.tolist(), beats["x"].tolist())
    for column, ends in zip(y.T.tolist(), config.y_ranges, strict=True):
        assert (min(column), max(column)) == ends
    assert len(constant_matrix_stimulus(config, np.random.default_rng(1), 3)) == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"weights": "1;2"}, "weights must be rows of integers such as 1,-2,3/4,0,-6, not '1;2'"),
        ({"weights": 2.5}, r"weights must be rows of integers such as 1,-2,3/4,0,-6, not 2\.5"),
        ({"weights": "1," * 40}, r"weights must be rows of integers such as .*, not '(1,){18}1\.\.\.'"),
        ({"weights": [[1, 2.5]]}, r"weights must be rows of integers, not 2\.5"),
        ({"weights": [[1, True]]}, "weights must be rows of integers, not True"),
        ({"weights": []}, "weights must be rows of integers such as .*, not ''"),
        ({"weights": "1,2/3"}, r"weights must have as many integers in every row, not \[1, 2\]"),
        ({"weights": "32768"}, r"weights must be in -32768\.\.32767, not 32768"),
        ({"weights": [[1] * 129]}, r"weights must be a matrix of 1\.\.128 rows and columns, not of shape \(1, 129\)"),
        ({"x_width": 25}, r"x_width must be an integer in 1\.\.24, not 25"),
        ({"share": 1}, "share must be true or false, not 1"),
        ({"levels_per_stage": 0}, r"levels_per_stage must be an integer in 1\.\.64, not 0"),
        ({"adder": "fast"}, "adder must be one of .*, not 'fast'"),
    ],
)
def test_what_is_refused(parameters, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        ConstantMatrixConfig(**parameters)


def test_arrays_that_are_refused():
    with pytest.raises(ConfigError, match=r"^weights must be integers, not float64$"):
        matrix_network(np.ones((2, 2)))
    with pytest.raises(ConfigError, match=r"^weights must be rows of integers, not 0\.5$"):
        ConstantMatrixConfig.of(np.array([[1, 0.5]]) / 2)
    with pytest.raises(ConfigError, match=r"^terms must be an integer in 1\.\.16, not 0$"):
        ConstantMatrixConfig.of([[1, 2]], terms=0)
