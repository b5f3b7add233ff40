"""The decoder's stretch: the singular values of J S^½, J its Jacobian, S the covariance of the codes.

A unit step in whitened latent space moves the image by at most the largest of them. Covered: all singular values at given
codes (posterior draws, prior draws, midpoints: the caller's choice), exactly or by power iteration, of differentiable decoders
and, by differences, of plain functions. Not covered: finite disturbances (perturbation.py); stretch by itself is no merit: a
decoder that ignores its code has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vjp

from legato.devices import doubled
from legato.errors import Mistake
from legato.forward_mode import jvp
from legato.measures.estimate import Estimate, absent, bootstrap, quantile_over
from legato.measures.whitening import Root, Whitening
from legato.types import Doubles, Floats

EXACT = 64  # latent dimensions up to which the whole Jacobian is as cheap as a power iteration that is sure of its result
BLOCK = 64  # codes at a time: a Jacobian of 64 dimensions by 3,072 pixels is 50 MB then
ROUNDS = 24  # products of the power iteration; its plain last vector would be a per cent off where values lie close (its test)
WIDE = 512  # codes at a time where no Jacobian is kept: only vectors of the span are
STEP = 1e-2  # of a central difference, in whitened units: its error is STEP² beside 1, rounding 10⁻⁷/STEP in single precision
UNIT = "image distance per latent unit"


@dataclass(frozen=True)
class Stretch:
    """One row per code: the largest singular value of J S^½ and, where all were computed, the smallest, (n,) each."""

    largest: Doubles
    smallest: Doubles | None
    method: str

    def estimates(self) -> dict[str, Estimate]:
        """Figures over codes: `median`, `p99`, their ratio `unevenness` of the largest; `anisotropy`, largest/smallest."""
        of = f"largest singular value of J S^1/2, {self.method}"
        return {
            "median": quantile_over(self.largest, 0.5, UNIT, of),
            "p99": quantile_over(self.largest, 0.99, UNIT, of),
            "unevenness": self._unevenness(f"p99 over median of the {of}"),
            "anisotropy": self._anisotropy(),
        }

    def _unevenness(self, method: str) -> Estimate:
        values = np.sort(self.largest)

        def ratio(weights: Doubles) -> Doubles:
            shares = weights.cumsum(1)  # in the order of the values; rounding must not push a share of 0.99 below 0.99
            top, middle = (values[(shares >= q - 1e-9).argmax(1)] for q in (0.99, 0.5))
            return np.asarray(top / middle)

        if not values[0] > 0:
            return absent("at some codes the decoder does not move at all", "ratio", method)
        value = float(ratio(np.full((1, len(values)), 1 / len(values)))[0])
        return bootstrap(ratio, value, len(values), "ratio", method)

    def _anisotropy(self) -> Estimate:
        method = f"largest / smallest singular value of J S^1/2, {self.method}"
        if self.smallest is None:
            return absent("power iteration finds the largest singular value alone", "ratio", method)
        if not (self.smallest > 0).all():
            dead = int((self.smallest == 0).sum())
            return absent(f"at {dead} of {len(self.smallest)} codes some direction does not move the image", "ratio", method)
        return quantile_over(self.largest / self.smallest, 0.5, "ratio", method)


@torch.no_grad()
def stretch(
    decode: Callable[[Tensor], Tensor], codes: Tensor, whitening: Whitening, exact: bool | None = None, seed: int = 0
) -> Stretch:
    """The stretch of a differentiable decoder, (n, d) -> (n, *data), image by image, at codes (n, d).

    `exact`: the whole Jacobian by d Jacobian-vector products (the default up to 64 dimensions); else power iteration on
    S^½ JᵀJ S^½, by 24 products with J and Jᵀ. Raises `Mistake` where all derivatives vanish although the
    images differ (`torch.no_grad` within, or thresholds): such a decoder is a plain function.
    """
    root = whitening.root_of(codes)
    exact = codes.shape[1] <= EXACT if exact is None else exact
    size = BLOCK if exact else WIDE
    blocks = [codes[at : at + size] for at in range(0, len(codes), size)]
    if exact:
        ends = [_singular(torch.stack(_columns(decode, z, root), -1)) for z in blocks]
        found = _gathered(ends, "exact Jacobian")
    else:
        # A generator of its own: measuring must not move the draws of whoever measures next.
        generator = torch.Generator().manual_seed(seed)
        tops = [power_iteration(decode, z, root, generator) for z in blocks]
        found = Stretch(_finite(torch.cat(tops)), None, "power iteration")
    # All derivatives 0 and yet other images: a decoder that detaches, which would else pass for a perfectly flat one.
    if not found.largest.any() and _differ(decode(codes[:BLOCK])):
        raise Mistake("`decode` has no derivatives, yet its images differ: use `stretch_by_differences`")
    return found


def _columns(decode: Callable[[Tensor], Tensor], z: Tensor, root: Root) -> list[Tensor]:
    """J S^½ e_j for each j, (n, D) each: a tangent for the batch is a tangent for each of its images."""
    return [jvp(decode, z, column.expand_as(z).contiguous()).flatten(1) for column in root.columns()]


def _singular(jacobian: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest and the largest singular value of each (D, d) of (n, D, d), by the eigenvalues of the smaller Gram matrix.

    In double precision: squaring would cost single precision half its digits. Fewer pixels than dimensions: the smallest is 0.
    """
    jacobian = doubled(jacobian)
    # d × d and not D × D: a picture has more pixels than its code has dimensions.
    gram = jacobian.mT @ jacobian
    _finite(gram.sum((1, 2)))
    values = torch.linalg.eigvalsh(gram).clamp(min=0)
    # what rounding leaves of an eigenvalue 0: its root would pass for a small but living direction
    tiny = values[:, -1:] * 1e-13
    values = torch.where(values > tiny, values, 0.0).sqrt()
    return values[:, 0], values[:, -1]


