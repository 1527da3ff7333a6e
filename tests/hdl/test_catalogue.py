"""The catalogue: what every entry provides, and the answer to a name it does not know."""

import re

import numpy as np
import pytest
from amaranth.hdl import Fragment

from carrysave.hdl.catalogue import DESIGNS, UnknownDesign, design
from carrysave.models.errors import CarrysaveError


@pytest.mark.parametrize("name", DESIGNS)
def test_entries(small_config, name):
    entry = design(name)
    assert entry is DESIGNS[name]
    assert entry.name == name
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)
    assert entry.title
    assert "\n" not in entry.title + entry.source
    small = small_config(name)
    Fragment.get(entry.component(small), None)  # elaborates
    for config in (small, entry.config()):
        component = entry.component(config)
        component._MustUse__used = True  # asked for its numbers only
        assert component.latency == config.latency >= 1
        assert component.initiation_interval == config.initiation_interval >= 1
        assert len(component.i.payload.as_value()) == config.i.width
        assert len(component.o.payload.as_value()) == config.o.width
    assert entry.macs_per_beat(entry.config()) >= 1


@pytest.mark.parametrize("name", DESIGNS)
def test_stimulus_is_legal_repeatable_and_complete(name):
    entry = design(name)
    config = entry.config()
    beats = entry.stimulus(config, np.random.default_rng(5), 400)
    assert len(beats) == 400
    config.i.check(beats)
    assert (beats == entry.stimulus(config, np.random.default_rng(5), 400)).all()
    assert (beats != entry.stimulus(config, np.random.default_rng(6), 400)).any()
    results = entry.golden(config, beats)
    config.o.check(results)
    assert len(results)


def test_macs_per_beat():
    assert design("mac").macs_per_beat(design("mac").config()) == 1
    systolic = design("systolic-os")
    assert systolic.macs_per_beat(systolic.config(rows=3, cols=5)) == 15
    assert systolic.pe(systolic.config(pe="mac")) == "mac_pe"
    assert systolic.pe(systolic.config()) == "opt1_pe"


def test_unknown_design_with_near_names():
    with pytest.raises(
        UnknownDesign, match=r"^no design is called 'systolic'; did you mean systolic-ws, systolic-os\?$"
    ):
        design("systolic")


def test_unknown_design_like_no_other():
    names = ", ".join(sorted(DESIGNS))
    with pytest.raises(UnknownDesign) as caught:
        design("??")
    assert str(caught.value) == f"no design is called '??'; did you mean {names}?"
    assert isinstance(caught.value, CarrysaveError)
    assert isinstance(caught.value, KeyError)
