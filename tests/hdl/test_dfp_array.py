"""Array of dynamic fixed point through its streams: results, stalls on both sides, latency, exponents that wait."""

import random

import numpy as np
import pytest

from carrysave.hdl.dfp_array import DFPArray
from carrysave.models.dfp_array import DFPArrayConfig, dfp_array_golden, dfp_array_stimulus

SEED = 6
CONFIGS = [
    DFPArrayConfig(rows=2, cols=2, width=5, max_k=30),
    DFPArrayConfig(rows=3, cols=1, lanes=1, width=6, max_k=30, exponents="row", pe="mac", input_shift=2, result_rows=7),
    DFPArrayConfig(rows=2, cols=2, width=4, max_k=30, output="dfp", exponent_width=5),
    DFPArrayConfig(rows=2, cols=3, width=5, max_k=30, output="dfp", block="row", rounding="stochastic", seed=9),
]


def run(stream_run, config, beats, **pauses):
    want = config.o.to_ints(dfp_array_golden(config, beats))
    component = DFPArray(config)
    got, accepted, taken = stream_run(component, config.i.to_ints(beats), len(want), **pauses)
    for index, (expected, found) in enumerate(zip(want, got, strict=True)):
        assert found == expected, f"{config.canonical()}, seed {SEED}, beat {index}: {found:#x}, expected {expected:#x}"
    return accepted, taken


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.digest)
@pytest.mark.parametrize("waits", [(0.2, 0.2), (0, 0.9)], ids=["both", "output"])
def test_stalls(stream_run, config, waits):
    """With a slow output tiles queue up, and their exponents behind them."""
    beats = dfp_array_stimulus(config, np.random.default_rng(SEED), 40)
    rng = random.Random(SEED)
    run(
        stream_run,
        config,
        beats,
        i_pause=lambda cycle: rng.random() < waits[0],
        o_pause=lambda cycle: rng.random() < waits[1],
    )


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.digest)
def test_latency(stream_run, config):
    beats = dfp_array_stimulus(config, np.random.default_rng(SEED), 1)
    _accepted, taken = run(stream_run, config, beats)
    assert taken == [config.latency + row for row in range(config.rows)]
