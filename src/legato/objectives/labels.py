"""The term of a model that infers classes: what it says of those that are known."""

from __future__ import annotations

from torch import Tensor

from legato.objectives.term import Term
from legato.trace import Trace


class Classification(Term):
    """−log q(y|x) of examples whose class is known, 0 of others: (B,), nats. Without it no label would teach the classifier.

    Kingma, Rezende, Mohamed & Welling 2014, https://arxiv.org/abs/1406.5298, eq. 9. Raises `Mistake` for a model that infers no
    class, when the recipe is built.
    """

    name = "classification"
    needs_classifier = True

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        # where one class is held for all there is nothing to infer
        return trace.x.new_zeros(len(trace.x)) if trace.classes is None else -trace.classes.log_own
