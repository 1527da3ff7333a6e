"""Synthesis: Verilog to a netlist of library cells at a target period, several recipes tried, the best kept."""

import json
import re
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from ..hdl.yosys import run_yosys
from ..models.errors import CarrysaveError
from .netlist import Netlist
from .timing import analyse

__all__ = ["ABC_SCRIPTS", "FRONT_ENDS", "RECIPES", "YARDSTICK_SCRIPTS", "Recipe", "SynthesisError", "synthesise"]

FRONT_ENDS = {
    "plain": "",
    "booth": "-booth",
    "kogge-stone": "-extra-map +/choices/kogge-stone.v",
    "booth, kogge-stone": "-booth -extra-map +/choices/kogge-stone.v",
    "han-carlson": "-extra-map +/choices/han-carlson.v",
    "booth, han-carlson": "-booth -extra-map +/choices/han-carlson.v",
}
"""Options of Yosys' ``synth`` by name: how it builds multipliers and adders that the Verilog leaves open."""

_SIZE = "buffer -c;topo;upsize {D};dnsize {D};stime -p"
YARDSTICK_SCRIPTS = {
    "nf": f"strash;&get -n;&fraig -x;&put;scorr;dc2;strash;&get -n;&dch -f;&nf {{D}};&put;{_SIZE}",
    "map": f"strash;ifraig;scorr;dc2;strash;dch -f;map -B 0.9 {{D}};topo;{_SIZE}",
    "area": f"strash;ifraig;scorr;dc2;strash;dch -f;amap;topo;{_SIZE}",
    "syn": f"strash;ifraig;scorr;&get -n;&syn3;&syn4;&put;dc2;dch -f;map -B 0.9 {{D}};topo;{_SIZE}",
}
"""ABC scripts of the area-delay recipe (:mod:`carrysave.asic.front`) by name.

``{D}`` becomes the target delay; ``stime`` at the end measures.
"""

