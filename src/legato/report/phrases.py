"""Phrases of one kind of figure that several reports say in the same words."""

from __future__ import annotations

RECONSTRUCTIONS = "Test images, drawn at random, and what is left of them after the latent bottleneck."
PATH = (
    "Straight lines between two codes, decoded. The cross-fade blends pixels instead: perfectly smooth, and no image in "
    "between. What a latent space adds is what differs from it."
)
ENDS = "Two test images of a random order: the first, and the first of another class, or the second where there are no classes."
TRAVERSALS = "The most informative dimensions, one row each."
PLANE = "The plane of two latents at even steps."
DIMENSIONS = (
    "The rate, dimension by dimension. One that carries nothing lies at 0: its posterior is the prior for every example."
)
DISTURBANCES = (
    "C(r): the distance between decoded images when a code is moved by r of the codes' own standard deviations in a random "
    "direction, over that of two unrelated codes. In pixels; bands over codes."
)
