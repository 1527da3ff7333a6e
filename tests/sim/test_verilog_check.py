import pytest

from carrysave.hdl.catalogue import design
from carrysave.hdl.tool import ToolError
from carrysave.hdl.verilog import verilog
from carrysave.models.mac import MACConfig, OPT1Config
from carrysave.models.systolic import SystolicConfig
from carrysave.sim.verilog_check import check_interface, instances, read_verilog

CONFIGS = [
    (MACConfig.from_mapping({"width": 4, "max_k": 16}), 1),
    (OPT1Config.from_mapping({"width": 4, "max_k": 16}), 1),
    (SystolicConfig.from_mapping({"rows": 2, "cols": 3, "width": 4, "max_k": 16}), 6),
    (SystolicConfig.from_mapping({"rows": 3, "cols": 1, "width": 4, "max_k": 16, "pe": "mac"}), 3),
]


@pytest.mark.parametrize(("config", "pes"), CONFIGS)
def test_interface_and_hierarchy(config, pes):
    modules = check_interface(config, verilog(config))
    top = config.design.replace("-", "_")
    pe = design(config.design).pe(config)
    assert pe in modules
    assert instances(modules, top)[pe] == pes
    assert not any(module.parameters for module in modules.values())  # all is fixed by the configuration


def test_widths_are_the_payloads():
    config = CONFIGS[2][0]
    ports = read_verilog(verilog(config))["systolic_os"].ports
    assert ports["i__payload"] == ("in", config.i.width)
    assert ports["o__payload"] == ("out", config.o.width)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("module mac(", "module other(", r"^the Verilog has no module mac$"),
        ("input i__valid;", "output i__valid;", r"^port i__valid of module mac is \('out', 1\), .* say \('in', 1\)$"),
        ("module mac_pe(", "module another_pe(", r"^module mac instantiates mac_pe, which is not there$"),
        ("endmodule", "endmodul", r"^pyverilog cannot parse the Verilog: "),
    ],
)
def test_differences_are_found(old, new, message):
    config = CONFIGS[0][0]
    text = verilog(config)
    assert old in text
    with pytest.raises(ToolError, match=message):
        check_interface(config, text.replace(old, new))