ABC_SCRIPTS = {
    **YARDSTICK_SCRIPTS,
    "keep": f"strash;dch -f;map -B 0.9 {{D}};topo;{_SIZE}",
    "keep nf": f"strash;&get -n;&dch -f;&nf {{D}};&put;{_SIZE}",
}
"""All ABC scripts; those called ``keep`` leave out ``dc2``, which turns parallel-prefix adders back into ripples."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


class SynthesisError(CarrysaveError, RuntimeError):
    """A design cannot be mapped to the library."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way through synthesis.

    Parameters
    ----------
    front_end : :class:`str`
        Key of :data:`FRONT_ENDS`.
    script : :class:`str`
        Key of :data:`ABC_SCRIPTS`.
    effort : :class:`float`
        ABC's target delay is this times what the period leaves after clock-to-q and set-up; 0 sets no target.
    """

    front_end: str = "plain"
    script: str = "map"
    effort: float = 1.0

    def __post_init__(self):
        if self.front_end not in FRONT_ENDS:
            raise SynthesisError(f"front_end must be one of {'; '.join(FRONT_ENDS)}, not {self.front_end!r}")
        if self.script not in ABC_SCRIPTS:
            raise SynthesisError(f"script must be one of {', '.join(ABC_SCRIPTS)}, not {self.script!r}")
        if not 0 <= self.effort <= 2:
            raise SynthesisError(f"effort must be in 0..2, not {self.effort!r}")


RECIPES = (
    Recipe(script="map"),
    Recipe(script="map", effort=0.8),
    Recipe(script="area"),
    Recipe(script="nf", effort=0.9),
    Recipe(script="keep", effort=0.9),
    Recipe(script="keep nf", effort=0.9),
)
"""What is tried unless asked otherwise; designs of ours leave no arithmetic to the front end."""


def synthesise(verilog_text, top, *, library, target_ps, folder, recipes=RECIPES, hierarchical=True, timeout_s=900):
    """Map a design to a library and keep the best of several tries.

    The best is the smallest that meets the period, or, if none does, the one with the smallest period; the period is
    :func:`carrysave.asic.timing.analyse`'s, register to register, clock-to-q and set-up included. Each module may come
    from another try: from the best whole netlist on, modules are exchanged one by one as long as that makes it better.

    Parameters
    ----------
    verilog_text : :class:`str`
        The whole design.
    top : :class:`str`
        Name of the top module.
    library : :class:`~carrysave.asic.liberty.Library`
    target_ps : :class:`float`
        Clock period to meet.
    folder : path
        Empty folder; gets ``mapped.v``, ``cells.v``, ``mapped.json``, ``synthesis.json`` and
        a folder of logs for each front end.
    recipes : iterable of :class:`Recipe`
    hierarchical : :class:`bool`
        Keep modules as they are, each mapped once; else flatten the design first.
    timeout_s : :class:`float`
        Seconds for each try.

    Returns
    -------
    :class:`~carrysave.asic.netlist.Netlist`

    Raises
    ------
    SynthesisError, ToolError, TimingError
        If no recipe gives a netlist that can be analysed.
    """
    if not _IDENTIFIER.fullmatch(top):
        raise SynthesisError(f"top must be a Verilog identifier, not {top!r}")
    if not target_ps > 0:
        raise SynthesisError(f"target_ps must be positive, not {target_ps!r}")
    recipes = tuple(recipes)
    if not recipes:
        raise SynthesisError("synthesis needs a recipe at least")
    folder = Path(folder).resolve()
    netlists = {}
    for front_end in dict.fromkeys(recipe.front_end for recipe in recipes):
        chosen = [recipe for recipe in recipes if recipe.front_end == front_end]
        place = folder / front_end.replace(", ", "+")
        place.mkdir(parents=True, exist_ok=True)
        netlists.update(_map(verilog_text, top, library, target_ps, place, chosen, hierarchical, timeout_s))
    rows, ranks = [], {}
    for recipe in recipes:
        period_ps, area_um2 = analyse(netlists[recipe]).period_ps, netlists[recipe].area_um2()
        ranks[recipe] = _rank(period_ps, area_um2, target_ps)
        rows.append({**asdict(recipe), "area_um2": area_um2, "period_ps": period_ps, "met": period_ps <= target_ps})
    start = min(recipes, key=ranks.get)
    chosen = _exchange(netlists, start, ranks[start], target_ps)
    _write_mixed(netlists, chosen, folder)
    for netlist in netlists.values():  # the netlists of the tries are large, their logs are not
        netlist.verilog.unlink()
        netlist.verilog.with_suffix(".json").unlink()
    write_cell_models(library, folder)
    provenance = {
        "top": top,
        "target_ps": target_ps,
        "hierarchical": hierarchical,
        "recipe": {module: asdict(recipe) for module, recipe in chosen.items()},
        "tries": rows,
        "library_sha256": library.sha256,
        "yosys": version("pyosys"),
    }
    (folder / "synthesis.json").write_text(json.dumps(provenance, indent=1) + "\n")
    return read_netlist(folder, library=library)


def _rank(period_ps, area_um2, target_ps):
    """What is smaller is better: the period until it meets the target, then the area."""
    return (0, area_um2, period_ps) if period_ps <= target_ps else (1, period_ps, area_um2)


def _exchange(netlists, start, rank, target_ps):
    """The recipe of each module, found by exchanging one module's at a time; ``start`` is where all begin."""
    base = netlists[start]
    chosen = dict.fromkeys(base.modules, start)
    order = sorted(chosen, key=lambda name: -base.area_um2(name) * base.instances_of.get(name, 0))
    improved = len(order) > 1
    while improved:
        improved = False
        for name in order:
            for recipe, netlist in netlists.items():
                larger = netlist.area_um2(name) > netlists[chosen[name]].area_um2(name)
                if recipe == chosen[name] or (rank[0] == 0 and larger):
                    continue
                mixed = {other: netlists[chosen[other]].modules[other] for other in chosen}
                mixed[name] = netlist.modules[name]
                candidate = replace(base, modules=mixed)
                found = _rank(analyse(candidate).period_ps, candidate.area_um2(), target_ps)
                if found < rank:
                    rank, chosen[name], improved = found, recipe, True
    return chosen


def _write_mixed(netlists, chosen, folder):
    """Write ``mapped.v`` and ``mapped.json`` with each module from its recipe's netlist."""
    texts, contents, rest = [], {}, {}
    for name, recipe in chosen.items():
        text = netlists[recipe].verilog.read_text()
        found = re.search(rf"^module {re.escape(name)}\b.*?^endmodule$", text, re.MULTILINE | re.DOTALL)
        if not found:
            raise SynthesisError(f"module {name} is not in the mapped Verilog")
        texts.append(found[0] + "\n")
        rest = rest or json.loads(netlists[recipe].verilog.with_suffix(".json").read_text())
        written = json.loads(netlists[recipe].verilog.with_suffix(".json").read_text())
        contents[name] = written["modules"][name]
    rest["modules"] = {**rest["modules"], **contents}
    (folder / "mapped.v").write_text("\n".join(texts))
    (folder / "mapped.json").write_text(json.dumps(rest))


def read_netlist(folder, *, library):
    """The netlist that :func:`synthesise` left in a folder; the library must be the same."""
    folder = Path(folder).resolve()
    provenance = json.loads((folder / "synthesis.json").read_text())
    if provenance["library_sha256"] != library.sha256:
        raise SynthesisError(
            f"the netlist in {folder} was mapped to another library than {library.name}; synthesise again"
        )
    return Netlist.read(
        folder / "mapped.json",
        top=provenance["top"],
        library=library,
        verilog=folder / "mapped.v",
        cell_models=folder / "cells.v",
        provenance=provenance,
    )


