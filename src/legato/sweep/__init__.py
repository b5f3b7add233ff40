"""Sweeps: many trainings that differ by a few words, side by side, with a table and a picture at the end."""

from legato.sweep.run import sweep
from legato.sweep.spec import Spec, read_spec

__all__ = ["Spec", "read_spec", "sweep"]
