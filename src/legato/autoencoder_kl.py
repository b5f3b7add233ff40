"""diffusers' `AutoencoderKL` as a model's weights, and a model's weights as one: names, numbers and what its config says.

A model whose net is `diffusers` holds the same layers by the same names. Two things are told otherwise: there the second half
of the moments is log σ², here log σ, so that those rows of `quant_conv` are twice as large there; and there pixels are −1 … 1,
so that `conv_out` of the decoder gives 2 · mean − 1. Both change a layer's weights and nothing else, and are undone exactly.
Covered: what may become one, the state there and back. Not covered: files (exported/diffusers_folder.py, training/start.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor

from legato.errors import Mistake
from legato.model import LatentVariableModel
from legato.nets.diffusers import AsDecoder, AsEncoder, groups_of
from legato.types import Shape

OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # what attention's layers were called before
ONLY = "diffusers' AutoencoderKL"


class StoredConfig(TypedDict):
    """config.json of a folder of diffusers', as far as it decides what the weights mean."""

    _class_name: str
    in_channels: int
    out_channels: int
    latent_channels: int
    block_out_channels: list[int]
    layers_per_block: int
    norm_num_groups: int
    act_fn: NotRequired[str]
    down_block_types: NotRequired[list[str]]
    up_block_types: NotRequired[list[str]]
    mid_block_add_attention: NotRequired[bool]
    use_quant_conv: NotRequired[bool]
    use_post_quant_conv: NotRequired[bool]
    scaling_factor: NotRequired[float]


def sides(model: LatentVariableModel) -> tuple[AsEncoder, AsDecoder, tuple[float, float]]:
    """The two nets, and (a, b) of the decoded mean aθ + b. Raises `Mistake` where the model is none that diffusers has."""
    encoders = [part for part in model.latent.children() if isinstance(getattr(part, "net", None), AsEncoder)]
    decoder, mean = model.likelihood.net, model.likelihood.family.affine_mean
    if len(encoders) != 1 or not isinstance(decoder, AsDecoder):
        raise Mistake(f"{ONLY} is a net of its own, and this model has another: train it with --net diffusers")
    conditional: Any = encoders[0]
    if not conditional.family.gives_log_sigma:
        raise Mistake(f"{ONLY} gives a Gaussian code's mean and variance, codes of this model are no such: use tokenizer_kl")
    if mean is None:
        raise Mistake(f"{ONLY} gives pixels themselves, which this likelihood's mean is no multiple of: --likelihood gaussian")
    if model.classes:
        raise Mistake(f"{ONLY} reads no class, and this model does: leave `condition` out")
    return conditional.net, decoder, mean


def config_of(model: LatentVariableModel) -> dict[str, Any]:
    """config.json of the model, but for its scaling factor."""
    encoder, _, _ = sides(model)
    event, places = model.likelihood.event, model.latent.event
    channels = [block.resnets[0].conv1.out_channels for block in encoder.encoder.down_blocks]  # type: ignore[union-attr, index]
    return {
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": channels,
        "down_block_types": ["DownEncoderBlock2D"] * len(channels),
        "up_block_types": ["UpDecoderBlock2D"] * len(channels),
        "in_channels": event[0],
        "out_channels": event[0],
        "latent_channels": places[0],
        "layers_per_block": len(encoder.encoder.down_blocks[0].resnets),  # type: ignore[arg-type]
        "norm_num_groups": groups_of(channels),
        "sample_size": max(event[1:]),
        "mid_block_add_attention": True,
        "use_quant_conv": True,
        "use_post_quant_conv": True,
    }


@torch.no_grad()
def state_of(model: LatentVariableModel) -> dict[str, Tensor]:
    """The weights by diffusers' names, pixels in −1 … 1. Of a likelihood that has a scale for each value its means alone."""
    encoder, decoder, (slope, offset) = sides(model)
    state = {name: value.clone() for part in (encoder, decoder) for name, value in part.state_dict().items()}
    channels, code = model.likelihood.event[0], model.latent.event[0]
    for name in ("quant_conv.weight", "quant_conv.bias"):
        state[name][code:] *= 2
    for name in ("decoder.conv_out.weight", "decoder.conv_out.bias"):
        state[name] = 2 * slope * state[name][:channels]
    state["decoder.conv_out.bias"] += 2 * offset - 1
    return state