def link_library(library, folder):
    """Give a folder its library under fixed names; returns the ``-liberty`` options for Yosys' commands."""
    names = [f"cells{number}.lib" for number in range(len(library.paths))]
    for name, path in zip(names, library.paths, strict=True):
        (Path(folder) / name).unlink(missing_ok=True)
        (Path(folder) / name).symlink_to(path)
    return " ".join(f"-liberty {name}" for name in names)


def write_cell_models(library, folder):
    """Write ``cells.v``, functional models of the library's cells, for gate-level simulation."""
    folder = Path(folder)
    link_library(library, folder)
    run_yosys(
        [
            *(f"read_liberty -ignore_miss_func cells{number}.lib" for number in range(len(library.paths))),
            "write_verilog -noattr cells.v",
        ],
        folder=folder,
        name="cells",
        timeout_s=120,
    )
    models = (folder / "cells.v").read_text()
    # What happens within a cell is the library's business: only the nets between cells are traced.
    (folder / "cells.v").write_text(f"/*verilator tracing_off*/\n{models}/*verilator tracing_on*/\n")
    for number in range(len(library.paths)):
        (folder / f"cells{number}.lib").unlink()


def abc_command(library_options, script, target_ps):
    """Yosys' ``abc`` command of a script of :data:`ABC_SCRIPTS`; Yosys wants commas for the spaces within."""
    target = f"-D {target_ps:g}" if target_ps else ""
    return f"abc {library_options} -constr constraints {target} -script +{ABC_SCRIPTS[script].replace(' ', ',')}"


def write_constraints(library, folder):
    """Write ``constraints``: what drives a module's inputs and loads its outputs while ABC sizes the cells."""
    (Path(folder) / "constraints").write_text(f"set_driving_cell {library.driver}\nset_load 5.0\n")


def register_overhead_ps(library):
    """Clock-to-q plus set-up of the smallest plain flip-flop at a light load, in ps: what ABC does not see."""
    registers = sorted(
        (cell.area_um2, name)
        for name, cell in library.cells.items()
        if cell.kind == "flip-flop" and len(cell.inputs) == 2
    )
    if not registers:
        raise SynthesisError(f"library {library.name} has no plain flip-flop")
    cell = library.cell(registers[0][1])

    def first(arc, names):
        return max((table.values.flat[0] for name, table in arc.tables.items() if name in names), default=0.0)

    delays = [first(arc, ("cell_rise", "cell_fall")) for out in cell.outputs for arc in cell.pins[out].arcs]
    setups = [
        first(arc, ("rise_constraint", "fall_constraint"))
        for name in cell.inputs
        for arc in cell.pins[name].arcs
        if arc.kind.startswith("setup")
    ]
    return max(delays, default=0.0) + max(setups, default=0.0)


def _map(verilog_text, top, library, target_ps, folder, recipes, hierarchical, timeout_s):
    """Netlists by recipe, of recipes with one front end: what is before ABC is done once."""
    (folder / "design.v").write_text(verilog_text)
    options = link_library(library, folder)
    write_constraints(library, folder)
    libraries = [f"cells{number}.lib" for number in range(len(library.paths))]
    room_ps = max(target_ps - register_overhead_ps(library), 1.0)
    ties = library.tie(1), library.tie(0)
    commands = [
        "read_verilog -sv design.v",
        f"hierarchy -check -top {top}",
        "proc",
        # Flip-flops have no initial value in silicon; the design must not need one.
        "setattr -unset init w:*",
        f"synth {'' if hierarchical else '-flatten'} -noabc {FRONT_ENDS[recipes[0].front_end]} -top {top}",
        f"dfflibmap {options}",
        "opt_clean -purge",
        "design -save registers",
    ]
    for number, recipe in enumerate(recipes):
        commands += [
            "design -load registers",
            abc_command(options, recipe.script, round(recipe.effort * room_ps)),
            "setundef -zero",
            *([f"hilomap -hicell {' '.join(ties[0])} -locell {' '.join(ties[1])}"] if all(ties) else []),
            "opt_clean -purge",
            "delete */t:$scopeinfo",
            # Plain names without a leading underscore: Verilator does not trace nets that start with one.
            "rename -enumerate -pattern n%",
            f"write_verilog -noattr -noexpr -nohex {number}.v",
            # Read back, so that the names of nets are those of the Verilog for certain.
            "design -reset",
            *(f"read_liberty -lib -ignore_miss_func {name}" for name in libraries),
            f"read_verilog {number}.v",
            f"hierarchy -check -top {top}",
            f"write_json {number}.json",
        ]
    run_yosys(commands, folder=folder, timeout_s=timeout_s * len(recipes))
    for name in (*libraries, "design.v"):
        (folder / name).unlink()
    return {
        recipe: Netlist.read(
            folder / f"{number}.json",
            top=top,
            library=library,
            verilog=folder / f"{number}.v",
            cell_models=folder / "cells.v",
        )
        for number, recipe in enumerate(recipes)
    }
