"""Modules that appear once in the Verilog however often they are instantiated."""

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring

__all__ = ["Export", "Shared"]


class Export:
    """Stands for the platform while Verilog is made, and collects the shared modules by name.

    Members
    -------
    modules : dict
        From a module's name to the :class:`Shared` that was met first.
    """

    def __init__(self):
        self.modules = {}


class Shared(wiring.Component):
    """Stands for a component that Verilog export (:mod:`carrysave.hdl.verilog`) writes as a module of its own, once.

    Everywhere else (Amaranth's simulator, FPGA platforms) it is the component, wrapped.

    Parameters
    ----------
    create : callable
        Makes the component; all placed under one name must be alike.
    signature : :class:`amaranth.lib.wiring.Signature`
        The component's signature. Its only domain is ``sync``.
    name : :class:`str`
        Name of the Verilog module.
    reset : :class:`bool`
        Whether registers in it have a reset.
    """

    def __init__(self, create, signature, *, name, reset=False):
        self.create = create
        self.reset = reset
        self._name = name
        super().__init__(signature)

    def elaborate(self, platform):
        if not isinstance(platform, Export):
            m = Module()
            m.submodules.inner = inner = self.create()
            wiring.connect(m, wiring.flipped(self), inner)
            return m
        known = platform.modules.setdefault(self._name, self)
        if known.signature != self.signature or known.reset != self.reset:
            raise ValueError(f"two different components are placed as the shared module {self._name!r}")
        ports = {"i_clk": ClockSignal()}
        if self.reset:
            ports["i_rst"] = ResetSignal()
        for path, member, value in self.signature.flatten(self):
            direction = "i" if member.flow == wiring.In else "o"
            ports[f"{direction}_{'__'.join(map(str, path))}"] = value
        return Instance(self._name, **ports)
