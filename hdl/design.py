"""What a catalogue entry is: it ties a configuration to its component, golden model and stimulus."""

import dataclasses
from collections.abc import Callable

__all__ = ["Design"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Design:
    """One catalogue entry.

    Parameters
    ----------
    title : :class:`str`
        One line on what it is.
    config : type
        Configuration class; its ``design`` is the name of the entry.
    component : callable
        From a configuration to a ``wiring.Component`` with streams ``i`` and ``o`` and the configuration's attributes
        ``latency`` (cycles from the input beat that completes an output to that output, with nothing in the way) and
        ``initiation_interval`` (cycles between accepted input beats).
    golden : callable
        ``golden(config, beats) -> beats``, exact.
    stimulus : callable
        ``stimulus(config, rng, count) -> beats``, directed corners first.
    macs_per_beat : callable
        From a configuration to the multiply-accumulates that one input beat stands for, on average; of a unit that multiplies
        nothing, to the elements of a beat.
    pe : callable
        From a configuration to the name of the module that is the processing element in the exported Verilog.
    source : :class:`str`
        Paper and section.
    limits : tuple of :class:`str`
        Known limits, one sentence each.
    macs_of_beats : callable, optional
        ``macs_of_beats(config, beats)``, where not every beat stands for the same number of multiply-accumulates.
    latency_of_beats : callable, optional
        ``latency_of_beats(config, beats)``, cycles from the last of the beats, which complete one output and have nothing in
        their way, to that output: where it depends on the data, and ``latency`` is the smallest.
    """

    title: str
    config: type
    component: Callable
    golden: Callable
    stimulus: Callable
    macs_per_beat: Callable
    pe: Callable
    source: str
    limits: tuple = ()
    macs_of_beats: Callable | None = None
    latency_of_beats: Callable | None = None

    def macs(self, config, beats):
        """Multiply-accumulates that some input beats stand for."""
        if self.macs_of_beats:
            return self.macs_of_beats(config, beats)
        return round(len(beats) * self.macs_per_beat(config))

    @property
    def name(self):
        """Name in the catalogue, lower case with hyphens."""
        return self.config.design
