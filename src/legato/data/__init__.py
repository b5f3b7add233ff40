"""Data: sources opened, prepared once into a memory-mapped store, split, described."""

from legato.data.dataset import Dataset, Problem
from legato.data.description import describe
from legato.data.options import DataOptions
from legato.data.sources import open_source
from legato.data.store import purge

__all__ = ["DataOptions", "Dataset", "Problem", "describe", "open_source", "purge"]
