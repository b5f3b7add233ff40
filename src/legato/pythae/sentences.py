"""Models of Pythae as sentences: recipe, options and words of each class, its weights by Legato's names.

Equal outputs, to rounding: log σ is half of Pythae's log σ²; the last sigmoid of its decoders is the likelihood's. A squared
error is −log N(x; σ(θ), s²) with s = 1 where Pythae halves it and s = √½ where it does not, up to a constant; a cross-entropy
is −log Bernoulli. Not covered: how files are read (saved.py).
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any, Literal

import torch
from torch import Tensor

from legato.errors import Mistake
from legato.model import LatentVariableModel
from legato.pythae.saved import HIDDEN, Saved
from legato.setting import Kind

Reading = Literal["auto", "bernoulli", "continuous-bernoulli"]
FAR = 200.0  # a logit at which float32's sigmoid is 0 or 1 exactly: pseudo-inputs are cut off there

Options = dict[str, Any]
OPTIONS: dict[str, Callable[[Options], tuple[str, Options]]] = {
    "AE": lambda said: ("autoencoder", {"latent_dim": said["latent_dim"]}),
    "VAE": lambda said: ("vae", {"latent_dim": said["latent_dim"]}),
    "BetaVAE": lambda said: ("beta_vae", {"latent_dim": said["latent_dim"], "beta": float(said.get("beta", 1.0))}),
    "VAMP": lambda said: ("vamp_vae", {"latent_dim": said["latent_dim"], "components": said["number_components"]}),
    # Each number of a code is a token by itself. Pythae's commitment is their mean, ours their sum.
    "VQVAE": lambda said: (
        "vq_vae" if said["use_ema"] else "gradient_vq_vae",
        {
            "latent_dim": said["latent_dim"],
            "token_dim": 1,
            "codebook_size": said["num_embeddings"],
            "commitment": said["commitment_loss_factor"] / said["latent_dim"],
        },
    ),
}


def sentence_of(saved: Saved, likelihood: Reading = "auto") -> tuple[str, Options]:
    """A recipe's name, its options and words. `likelihood`: the reading of a cross-entropy. Raises `Mistake`."""
    name, options = OPTIONS[saved.kind](saved.said)
    words: Options = {"net": "mlp", "width": HIDDEN, "depth": 1}
    if saved.said.get("reconstruction_loss") == "bce":
        return name, {**options, **words, "likelihood": "bernoulli" if likelihood == "auto" else likelihood}
    if likelihood != "auto":
        raise Mistake(
            f"{saved} was trained on squared errors, a Gaussian: leave `likelihood` out, which is for cross-entropies"
        )
    halved = saved.kind not in ("AE", "VQVAE")  # ½‖x − x̂‖² is of scale 1, ‖x − x̂‖² of √½
    return name, {**options, **words, "likelihood": "squashed-gaussian", "scale": 1.0 if halved else sqrt(0.5)}


def fill(model: LatentVariableModel, saved: Saved, kind: Kind) -> None:
    """Puts the weights where the model of `sentence_of` has them."""
    state = model.state_dict()
    state.update(_state(saved, kind))
    model.load_state_dict(state)  # refuses any name that is not the model's, and any other shape


def _state(saved: Saved, kind: Kind) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for part in ("weight", "bias"):
        own = {name.removesuffix(f".{part}"): one for name, one in saved.weights.items() if name.endswith(f".{part}")}
        code = own["encoder.embedding"]
        if "encoder.log_var" in own:
            code = torch.cat([code, 0.5 * own["encoder.log_var"]])  # log σ of log σ²: exact, a half is a power of two
        found |= {
            f"latent.q.net.layers.0.{part}": own["encoder.layers.0.0"],
            f"latent.q.net.layers.1.{part}": code,
            f"likelihood.net.layers.0.{part}": own["decoder.layers.0.0"],
            f"likelihood.net.layers.1.{part}": own["decoder.layers.1.0"],
        }
    return found | _prior(saved, kind)


def _prior(saved: Saved, kind: Kind) -> dict[str, Tensor]:
    """Pseudo-inputs or a codebook, where there are any."""
    weights, book = saved.weights, "latent.q.family"
    if saved.kind == "VAMP":
        # A net whose inputs are the unit vectors: column k and the bias, cut off at 0 and 1, are the k-th.
        inputs = (weights["pseudo_inputs.0.weight"].T + weights["pseudo_inputs.0.bias"]).clamp(0, 1)
        inputs = inputs.reshape(-1, *saved.shape)
        return {"latent.p.inputs": inputs if kind == "reals" else inputs.double().logit().clamp(-FAR, FAR).float()}
    if saved.kind == "VQVAE" and saved.said["use_ema"]:
        names = {"embeddings": "rows", "cluster_size": "counts", "ema_embed": "sums"}
        return {f"{book}.{ours}": weights[f"quantizer.{theirs}"] for theirs, ours in names.items()}
    return {f"{book}.rows": weights["quantizer.embeddings.weight"]} if saved.kind == "VQVAE" else {}