def power_iteration(
    decode: Callable[[Tensor], Tensor], z: Tensor, root: Root, generator: torch.Generator, rounds: int = ROUNDS
) -> Tensor:
    """The largest singular value of J S^½ at each row of z (n, d), (n,): a lower bound, exact where `rounds` reach d.

    Each round multiplies by A = S^½ JᵀJ S^½, for all codes at once. The vectors on the way are kept, and the largest eigenvalue
    of A within their span is the answer (Lanczos 1950): the last vector alone, after as many products, may be off by per cents
    where the two largest values are near each other.
    """
    transposed = vjp(decode, z)[1]
    # Drawn on the CPU in double precision and then cast: one seed gives one start on every device.
    v = torch.randn(z.shape, generator=generator, dtype=torch.double).to(z)
    span, images = z.new_zeros(len(z), 0, z.shape[1]), z.new_zeros(len(z), 0, z.shape[1])
    # in d dimensions a span of d vectors is the whole space: further rounds would add rounding alone
    for _ in range(min(rounds, z.shape[1])):
        v = _orthogonal(v, span)
        product = root.back(transposed(jvp(decode, z, root.shift(v)))[0])
        span, images = torch.cat([span, v[:, None]], 1), torch.cat([images, product[:, None]], 1)
        v = product
    projected = doubled(span) @ doubled(images).mT
    _finite(projected.sum((1, 2)))
    # Symmetric but for rounding, and eigvalsh reads one triangle alone: the mean of both is used.
    values: Tensor = torch.linalg.eigvalsh((projected + projected.mT) / 2)
    return values[:, -1].clamp(min=0).sqrt()


def _orthogonal(v: Tensor, span: Tensor) -> Tensor:
    """The unit vector of v (n, d) outside `span` (n, k, d); 0 where there is none, else rounding errors would pass for one."""
    size = v.norm(dim=1, keepdim=True)
    for _ in range(2):  # once leaves an error as large as what cancels; twice is enough (Kahan, Parlett)
        v = v - ((span @ v[..., None]).mT @ span)[:, 0]
    left = v.norm(dim=1, keepdim=True)
    # relative to what came in: what is left of a vector inside the span is rounding, whose direction means nothing
    return torch.where(left > 1e-5 * size, v / left.clamp(min=1e-30), 0.0)


def stretch_by_differences(
    decode: Callable[[Floats], Floats], codes: Floats, whitening: Whitening, step: float = STEP
) -> Stretch:
    """The same of a plain function of arrays, by central differences along each whitened axis: 2d decodings a code."""
    parts, size = [], max(1, min(BLOCK, BLOCK * EXACT // codes.shape[1]))  # fewer where each Jacobian is larger
    for at in range(0, len(codes), size):
        z = np.asarray(codes[at : at + size], np.float64)
        # Central and not one-sided: the error is of second order in the step. The decoder sees float32, as it was trained.
        pairs = [(decode(_float32(z + step * column)), decode(_float32(z - step * column))) for column in whitening.columns()]
        columns = [(np.float64(a) - np.float64(b)).reshape(len(z), -1) / (2 * step) for a, b in pairs]
        parts.append(_singular(torch.from_numpy(np.stack(columns, -1))))
    return _gathered(parts, f"central differences of {step:g} latent units")


def _float32(z: Doubles) -> NDArray[np.float32]:
    return z.astype(np.float32)


def _gathered(ends: list[tuple[Tensor, Tensor]], method: str) -> Stretch:
    smallest, largest = (_finite(torch.cat(list(part))) for part in zip(*ends, strict=True))
    return Stretch(largest, smallest, method)


# Beyond this an infinite derivative would only make quantiles infinite, with no hint why.
def _finite(values: Tensor) -> Doubles:
    if broken := int((~torch.isfinite(values)).sum()):
        raise Mistake(f"at {broken} of {len(values)} codes the decoder's derivative is not finite: the run diverged")
    return np.asarray(doubled(values).cpu().numpy())


def _differ(images: Tensor) -> bool:
    return bool((images != images[:1]).any())
