"""Yosys, as the ``pyosys`` wheel brings it, in a process of its own with a log and a time-out."""

import sys
from pathlib import Path

from .tool import run_tool

__all__ = ["run_yosys"]

# Reads the script itself, so that no command line has a length limit and nothing is quoted twice.
_DRIVER = (
    "import sys\n"
    "from pyosys import libyosys\n"
    "design = libyosys.Design()\n"
    "for line in open(sys.argv[1]):\n"
    "    line.strip() and libyosys.run_pass(line.strip(), design)\n"
)


def run_yosys(commands, *, folder, name="yosys", timeout_s=600):
    """Run Yosys commands in a folder.

    Parameters
    ----------
    commands : iterable of :class:`str`
        One command each. File names in them are relative to ``folder`` and made by us, never by a user.
    folder : path
        Working directory; gets ``<name>.ys`` and ``<name>.log``.
    name : :class:`str`
        Stem of the script and of the log.
    timeout_s : :class:`float`
        Seconds after which Yosys is killed.

    Returns
    -------
    :class:`str`
        The log.

    Raises
    ------
    ToolError
        If Yosys fails or takes too long.
    """
    folder = Path(folder).resolve()
    script = folder / f"{name}.ys"
    script.write_text("\n".join(commands) + "\n")
    return run_tool(
        [sys.executable, "-c", _DRIVER, script], log=folder / f"{name}.log", timeout_s=timeout_s, cwd=folder
    )
