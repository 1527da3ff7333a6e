"""L-Mul, Mitchell's multiplier and exact multiplication side by side: errors, silicon figures, the paper's claims.

Every unit is synthesised twice: for a period that is out of reach, which gives the shortest critical path, and for a common one,
at which areas and energies are held against each other. Energy comes from the activity of a gate-level run, all of whose
products are checked, with normally distributed operands. Multipliers are counted without their streams (the arithmetic of
one product, between registers); dot products with all they need to deliver rounded sums.
"""

import time
from dataclasses import asdict, dataclass, field

import numpy as np

from . import __version__
from .asic.estimate import energy, map_design
from .asic.liberty import default_library, load_library
from .asic.timing import analyse
from .comparison import OUT_OF_REACH_PS, QUICK_RECIPES, check_period, library_facts
from .hdl.catalogue import design
from .lmul_claims import claims
from .models.errors import ConfigError
from .models.float_dot import FloatDotConfig
from .models.float_multiply import FloatMultiplyConfig
from .models.float_rounding import encode
from .models.lmul import LMulConfig
from .models.mac import MACConfig
from .models.multiplier_error import error_statistics
from .sim.store import Store

__all__ = ["SCHEMA", "Unit", "compare_lmul", "units"]

SCHEMA = "carrysave-compare-lmul/1"

