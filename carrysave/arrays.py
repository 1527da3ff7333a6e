"""Arrays from files that other people send: read without pickle, every failure one line that says what to change."""

import zipfile
import zlib

import numpy as np

from .models.errors import ConfigError

__all__ = ["read_array", "read_arrays"]


def read_arrays(path):
    """The named arrays of an ``.npz`` file, as a dictionary; raises :exc:`ConfigError` for anything else."""
    loaded = _loaded(path, "an .npz file of plain arrays")
    if isinstance(loaded, np.ndarray):
        raise ConfigError(f"{path} holds one array without a name; write an .npz file with numpy.savez")
    return loaded


def read_array(path):
    """The one array of an ``.npy`` file; raises :exc:`ConfigError` for anything else."""
    loaded = _loaded(path, "an .npy file of a plain array")
    if not isinstance(loaded, np.ndarray):
        raise ConfigError(f"{path} holds arrays with names; write one array with numpy.save")
    return loaded


def _loaded(path, wanted):
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as file:
            return dict(file)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except MemoryError:
        raise ConfigError(f"cannot read {path}: what it holds does not fit into memory") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        raise ConfigError(f"cannot read {path}: not {wanted}, or damaged") from None
