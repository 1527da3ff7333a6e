"""The files that ``generate`` writes beside the Verilog: interface description, FuseSoC core, clock constraints."""

import json

from . import __version__
from .hdl.axis import axis_widths
from .hdl.catalogue import design
from .hdl.verilog import module_name

__all__ = ["core_file", "interface", "interface_file", "sdc_file"]

SCHEMA = "carrysave-interface/1"
"""Name and version of the schema of :func:`interface`."""


def _stream(payload):
    fields, offset = [], 0
    for field in payload.fields:
        fields.append(
            {
                "name": field.name,
                "type": field.describe(),
                "width": field.width,
                "signed": field.signed,
                "shape": list(field.shape),
                "offset": offset,
            }
        )
        offset += field.width * field.size
    return {"width": payload.width, "fields": fields}


def interface(config, wrapper=None):
    """What a user of the Verilog must know, as data.

    Returns
    -------
    dict
        ``schema``, ``design``, ``title``, ``module``, ``configuration``, ``digest``, ``version``, ``source``, ``limits``,
        ``latency_cycles``, ``initiation_interval_cycles``, ``macs_per_beat``, ``clock``, ``reset``, and the streams ``i``
        and ``o``: their ports, width in bits, and fields with their bit offset (element 0 of an array lowest).
    """
    entry = design(config.design)
    streams = {"i": _stream(config.i), "o": _stream(config.o)}
    if wrapper == "axis":
        for name, prefix, width in zip("io", ("s_axis", "m_axis"), axis_widths(config), strict=True):
            streams[name]["ports"] = {part: f"{prefix}_t{part}" for part in ("data", "valid", "ready")}
            streams[name]["tdata_width"] = width
            if streams[name]["fields"][-1]["name"] == "last":
                streams[name]["ports"]["last"] = f"{prefix}_tlast"
    else:
        for name in "io":
            streams[name]["ports"] = {part: f"{name}__{part}" for part in ("payload", "valid", "ready")}
    return {
        "schema": SCHEMA,
        "design": config.design,
        "title": entry.title,
        "module": module_name(config.design),
        "configuration": config.to_mapping(),
        "digest": config.digest,
        "version": __version__,
        "source": entry.source,
        "limits": list(entry.limits),
        "latency_cycles": config.latency,
        "initiation_interval_cycles": config.initiation_interval,
        "macs_per_beat": entry.macs_per_beat(config),
        "pe_module": entry.pe(config),
        "wrapper": wrapper,
        "clock": "aclk" if wrapper else "clk",
        "reset": {"port": "aresetn", "active": "low"} if wrapper else {"port": "rst", "active": "high"},
        **streams,
    }


def interface_file(config, wrapper=None):
    """Text of ``design.json``."""
    return json.dumps(interface(config, wrapper), indent=2) + "\n"


def core_file(config, *, testbench=()):
    """Text of the FuseSoC core file ``design.core`` (CAPI2).

    Parameters
    ----------
    testbench : sequence of :class:`str`
        Names of the test bench's files, the Verilog first.
    """
    name = module_name(config.design)
    lines = [
        "CAPI=2:",
        f"name: carrysave:generated:{name}_{config.digest}:{__version__}",
        f'description: "{design(config.design).title}"',
        "filesets:",
        "  rtl:",
        "    files:",
        "      - design.v",
        "    file_type: verilogSource",
        "  constraints:",
        "    files:",
        "      - design.sdc",
        "    file_type: SDC",
    ]
    targets = ["targets:", "  default: &default", "    filesets: [rtl]", f"    toplevel: {name}"]
    targets += ["  synth:", "    <<: *default", "    filesets: [rtl, constraints]"]
    if testbench:
        lines += ["  testbench:", "    files:"]
        for file in testbench:
            kind = "verilogSource" if file.endswith(".v") else f"user, copyto: {file}"
            lines.append(f"      - {file}: {{file_type: {kind}}}")
        targets += ["  sim:", "    default_tool: icarus", "    filesets: [rtl, testbench]", f"    toplevel: {name}_tb"]
    return "\n".join(lines + targets) + "\n"


def sdc_file(config, *, period_ps, wrapper=None):
    """Text of the clock constraints ``design.sdc``: the period, in ns as most tools take it, and a fifth of it at the ports."""
    clock = "aclk" if wrapper else "clk"
    period_ns = period_ps / 1000
    return (
        f"# {config.design} {config.digest}: clock period {period_ps:g} ps, times in ns\n"
        f"create_clock -name {clock} -period {period_ns:g} [get_ports {clock}]\n"
        f"set_input_delay {period_ns / 5:g} -clock {clock} [all_inputs]\n"
        f"set_output_delay {period_ns / 5:g} -clock {clock} [all_outputs]\n"
    )