@torch.no_grad()
def begun(model: LatentVariableModel, config: dict[str, Any], state: Mapping[str, Tensor], whose: str) -> dict[str, Tensor]:
    """The model's state with these weights in it, `whose` in words. Raises `Mistake` where they are of another make."""
    encoder, decoder, (slope, offset) = sides(model)
    _refuse_other(config, config_of(model), whose)
    found = _completed({_renamed(name): value.float() for name, value in state.items()}, config)
    code = model.latent.event[0]
    for name in ("quant_conv.weight", "quant_conv.bias"):
        if name in found:
            found[name] = torch.cat([found[name][:code], found[name][code:] / 2])
    for name in ("decoder.conv_out.weight", "decoder.conv_out.bias"):
        if name in found:
            found[name] = (found[name] + (1 - 2 * offset if name.endswith("bias") else 0)) / (2 * slope)
    own = model.state_dict()
    theirs = {name: value for part in (encoder, decoder) for name, value in part.state_dict().items()}
    if why := unlike(found, theirs):
        raise Mistake(f"{whose} cannot begin this model: {why}")
    prefixes = {part: name for name, part in model.named_modules()}
    named = {f"{prefixes[part]}.{name}": found[name] for part in (encoder, decoder) for name in part.state_dict()}
    return {**own, **named}


def unlike(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str | None:
    """The first difference in names or shapes, in words; None where there is none."""
    if foreign := sorted(expected.keys() ^ found.keys()):
        name, how = foreign[0], "it lacks" if foreign[0] in expected else "it has"
        more = f", and {len(foreign) - 1} more differ" if len(foreign) > 1 else ""
        return f"{how} `{name}`{more}"
    for name, value in expected.items():
        if found[name].shape != value.shape:
            return f"`{name}` has the shape {_shape(found[name])} there and {_shape(value)} here"
    return None


def _shape(value: Tensor) -> Shape:
    return tuple(value.shape)


def _refuse_other(config: dict[str, Any], own: dict[str, Any], whose: str) -> None:
    words = {"block_out_channels": "--width", "layers_per_block": "--depth", "latent_channels": "--latent-dim"}
    for name in ("in_channels", "out_channels", *words, "norm_num_groups", "act_fn", "mid_block_add_attention"):
        # these two are seldom said where they are what they always were
        said = config.get(name, own[name] if name in ("act_fn", "mid_block_add_attention") else None)
        if said != own[name]:
            remedy = f": give {words[name]}" if name in words else ""
            raise Mistake(f"{whose} cannot begin this model: its `{name}` is {said}, here it is {own[name]}{remedy}")
    for name in ("down_block_types", "up_block_types"):
        if other := set(config.get(name, own[name])) - set(own[name]):
            raise Mistake(f"{whose} cannot begin this model: it has blocks `{other.pop()}`, which `diffusers` here has not")


def _renamed(name: str) -> str:
    """A name as it is today."""
    parts = name.split(".")
    if "attentions" in parts and len(parts) > 1 and parts[-2] in OLD:
        parts[-2] = OLD[parts[-2]]
    return ".".join(parts)


def _completed(state: dict[str, Tensor], config: dict[str, Any]) -> dict[str, Tensor]:
    """With convolutions that change nothing where there are none before or behind the code."""
    for name, word, channels in (
        ("quant_conv", "use_quant_conv", 2 * config["latent_channels"]),
        ("post_quant_conv", "use_post_quant_conv", config["latent_channels"]),
    ):
        if config.get(word) is False:
            state[f"{name}.weight"] = torch.eye(channels)[:, :, None, None]
            state[f"{name}.bias"] = torch.zeros(channels)
    return state