_FORMATS = ("float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
_PRODUCTS = 1024  # played for the energy
_REDUCTION = 64  # products of a dot product
_SEED = 1


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One row of the comparison.

    Parameters
    ----------
    kind : :class:`str`
        ``"multiplier"`` or ``"dot product"``.
    format, arithmetic : :class:`str`
        Of the operands; how products are made, for a dot product also how they are added.
    config : :class:`~carrysave.models.config.Config`
    """

    kind: str
    format: str
    arithmetic: str
    config: object = field(repr=False)

    @property
    def label(self):
        """Format and arithmetic."""
        return f"{self.format} {self.arithmetic}"


def units():
    """All units that are compared: multipliers first, then dot products; the exact one of a format before its rivals."""
    found = []
    for name in _FORMATS:
        flushed = FloatMultiplyConfig(format=name, subnormals=False)
        found += [
            Unit(kind="multiplier", format=name, arithmetic="exact", config=flushed),
            Unit(kind="multiplier", format=name, arithmetic="L-Mul", config=LMulConfig(format=name)),
            Unit(kind="multiplier", format=name, arithmetic="Mitchell", config=LMulConfig(format=name, offset="none")),
            Unit(
                kind="multiplier",
                format=name,
                arithmetic="L-Mul, optimal offset",
                config=LMulConfig(format=name, offset="optimal"),
            ),
        ]
    sums = (("sequential", 1), ("tree", 4), ("kulisch", 4))
    for name in ("bfloat16", "float8_e4m3fn"):
        for accumulator, lanes in sums:
            if name == "bfloat16" and accumulator == "kulisch":
                continue  # hundreds of columns, 278 for L-Mul and 539 for exact products: no rival in silicon
            for multiplier in ("exact", "lmul"):
                config = FloatDotConfig(
                    format=name,
                    multiplier=multiplier,
                    subnormals=False,
                    accumulator=accumulator,
                    lanes=lanes,
                    max_k=1024,
                    carry_spacing=4 if accumulator == "kulisch" else 1,
                )
                title = "L-Mul" if multiplier == "lmul" else multiplier
                found.append(
                    Unit(kind="dot product", format=name, arithmetic=f"{title}, {accumulator}, {lanes}", config=config)
                )
    exact = FloatDotConfig(format="float32", multiplier="exact", subnormals=False, accumulator="sequential", lanes=1)
    lmul = FloatDotConfig(format="float32", accumulator="sequential", lanes=1)
    found += [
        Unit(kind="dot product", format="float32", arithmetic="exact, sequential, 1", config=exact),
        Unit(kind="dot product", format="float32", arithmetic="L-Mul, sequential, 1", config=lmul),
        Unit(kind="dot product", format="int8", arithmetic="exact, 1", config=MACConfig(max_k=1024)),
    ]
    return found


def compare_lmul(*, library=None, period_ps=2000.0, formats=None, text=False, build_folder="build", log=None):
    """Errors, silicon figures and claims.

    Parameters
    ----------
    library : path or :class:`str`, optional
        A Liberty file, ``osu018`` or ``osu035``; NanGate 45 nm if not given.
    period_ps : :class:`float`
        The common period at which areas and energies are compared.
    formats : list of :class:`str`, optional
        Only units of these formats; all without.
    text : :class:`bool`
        Run MiniLM on real text, too: how the similarities of sentences move, and which offsets suit its operands best.
    build_folder : path
        Keeps netlists and runs; a comparison that was stopped continues there.
    log : callable, optional
        Receives lines of progress.

    Returns
    -------
    dict
        As JSON takes it: ``schema``, ``library``, ``period_ps``, ``errors``, ``units``, ``claims``, ``text`` and
        ``offsets`` (empty without ``text``), ``seconds``.

    Raises
    ------
    ConfigError
        If an argument is not legal.
    MiniLMError
        If the package with MiniLM's weights is asked for and not installed.
    """
    start, log = time.perf_counter(), log or (lambda line: None)
    check_period(period_ps)
    chosen = units()
    legal = list(dict.fromkeys(unit.format for unit in chosen))
    for name in formats or ():
        if name not in legal:
            raise ConfigError(f"formats must be of {', '.join(legal)}, not {name!r}")
    chosen = [unit for unit in chosen if not formats or unit.format in formats]
    library = load_library(library) if library else default_library()
    store, rows = Store(build_folder), []
    for unit in chosen:
        rows.append(_measured(unit, store=store, library=library, period_ps=period_ps))
        log("{label}: {area_um2:.0f} um2, {energy_fj:.0f} fJ, {critical_path_ps:.0f} ps at best".format(**rows[-1]))
    moved, offsets = _on_text(log) if text else ([], [])
    return {
        "schema": SCHEMA,
        "carrysave": __version__,
        "library": library_facts(library),
        "period_ps": period_ps,
        "errors": _errors(),
        "units": rows,
        "claims": claims(rows, moved),
        "text": moved,
        "offsets": offsets,
        "seconds": time.perf_counter() - start,
    }


def _on_text(log):
    from .workloads.similarity import offsets_over_workload, similarity_report

    log("MiniLM-L6 on real text, by every arithmetic")
    moved = [asdict(row) for row in similarity_report()]
    offsets = [{"where": row.where, "offsets": row.offsets} for row in offsets_over_workload()]
    return moved, offsets


def _errors():
    """Relative error over all pairs of mantissas: nothing is sampled, exponents do not matter."""
    rows = []
    for bits in (1, 2, 3, 4, 5, 7, 10, 23):
        config = LMulConfig(format="custom", exponent_bits=8, mantissa_bits=bits)
        variants = (
            ("L-Mul, adder", config.replace()),
            ("L-Mul, formula", config.replace(carry="formula")),
            ("Mitchell", config.replace(offset="none")),
            ("L-Mul, optimal offset", config.replace(offset="optimal")),
        )
        for arithmetic, variant in variants:
            found = error_statistics(
                mantissa_bits=bits,
                offset=variant.offset_units,
                carry=variant.carry,
                rounding=variant.rounding if variant.carry == "formula" else "none",
            )
            rows.append({
                "mantissa_bits": bits,
                "arithmetic": arithmetic,
                "offset_ulp": variant.offset_units,
                "mean": found.mean,
                "mean_absolute": found.mean_absolute,
                "rms": found.rms,
                "maximum": found.maximum,
            })  # fmt: skip
    return rows


def _measured(unit, *, store, library, period_ps):
    netlists = {
        target: map_design(unit.config, store=store, library=library, period_ps=target, recipes=QUICK_RECIPES)
        for target in (OUT_OF_REACH_PS, period_ps)
    }
    timings = {target: analyse(netlist) for target, netlist in netlists.items()}
    # A multiplier's operands come from outside: the path from there to its register counts as one between registers does.
    paths = {target: max(timing.register_ps, timing.input_ps) for target, timing in timings.items()}
    # A unit that does not reach the common period is held against the others at its own.
    own_ps = max(paths[period_ps], period_ps)
    netlist, beats = netlists[period_ps], _beats(unit.config)
    spent = energy(unit.config, beats, netlist, store=store, timing=timings[period_ps])
    areas = {row["module"]: row for row in netlist.area_report()}
    pe = design(unit.config.design).pe(unit.config)
    if unit.kind == "multiplier":
        area = sum(row["own_um2"] for name, row in areas.items() if name == pe)
        leakage = spent.power.leakage_by_module[pe]
        dynamic = spent.power.by_module[pe] * spent.power.cycles / spent.macs
        energy_fj = dynamic + leakage * own_ps * 1e-6 * spent.power.cycles / spent.macs
    else:
        area = sum(row["own_um2"] * netlist.instances_of.get(name, 1) for name, row in areas.items())
        energy_fj = spent.energy_per_mac_fj(own_ps)
    return {
        "kind": unit.kind,
        "format": unit.format,
        "arithmetic": unit.arithmetic,
        "label": unit.label,
        "parameters": unit.config.to_mapping(),
        "digest": unit.config.digest,
        "lanes": getattr(unit.config, "lanes", 1),
        "area_um2": area,
        "period_ps": own_ps,
        "critical_path_ps": min(paths.values()),
        "energy_fj": energy_fj,
        "products_checked": spent.outputs,
    }


def _beats(config):
    """Normally distributed operands, as weights and activations are; dot products of :data:`_REDUCTION` products."""
    rng = np.random.default_rng(_SEED)
    beats = config.i.zeros(_PRODUCTS // getattr(config, "lanes", 1))
    for name in ("a", "b"):
        values = rng.normal(0, 1, beats[name].shape)
        if isinstance(config, MACConfig):
            beats[name] = np.clip(np.rint(30 * values), -128, 127)
        else:
            beats[name] = encode(values, config.float_format, overflow="saturate")
    if "last" in beats.dtype.names:
        steps = _REDUCTION // getattr(config, "lanes", 1)
        beats["last"][steps - 1 :: steps] = 1
    return beats
