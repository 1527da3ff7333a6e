import numpy as np
import pytest

from carrysave.asic.boolean import expression
from carrysave.asic.liberty_text import LibertyError


@pytest.mark.parametrize(
    ("text", "names", "table"),
    [
        ("A", "A", "01"),
        ("!A", "A", "10"),
        ("A'", "A", "10"),
        ("(A & B)", "AB", "0001"),
        ("A B", "AB", "0001"),
        ("A*B+C", "ABC", "01010111"),
        ("A ^ B ^ C", "ABC", "01101001"),
        ("!(A | B)'", "AB", "0111"),
        ("A | B ^ C & D", "ABCD", None),
        ("1", "", "1"),
        ("0", "", "0"),
    ],
)
def test_truth_tables(text, names, table):
    parsed = expression(text)
    assert "".join(parsed.names) == names
    if table is None:  # precedence: and before exclusive or before or
        table = "".join(str(int(a | (b ^ (c & d)))) for a in (0, 1) for b in (0, 1) for c in (0, 1) for d in (0, 1))
    assert "".join(str(int(value)) for value in parsed.table) == table


@pytest.mark.parametrize("text", ["", "A &", "(A", "A)", "A ? B", "& A", "!"])
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(LibertyError, match="cannot read the Liberty expression"):
        expression(text)


def test_too_many_names():
    with pytest.raises(LibertyError, match="more than 12 names"):
        expression("&".join(f"A{number}" for number in range(13)))


def test_probability_and_difference():
    majority = expression("A&B | C&(A|B)")
    ones = {"A": np.array([0.5, 1.0]), "B": np.array([0.5, 0.25]), "C": np.array([0.5, 0.5])}
    np.testing.assert_allclose(majority.probability(ones), [0.5, 1 - 0.75 * 0.5])
    others, table = majority.difference("A")
    assert others == ("B", "C")
    assert table.tolist() == [False, True, True, False]
