"""The store of sweeps: one SQLite file, written by one process per sweep, read by many."""

from jaxmlp.sweep.store import reading
from jaxmlp.sweep.store.asked import Asked, asked_of, extend
from jaxmlp.sweep.store.claim import claimed
from jaxmlp.sweep.store.database import SCHEMA_VERSION, opened, transaction
from jaxmlp.sweep.store.reading import environments_of, kept
from jaxmlp.sweep.store.values import METRICS, checksum, sound
from jaxmlp.sweep.store.writing import Entry, Identity, Sweep, begin, fail, find_sweeps, keep, pending, prune, record

__all__ = [
    "METRICS", "SCHEMA_VERSION", "Asked", "Entry", "Identity", "Sweep", "asked_of", "begin", "checksum", "claimed",
    "environments_of", "extend", "fail", "find_sweeps", "keep", "kept", "opened", "pending", "prune", "reading",
    "record", "sound", "transaction",
]  # fmt: skip
