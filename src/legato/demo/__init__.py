"""`legato demo`: what the noise and the KL term do, shown on MNIST in five minutes."""

from __future__ import annotations

from legato.demo.run import demo

__all__ = ["demo"]
