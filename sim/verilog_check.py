"""Reading exported Verilog back with pyverilog: ports, parameters and hierarchy, against the component's own metadata."""

import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass

from ..hdl.catalogue import design
from ..hdl.tool import ToolError
from ..hdl.verilog import module_name

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ResourceWarning)  # it reads its own version from a file that it does not close
    from pyverilog.vparser import ast
    from pyverilog.vparser.parser import VerilogParser

__all__ = ["VerilogModule", "check_interface", "instances", "read_verilog"]


@dataclass(frozen=True, kw_only=True)
class VerilogModule:
    """One module of a Verilog text.

    Parameters
    ----------
    ports : :class:`dict`
        From names to (``"in"`` or ``"out"``, width in bits).
    parameters : tuple of :class:`str`
        Names of its parameters.
    children : :class:`collections.Counter`
        From names of modules to how often this one instantiates them.
    """

    ports: dict
    parameters: tuple
    children: Counter


def read_verilog(text):
    """Modules of a Verilog text by name.

    Parameters
    ----------
    text : :class:`str`

    Returns
    -------
    :class:`dict`
        From names to :class:`VerilogModule`.

    Raises
    ------
    ToolError
        If pyverilog cannot parse it, or a module is defined twice.
    """
    with tempfile.TemporaryDirectory() as folder:  # pyverilog leaves its parser tables there
        try:
            tree = VerilogParser(outputdir=folder, debug=False).parse(text)
        except Exception as error:  # its own error class is not exported
            raise ToolError(f"pyverilog cannot parse the Verilog: {error}") from None
    modules = {}
    for definition in tree.description.definitions:
        if definition.name in modules:
            raise ToolError(f"module {definition.name} is defined twice")
        modules[definition.name] = _module(definition)
    return modules


def instances(modules, top):
    """How often each module occurs in the whole hierarchy below a top module.

    Returns
    -------
    :class:`collections.Counter`
    """
    total = Counter()
    for child, count in modules[top].children.items():
        total[child] += count
        for grandchild, more in instances(modules, child).items() if child in modules else ():
            total[grandchild] += count * more
    return total


def check_interface(config, text):
    """Compare exported Verilog with the component it was made from.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
    text : :class:`str`
        Verilog of the whole design.

    Returns
    -------
    :class:`dict`
        The modules; see :func:`read_verilog`.

    Raises
    ------
    ToolError
        If the top module is missing, its ports are not those of the component's metadata with ``clk`` and ``rst``, a
        module that is instantiated is not there, or a port has no bits.
    """
    modules, top = read_verilog(text), module_name(config.design)
    if top not in modules:
        raise ToolError(f"the Verilog has no module {top}")
    component = design(config.design).component(config)
    component._MustUse__used = True  # asked for its metadata only: no warning that it is never elaborated
    want = {"clk": ("in", 1), "rst": ("in", 1), **_metadata_ports(component.metadata.as_json()["interface"])}
    for name in sorted(want.keys() | modules[top].ports.keys()):
        has = modules[top].ports.get(name)
        if has != want.get(name):
            raise ToolError(f"port {name} of module {top} is {has}, the component's metadata say {want.get(name)}")
    for name, module in modules.items():
        for port, (_direction, width) in module.ports.items():
            if width < 1:
                raise ToolError(f"port {port} of module {name} has {width} bits, Verilog has no such ports")
        for child in module.children:
            if child not in modules:
                raise ToolError(f"module {name} instantiates {child}, which is not there")
    return modules


def _metadata_ports(interface):
    ports = {}
    for member in interface["members"].values():
        if member["type"] == "port":
            ports[member["name"]] = (member["dir"], member["width"])
        else:
            ports.update(_metadata_ports(member))
    return ports


def _module(definition):
    ports, parameters, children = {}, [], Counter()
    for item in definition.items:
        if isinstance(item, ast.Decl):
            for declaration in item.list:
                if isinstance(declaration, (ast.Input, ast.Output)):
                    direction = "in" if isinstance(declaration, ast.Input) else "out"
                    ports[declaration.name] = (direction, _width(declaration.width))
                elif isinstance(declaration, ast.Parameter) and not isinstance(declaration, ast.Localparam):
                    parameters.append(declaration.name)
        elif isinstance(item, ast.InstanceList):
            children[item.module] += len(item.instances)
    return VerilogModule(ports=ports, parameters=tuple(parameters), children=children)


def _width(width):
    return 1 if width is None else _integer(width.msb) - _integer(width.lsb) + 1


def _integer(expression):
    return -_integer(expression.right) if isinstance(expression, ast.Uminus) else int(expression.value)
