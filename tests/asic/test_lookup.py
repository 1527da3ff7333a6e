import numpy as np

from carrysave.asic.lookup import TableBank


def test_a_bilinear_function_is_met_inside_and_outside(library):
    table = library.cell("NAND2_X1").pins["ZN"].arcs[0].tables["cell_rise"]
    slews, loads, values = table.grid("slew", "load")
    bank = TableBank("slew", "load")
    number = bank.add(table)
    grid = np.array([(slew, load) for slew in slews for load in loads])
    np.testing.assert_allclose(bank.look_up(np.full(len(grid), number), *grid.T), values.reshape(-1))
    middle = bank.look_up(np.array([number]), slews[:1], loads[1:3].mean(keepdims=True))
    np.testing.assert_allclose(middle, values[0, 1:3].mean())
    beyond = bank.look_up(np.array([number]), slews[:1], 2 * loads[-1:] - loads[-2])
    np.testing.assert_allclose(beyond, 2 * values[0, -1] - values[0, -2])


def test_tables_of_one_dimension_and_scalars(library):
    flip_flop = library.cell("DFF_X1")
    bank = TableBank("slew", "load")
    hidden = flip_flop.pins["CK"].power[0].tables["rise_power"]
    scalar = flip_flop.pins["CK"].power[1].tables["rise_power"]
    numbers = np.array([bank.add(hidden), bank.add(scalar), bank.add(None), bank.add(hidden)])
    found = bank.look_up(numbers, np.full(4, hidden.index[0][2]), np.array([0.0, 5.0, 5.0, 99.0]))
    np.testing.assert_allclose(found, [hidden.values[2], 0.0, 0.0, hidden.values[2]])
    assert len(bank.look_up(np.zeros(0, int), np.zeros(0), np.zeros(0))) == 0
