"""Run an external tool: an argument list, a time-out, a log that is kept, one clear line when it fails."""

import contextlib
import os
import subprocess
from pathlib import Path

from ..models.errors import CarrysaveError

__all__ = ["ToolError", "run_tool"]


class ToolError(CarrysaveError, RuntimeError):
    """An external tool is missing, failed or took too long; the text names it and its log."""


def run_tool(arguments, *, log, timeout_s, cwd=None, env=None):
    """Run a tool and keep what it prints.

    Parameters
    ----------
    arguments : list of :class:`str` or path
        Program and arguments; never goes through a shell.
    log : path
        File that receives standard output and error.
    timeout_s : :class:`float`
        Seconds after which the tool and its children are killed.
    cwd : path, optional
        Working directory.
    env : mapping, optional
        Environment variables on top of those of this process.

    Returns
    -------
    :class:`str`
        What the tool printed.

    Raises
    ------
    ToolError
        If the tool cannot be started, exits with a status other than zero, or runs out of time.
    """
    arguments = [os.fspath(argument) for argument in arguments]
    name, log = Path(arguments[0]).name, Path(log)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(f"cannot start {name}: {error.strerror}") from None
        try:
            status = process.wait(timeout_s)
        except BaseException as error:
            _kill(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ToolError(f"{name} took longer than {timeout_s:g} s; its log is {log}") from None
            raise
    text = log.read_text(errors="replace")
    if status:
        raise ToolError(f"{name} failed: {_last_word(text)} (exit status {status}; log: {log})")
    return text


def _kill(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def _last_word(text):
    """The line of a log that most likely tells why the tool failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no output"])[0 if errors else -1][:300]
