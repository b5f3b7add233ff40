"""Likenesses of x and its reconstruction that are no likelihood: nothing of them may be called nats or a bound.

Covered: multi-scale structural similarity, log-cosh. A recipe whose fidelity is one of these has no log p(x) to report.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, softplus

from legato.arguments import checked
from legato.devices import exact
from legato.errors import Mistake
from legato.objectives.term import Term
from legato.trace import Trace

# of the five scales, from the finest: Wang, Simoncelli & Bovik 2003, https://doi.org/10.1109/ACSSC.2003.1292216, section 3.2
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SIDE, SIGMA = 11, 1.5  # of the Gaussian window, pixels
C1, C2 = 0.01**2, 0.03**2  # of values from 0 to 1: what keeps the quotients finite where nothing varies


class LogCosh(Term):
    """Σ log cosh(a(x̂ − x))/a over an example's values, (B,): a square near 0, a distance far from it. It has no unit.

    x̂ the mean of p(x|z). Chen, Chen & Xu 2019, https://openreview.net/forum?id=rkglvsC9Ym.
    """

    name = "log-cosh"
    is_likeness = True

    @checked
    def __init__(self, steepness: float = 10.0) -> None:
        super().__init__()
        if not 0 < steepness < math.inf:
            raise Mistake(f"`steepness` is a positive number, got {steepness}")
        self.steepness = steepness

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        away = (self.steepness * (trace.likelihood.mean - trace.x)).abs()
        # log cosh u = |u| + log(1 + e^{−2|u|}) − log 2: cosh itself overflows at 89
        each = away + softplus(-2 * away) - math.log(2)
        return each.flatten(2).sum(2).mean(0) / self.steepness


class Dissimilarity(Term):
    """1 − MS-SSIM(x, x̂) of images, (B,), from 0 for equals to about 1: no nats, whatever it is multiplied by.

    Structure and contrast at up to five scales (as many as leave a window's side, 11 pixels, or 3 of the smallest images), each
    to the power of its share, luminance at the coarsest. Wang, Simoncelli & Bovik 2003; as a VAE's fidelity Snell et al. 2017,
    https://arxiv.org/abs/1511.06409. Raises `Mistake` for what is no image, when the recipe is built.
    """

    name = "dissimilarity"
    is_likeness = True
    needs_image = True

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        mean = trace.likelihood.mean
        x = trace.x.expand_as(mean).flatten(0, 1)
        with exact(x.device):  # variances are differences of squares
            return 1 - similarity(x, mean.flatten(0, 1)).view(mean.shape[:2]).mean(0)


def similarity(x: Tensor, y: Tensor) -> Tensor:
    """MS-SSIM of images x and y (n, C, H, W) of values from 0 to 1, (n,), at most 1."""
    shortest = min(x.shape[-2:])
    scales = max(min(int(math.log2(shortest / SIDE)) + 1 if shortest >= SIDE else 1, len(SCALES)), 1)
    shares = torch.tensor(SCALES[:scales], dtype=x.dtype, device=x.device)
    shares = shares / shares.sum()
    window = _window(min(SIDE, shortest - (shortest + 1) % 2), x)
    parts = []
    for scale in range(scales):
        whole, structure = _at_one_scale(x, y, window)
        # a negative structure, whose power is no number, is that of an image turned inside out: as unlike as none
        parts.append((whole if scale == scales - 1 else structure).clamp(min=1e-6) ** shares[scale])
        x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
    return torch.stack(parts).prod(0)


def _at_one_scale(x: Tensor, y: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """Likeness in luminance, contrast and structure, and in the latter two alone: means over the image, (n,) each."""
    mu_x, mu_y = _blurred(x, window), _blurred(y, window)
    var_x, var_y = _blurred(x * x, window) - mu_x**2, _blurred(y * y, window) - mu_y**2
    both = _blurred(x * y, window) - mu_x * mu_y
    structure = (2 * both + C2) / (var_x + var_y + C2)
    luminance = (2 * mu_x * mu_y + C1) / (mu_x**2 + mu_y**2 + C1)
    return (luminance * structure).flatten(1).mean(1), structure.flatten(1).mean(1)


def _window(side: int, like: Tensor) -> Tensor:
    """A Gaussian, (side,), that sums to 1."""
    at = torch.arange(side, dtype=like.dtype, device=like.device) - (side - 1) / 2
    weights = torch.exp(-(at**2) / (2 * SIGMA**2))
    return weights / weights.sum()


def _blurred(x: Tensor, window: Tensor) -> Tensor:
    """The image smoothed along both axes, where the window lies within it."""
    n, channels, *_ = x.shape
    one = x.flatten(0, 1)[:, None]
    along = conv2d(conv2d(one, window[None, None, :, None]), window[None, None, None, :])
    return along.view(n, channels, *along.shape[-2:])
