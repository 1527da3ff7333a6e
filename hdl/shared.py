"""Modules that appear once in the Verilog however often they are instantiated."""

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring

__all__ = ["Export", "Shared"]


class Export:
    """Stands for the platform while Verilog is made, and collects the shared modules by name.

    Parameters
    ----------
    modules : dict, optional
        What was collected before.
    prefix : :class:`str`
        Before the names of all that are placed.

    Members
    -------
    modules : dict
        From a module's name to the :class:`Shared` that was met first, and the prefix inside of it.
    """

    def __init__(self, modules=None, prefix=""):
        self.modules = {} if modules is None else modules
        self.prefix = prefix


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
    scope : :class:`bool`
        Whether the names of shared modules inside of it begin with its own: designs side by side in a larger one have modules
        of the same names that differ.
    """

    def __init__(self, create, signature, *, name, reset=False, scope=False):
        self.create = create
        self.reset = reset
        self._scope = scope
        self._name = name
        super().__init__(signature)

    def elaborate(self, platform):
        if not isinstance(platform, Export):
            m = Module()
            m.submodules.inner = inner = self.create()
            wiring.connect(m, wiring.flipped(self), inner)
            return m
        name = platform.prefix + self._name
        known, _ = platform.modules.setdefault(name, (self, f"{name}_" if self._scope else platform.prefix))
        if known.signature != self.signature or known.reset != self.reset:
            raise ValueError(f"two different components are placed as the shared module {name!r}")
        ports = {"i_clk": ClockSignal()}
        if self.reset:
            ports["i_rst"] = ResetSignal()
        for path, member, value in self.signature.flatten(self):
            direction = "i" if member.flow == wiring.In else "o"
            ports[f"{direction}_{'__'.join(map(str, path))}"] = (
                value.as_value() if hasattr(value, "as_value") else value
            )
        return Instance(name, **ports)
