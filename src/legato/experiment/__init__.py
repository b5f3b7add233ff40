"""The experiment behind the claims: a family of models trained alike, measured alike, and judged by one table."""

from __future__ import annotations
