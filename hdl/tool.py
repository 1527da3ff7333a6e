"""Run an external tool: an argument list, a time-out, a log that is kept, one clear line when it fails."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from ..models.errors import CarrysaveError

__all__ = ["ToolError", "run_tool", "stop_tools"]

_SPARE_BYTES = (
    1 << 20
)  # with less than this on the disk, a tool's own words are rarely the reason, if it could write any

_running = set()
_stopped = False


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
        _running.add(process)
        try:
            if _stopped:
                raise KeyboardInterrupt
            status = process.wait(timeout_s)
            if _stopped:
                raise KeyboardInterrupt
        except BaseException as error:
            _kill(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ToolError(f"{name} took longer than {timeout_s:g} s; its log is {log}") from None
            raise
        finally:
            _running.discard(process)
    text = log.read_text(errors="replace")
    if status:
        full = shutil.disk_usage(log.parent).free < _SPARE_BYTES
        reason = "the disk is full" if full else _last_word(text)
        raise ToolError(f"{name} failed: {reason} (exit status {status}; log: {log})")
    return text


def stop_tools():
    """Kill every tool that runs, in whichever thread, and let no other start: for a process that is about to end.

    Those who wait for a tool get :exc:`KeyboardInterrupt`. May be called from a signal handler.
    """
    global _stopped
    _stopped = True  # first, so that a tool which starts now sees it
    for process in list(_running):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)


def _kill(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def _last_word(text):
    """The line of a log that most likely tells why the tool failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no output"])[0 if errors else -1][:300]
