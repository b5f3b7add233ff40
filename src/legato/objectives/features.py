"""A distance between pictures in the features of a frozen net: what eyes miss, and squared errors do not.

Covered: the term, for features of any torch module, and the small net that is shipped. Not covered: how that net was trained
(records/scene_features.py); LPIPS's own weights, which a person can bring as a module.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from legato.errors import Mistake
from legato.files import read_json
from legato.objectives.term import Term
from legato.trace import Trace

SMALLEST = 1e-10  # of a squared norm: LPIPS's, by which features that are all 0 have a direction
WIDTHS = (32, 64, 128, 128)  # channels at full size, at a half, a quarter, an eighth
HERE = Path(__file__).parent
WEIGHTS, ABOUT = HERE / "scene_features.safetensors", HERE / "scene_features.json"


class SceneFeatures(nn.Module):
    """(n, 3, H, W), pixels in 0 … 1, -> features of four sizes, (n, C, H/2ᵏ, W/2ᵏ) for k = 0 … 3, the smallest of one pixel.

    240,000 weights. Trained to tell scenes, and what was done to them, on pictures that a program drew: it saw no photograph.
    """

    def __init__(self) -> None:
        super().__init__()
        given = (3, *WIDTHS[:-1])
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(given, WIDTHS, strict=True))

    def forward(self, x: Tensor) -> list[Tensor]:
        """A pass."""
        h, found = 2 * x - 1, []
        for level, layer in enumerate(self.layers):
            if level and min(h.shape[2:]) > 1:
                h = max_pool2d(h, 2)
            h = relu(layer(h))
            found.append(h)
        return found


def shipped(weights: Path = WEIGHTS, about: Path = ABOUT) -> SceneFeatures:
    """The net that is shipped. Raises `Mistake` where its file is not the one that was tested."""
    return copy.deepcopy(_read(weights, about))


@cache
def _read(weights: Path, about: Path) -> SceneFeatures:
    content, expected = weights.read_bytes(), read_json(about)["blake2b"]
    # by other weights, distances would be others and look as if they were the same
    if (found := hashlib.blake2b(content, digest_size=16).hexdigest()) != expected:
        raise Mistake(f"`{weights}` is not the net that was tested (BLAKE2b {found}, not {expected}): install again")
    with torch.device("meta"):  # no weights are drawn: torch's generator stays as it was
        net = SceneFeatures()
    with torch.device("cpu"):  # a sentence may be built of shapes alone, and these are kept for the next one
        tensors = load(content)
    net.load_state_dict({name: weight.float() for name, weight in tensors.items()}, assign=True)
    return net.eval()


class Perceptual(Term):
    """d(x, x̂) = Σ_l mean over places of ‖f̂_l(x) − f̂_l(x̂)‖², (B,): f̂_l features of layer l, at each place of length 1.

    x̂ the mean of p(x|z). Zhang et al. 2018, https://arxiv.org/abs/1801.03924, eq. 1, with every channel alike, where LPIPS has
    weights for each that were fitted to people's judgements. It has no unit and is no likelihood, whatever it is multiplied by.

    `features`: a module, (n, 3, H, W) of pixels in 0 … 1 -> features (n, c, h, w), or a list of them; the shipped one if None.
    Its weights become constants of a copy: they are no parameters, get no gradient, are in no checkpoint; gradients go through
    them to x̂. Pictures of one channel are seen as grey, of another number channel by channel, each as grey. Raises `Mistake`
    for what is no image, when the recipe is built.
    """

    name = "perceptual"
    needs_image = True
    is_likeness = True

    def __init__(self, features: Callable[[Tensor], Tensor | Sequence[Tensor]] | None = None) -> None:
        super().__init__()
        net = shipped() if features is None else features
        if not isinstance(net, nn.Module):
            raise Mistake(f"`features` is a torch module, pictures -> features, or None for the shipped one; got {net!r}")
        self.features = constant(net)

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        decoded = trace.likelihood.mean
        draws, count = decoded.shape[:2]
        seen = trace.x.expand_as(decoded) if draws > 1 else trace.x
        return self.distance(seen.reshape(-1, *trace.x.shape[1:]), decoded.flatten(0, 1)).view(draws, count).mean(0)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """d of pictures (n, C, H, W) and others, (n,)."""
        found = [_directions(self._of(_as_colours(one))) for one in (x, y)]
        layers = [(a - b).square().sum(1).flatten(1).mean(1) for a, b in zip(*found, strict=True)]
        # of pictures whose channels are looked at one by one the mean over them
        return torch.stack(layers).sum(0).to(x.dtype).view(len(x), -1).mean(1)

    def _of(self, x: Tensor) -> list[Tensor]:
        self.features.eval()  # an objective in training would wake another's dropout
        found: Tensor | Sequence[Tensor] = self.features(x)
        return [found] if isinstance(found, Tensor) else list(found)


def constant(net: nn.Module) -> nn.Module:
    """A copy of a net without parameters: its weights are buffers that no state holds, and that move with its device."""
    net = copy.deepcopy(net).eval()
    for part in net.modules():
        held = {**dict(part.named_parameters(recurse=False)), **dict(part.named_buffers(recurse=False))}
        for name, value in held.items():
            delattr(part, name)
            part.register_buffer(name, value.detach(), persistent=False)
    return net


def _as_colours(x: Tensor) -> Tensor:
    """(n, C, H, W) -> (n, 3, H, W) of three channels, else (n·C, 3, H, W), each channel as grey."""
    return x if x.shape[1] == 3 else x.reshape(-1, 1, *x.shape[2:]).expand(-1, 3, -1, -1)


def _directions(layers: list[Tensor]) -> list[Tensor]:
    """Features of length 1 at each place."""
    return [h * (h.square().sum(1, keepdim=True) + SMALLEST).rsqrt() for h in layers]
