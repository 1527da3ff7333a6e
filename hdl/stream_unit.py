"""Designs with a stream in and a stream out."""

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .layout import payload_layout

__all__ = ["StreamUnit"]


class StreamUnit(wiring.Component):
    """Base of the designs: two streams, and the counters of those that have some.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
        With ``i``, ``o``, ``latency`` and ``initiation_interval``, and ``counters`` if there are any.

    Members
    -------
    i : ``In(stream)``
        See the configuration's ``i``.
    o : ``Out(stream)``
        See the configuration's ``o``.
    counters : ``Out``
        See the configuration's ``counters``; absent without.
    """

    def __init__(self, config):
        self.config = config
        self.latency = config.latency
        self.initiation_interval = config.initiation_interval
        counters = getattr(config, "counters", None)
        super().__init__({
            "i": In(stream.Signature(payload_layout(config.i))),
            "o": Out(stream.Signature(payload_layout(config.o))),
            **({"counters": Out(payload_layout(counters))} if counters else {}),
        })  # fmt: skip
