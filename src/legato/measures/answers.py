"""Answers of `evaluate` and `compare`: dictionaries that JSON takes, shown as a table where a person looks at one."""

from __future__ import annotations

from typing import Any

from legato import shown
from legato.measures.estimate import estimate_of

LISTED = (
    "kl_per_dimension",
    "rate_per_level",
)  # a figure for each dimension: a table of them would push the rest off the screen


class Answer(dict[str, Any]):
    """JSON-ready figures: a dictionary in every way but in how it is shown."""

    def title(self) -> str:
        """The run or the reference, and the examples."""
        raise NotImplementedError

    def lines(self) -> list[shown.Line]:
        """Each figure by its name."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return shown.text(self.title(), self.lines())

    def _repr_html_(self) -> str:
        return shown.page(self.title(), self.lines())


class Scorecard(Answer):
    """The answer of `legato.evaluate`."""

    def title(self) -> str:
        """The run and the examples."""
        return f"{self['run']['recipe']} at {self['run']['path']}, {_examples(self)}"

    def lines(self) -> list[shown.Line]:
        """The figures that apply, then why others do not."""
        flat = {name: figure for name, figure in self.items() if isinstance(figure, dict) and "value" in figure}
        flat |= {f"active units > {above}": figure for above, figure in self["active_units"].items()}
        return [*_figures(flat), ("trust", self["trust"], "")]


class Comparison(Answer):
    """The answer of `legato.compare`."""

    def title(self) -> str:
        """The reference and the examples."""
        first = self["runs"][0]
        return f"differences from {first['recipe']} at {first['path']}, {_examples(self)}"

    def lines(self) -> list[shown.Line]:
        """Each other run's differences from the first, below what its budget was."""
        return [line for run in self["runs"][1:] for line in [(_named(run), "", ""), *_figures(run["differences"])]]


def _named(run: dict[str, Any]) -> str:
    return f"{run['recipe']} at {run['path']}"


def _examples(found: dict[str, Any]) -> str:
    about = found["data"]
    return f"{about['n']:,} examples of {about['source']} ({about['split']})"


def _figures(found: dict[str, Any]) -> list[shown.Line]:
    estimates = {name.replace("_", " "): estimate_of(figure) for name, figure in found.items() if name not in LISTED}
    return [(name, str(one), one.method) for name, one in estimates.items() if one.value is not None]
