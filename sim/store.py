"""The result store: every step's files in the build folder, cached by what the step depends on.

A step writes into a temporary folder next to its place and is renamed there when it is done, so that a killed run never
leaves half a result, and a rerun with the same inputs finds the whole one. A lock on each step lets processes share a build
folder: who comes second waits and finds the step done.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Store", "digest"]


def digest(*parts):
    """SHA-256 over anything JSON can write, bytes and paths' contents; 64 hexadecimal digits."""
    hasher = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            data = part.read_bytes()
        elif isinstance(part, bytes):
            data = part
        else:
            data = json.dumps(part, sort_keys=True).encode()
        hasher.update(f"{len(data)}:".encode() + data)
    return hasher.hexdigest()


class Store:
    """Folder of finished steps.

    Parameters
    ----------
    root : path
        Build folder; made when first written to.
    """

    def __init__(self, root="build"):
        self.root = Path(root)

    def folder(self, config):
        """Folder of one configuration: ``<design>-<short hash>``."""
        return self.root / f"{config.design}-{config.digest}"

    def step(self, config, name, key, make):
        """Folder of a finished step, made if it is missing or out of date.

        Parameters
        ----------
        config : :class:`~carrysave.models.config.Config`
            Whose step it is.
        name : :class:`str`
            Path of the step below the configuration's folder, such as ``"asic/mapped"``.
        key : list
            What the step depends on; see :func:`digest`.
        make : callable
            Gets an empty folder and fills it. If it raises, nothing is kept but its logs (in ``<name>.failed``).

        Returns
        -------
        path
            The folder, absolute.
        """
        place = (self.folder(config) / name).resolve()
        if self.root.resolve() not in place.parents:
            raise ValueError(f"step {name!r} lies outside of the build folder")
        want, stamp = digest(config.canonical(), name, key), place / ".key"
        if stamp.is_file() and stamp.read_text() == want:
            return place
        place.parent.mkdir(parents=True, exist_ok=True)
        with _locked(place), _scratch(place) as scratch:
            if stamp.is_file() and stamp.read_text() == want:  # made by another process while this one waited
                return place
            make(scratch)
            (scratch / ".key").write_text(want)
            if place.exists():
                shutil.rmtree(place)
            os.rename(scratch, place)
        return place

    def fresh(self, config, name, key):
        """Whether :meth:`step` would find the step finished."""
        stamp = self.folder(config) / name / ".key"
        return stamp.is_file() and stamp.read_text() == digest(config.canonical(), name, key)


@contextmanager
def _locked(place):
    with place.with_name(f".{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the file's closing, however the process ends
        yield


@contextmanager
def _scratch(place):
    for stale in place.parent.glob(f".{place.name}.making-*"):  # of a run that was killed: the lock is ours
        shutil.rmtree(stale, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{place.name}.making-", dir=place.parent))
    try:
        yield scratch
    except Exception as error:
        failed = place.with_name(place.name + ".failed")
        shutil.rmtree(failed, ignore_errors=True)
        os.rename(scratch, failed)
        # A tool's log is named in its error: it lies in the renamed folder now.
        error.args = tuple(
            part.replace(str(scratch), str(failed)) if isinstance(part, str) else part for part in error.args
        )
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
