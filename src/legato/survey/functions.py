"""A model that is a pair of functions, made a subject: what `legato.measure` measures.

Covered: any `encode` and `decode` over arrays or tensors, latents of any shape, a prior of one's own, `log_px`. Not covered:
which functions a library's model consists of (adaptors.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from legato.errors import Mistake
from legato.forward_mode import jvp
from legato.streams import random_stream
from legato.survey import answers
from legato.survey.calling import Caller
from legato.survey.subject import Choices, Subject
from legato.types import Floats

Function = Callable[..., Any]  # of an array or a tensor with a row per example
Prior = Callable[[int, int], Any]  # n, seed -> n draws


class Functions(Subject):
    """encode(x) -> μ or N(μ, σ²), x (n, *shape); decode(z) -> images (n, *shape) or their distribution, whose mean is taken.

    `example` (2 or more images) is encoded and decoded at once, so that a wrong shape, a draw in the place of a mean or a batch
    statistic is told before anything is measured. Latents (n, C, h, w) are flattened for the measures, and restored for
    `decode`, `log_px` and nobody else.

    `prior`: (n, seed) -> z; default N(0, I). `log_px`: (x, z) -> (n,), nats per example. `steady`: False lets draws pass, for
    who measures how far they lie apart. Raises `Mistake`.
    """

    def __init__(
        self,
        encode: Function,
        decode: Function,
        example: Floats,
        *,
        prior: Prior | None = None,
        log_px: Function | None = None,
        steady: bool = True,
    ) -> None:
        self.shape, self._prior = example.shape[1:], prior
        self.standard_prior = prior is None
        self._encode = Caller(encode, "encode", example)
        # Asked at once, on a few images: a wrong shape is told now, and not after an hour.
        mu = np.concatenate(self._encode.over(lambda answer: answers.codes(answer)[0], example))
        self.event, self.latent_dim = mu.shape[1:], int(np.prod(mu.shape[1:]))
        self._rows(mu, example, "encode")
        # Before decoding: a draw in the place of a mean would make every later figure noisy and none of them fail.
        if steady:
            self._encode.check_steady(lambda answer: answers.codes(answer)[0], example)
        self._decode = Caller(decode, "decode", mu)
        self._check_scale(self.decode(mu.reshape(len(mu), -1)))
        if steady:
            self._decode.check_steady(answers.images, mu)
        self.device = self._decode.device
        self.decoder = self._decoded if self._differentiable(mu) else None
        self._log_px = None if log_px is None else Caller(log_px, "log_px", example, mu)
        self.has_log_px = log_px is not None
        self.scale = getattr(encode, "scale", None)

    def encode(self, x: Floats) -> tuple[Floats, Floats | None]:
        """μ and σ, flat; None where every width is 0."""
        mu, sigma = (np.concatenate(parts) for parts in zip(*self._encode.over(answers.codes, x), strict=True))
        self._rows(mu, x, "encode")
        flat, widths = mu.reshape(len(mu), -1), sigma.reshape(len(mu), -1)
        # A width of 0 everywhere is a point, of which rates and overlaps must not be asked.
        if not widths.any():
            return flat, None
        # A single 0 is no posterior: log σ is −∞, and one dimension would decide every mean.
        if not widths.all():
            raise Mistake("`encode` gave a σ of 0 in some places: give every posterior a width, or none (μ alone)")
        return flat, widths

    def decode(self, z: Floats) -> Floats:
        """Images, (n, *shape)."""
        found = np.concatenate(self._decode.over(answers.images, self._restored(z)))
        self._rows(found, z, "decode")
        if found.shape[1:] != self.shape:
            shapes = f"(n, {', '.join(map(str, self.shape))})"
            raise Mistake(f"`decode` gave {found.shape} where images are {shapes}: reshape them, channels before rows")
        return found

    def encode_again(self, x: Floats, seed: int) -> Floats:
        """μ with torch's generator at `seed`."""
        found = np.concatenate(self._encode.over(lambda answer: answers.codes(answer)[0], x, seed=seed))
        return found.reshape(len(found), -1)

    def choices(self, x: Floats) -> Choices | None:
        """Those of an encoder that has `choices`, x -> indices, and `size`, as adaptors of codebooks have."""
        function: Any = self._encode.function
        if not hasattr(function, "choices"):
            return None
        asked = Caller(function.choices, "encode", x[:2])
        found = np.concatenate(asked.over(lambda answer: answer.flatten(1).cpu().numpy(), x))
        return Choices(found, 1, int(function.size))

    def decode_sized(self, grids: Floats) -> Floats:
        """Whatever images `decode` makes of codes (n, C, h, w) of this size."""
        return np.concatenate(self._decode.over(answers.images, grids))

    def cycle(self, z: Floats) -> Floats:
        """encode(decode(z)): images are in the same units on both sides."""
        return self.encode(self.decode(z))[0]

    def prior(self, n: int, seed: int, purpose: str = "prior") -> Floats:
        """Draws from the prior given, with a seed for each purpose; else from N(0, I)."""
        if self._prior is None:
            return super().prior(n, seed, purpose)
        # a seed for each purpose: draws for holes and draws for samples are not the same
        drawn = answers.array(self._prior(n, int(random_stream(seed, purpose).integers(2**31))), "prior")
        if drawn.shape not in ((n, *self.event), (n, self.latent_dim)):
            raise Mistake(f"`prior` gave {drawn.shape} for n = {n}: expected {(n, *self.event)}, as `encode` gives")
        return drawn.reshape(n, self.latent_dim)

    def log_px(self, x: Floats, z: Floats) -> NDArray[np.float64]:
        """log p(x|z), (n,), nats."""
        if self._log_px is None:
            return super().log_px(x, z)
        found = np.concatenate(self._log_px.over(answers.nats, x, self._restored(z)))
        self._rows(found, x, "log_px")
        return found

    def _restored(self, z: Floats) -> Floats:
        return np.asarray(z, np.float32).reshape(-1, *self.event)

    def _rows(self, found: NDArray[Any], given: NDArray[Any], name: str) -> None:
        # Missing rows would shift all that follow against their labels.
        if len(found) != len(given):
            raise Mistake(f"`{name}` gave {len(found)} rows for {len(given)}: expected one for each, in the same order")

    def _check_scale(self, images: Floats) -> None:
        # Only pictures: rows of a table have units of their own.
        if len(self.shape) == 3 and images.mean() > 1:
            raise Mistake(f"`decode` gave pictures of mean {images.mean():.3g}: expected values in [0, 1]; divide bytes by 255")

    def _decoded(self, z: Tensor) -> Tensor:
        """`decode` as a function of flat codes that may be differentiated."""
        with self._decode.at_rest(), sdpa_kernel(SDPBackend.MATH):  # fused attention has no forward derivative
            found: Tensor = answers.mean_of(self._decode.function(z.reshape(-1, *self.event).to(self._decode.dtype)))
        return found

    def _differentiable(self, mu: Floats) -> bool:
        """True where derivatives exist and are not all 0: fused operations may lack them, `detach` and `numpy` cut them off."""
        if not self._decode.tensors:
            return False
        z = torch.from_numpy(mu.reshape(len(mu), -1)).to(self.device)
        try:
            # one direction that moves every latent: a decoder may ignore any single one
            moved = jvp(self._decoded, z, torch.ones_like(z))
        except RuntimeError:  # then differences are taken, and the figure's method says so
            return False
        return bool(moved.isfinite().all() and moved.any())
