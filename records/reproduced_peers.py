"""Models of Pythae around the networks of a model of ours: the same weights at the start, Pythae's own objective.

Covered: its classes with a Gaussian posterior or a point, its VampPrior, its inverse autoregressive flow; one loop for all,
with the optimiser, rates, cut, guard and moving average of `legato train`; weights by our own densities.
Not covered: its trainer, whose optimiser and schedule would be another comparison, and its `get_nll`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from legato.batch import Batch
from legato.data.batches import TrainingBatches
from legato.devices import drawing_step
from legato.measures.likelihood import log_weights
from legato.model import LatentVariableModel
from legato.training.guard import Guard
from legato.training.options import Plan
from legato.training.side import Side, norm_of, seed_of
from legato.vamp import Vamp

CPU = torch.device("cpu")
Weights = Callable[[Tensor, int], Tensor]  # x (B, *data), k -> log w (k, B), nats


def around(name: str, options: dict[str, Any], model: LatentVariableModel, seed: int) -> nn.Module:
    """Pythae's class `name` whose encoder and decoder are the networks of `model`, and learn with it."""
    from pythae import models
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    latent: Any = model.latent
    shape = tuple(model.likelihood.event)
    loss = {} if name.startswith("RAE") else {"reconstruction_loss": options.get("reconstruction_loss", "bce")}

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = latent.q.net

        def forward(self, x: Tensor) -> Any:
            theta = self.net(x)
            if not latent.has_density:
                return ModelOutput(embedding=theta)
            mu, log_sigma = theta.unbind(1)
            return ModelOutput(embedding=mu, log_covariance=2 * log_sigma)  # Pythae's name for log σ²

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = model.likelihood.net

        def forward(self, z: Tensor) -> Any:
            found = self.net(z).reshape(-1, *shape)
            return ModelOutput(reconstruction=found.sigmoid() if loss.get("reconstruction_loss") == "bce" else found)

    config = next(getattr(models, found) for found in (f"{name}Config", f"{name}_Config") if hasattr(models, found))
    torch.manual_seed(seed)  # of what it has beside the networks: pseudo-inputs, a flow
    made = config(input_dim=shape, latent_dim=latent.event[0], **loss, **{k: v for k, v in options.items() if k not in loss})
    peer: nn.Module = getattr(models, name)(made, encoder=Encoder(), decoder=Decoder())
    return peer


def trained(peer: nn.Module, plan: Plan, batches: TrainingBatches, heard: Callable[[int], None]) -> nn.Module:
    """The moving average of `peer` after the plan's steps. `heard` is told of each step."""
    average = copy.deepcopy(peer).eval().requires_grad_(False)
    moving, averaged = list(peer.parameters()), list(average.parameters())
    side, guard = Side(moving, plan), Guard()
    for step in range(plan.total):
        with drawing_step(CPU, seed_of(plan.seed, step)):
            found = peer({"data": batches.at(step).x}, dataset_size=len(batches.chosen), epoch=1 + step // batches.per_epoch)
        gradients = _gradients(peer, found, side.weights)
        norm = side.take(iter(gradients), float(norm_of(gradients)))
        if guard.accepts(norm):
            side.move(side.rate(step))
            if (decay := plan.averaging(step)) is not None:
                torch._foreach_lerp_(averaged, [weight.detach() for weight in moving], 1 - decay)
        side.sweep(step)
        side.forget()
        heard(step + 1)
    return average


def _gradients(peer: Any, found: Any, weights: list[Tensor]) -> list[Tensor]:
    """Of the loss; where Pythae has one for each side, each side's weights by their own, as its trainer takes them."""
    if type(peer).__name__ == "RAE_L2":  # its trainer's weight decay of the decoder, as a term
        decay = 0.5 * peer.model_config.reg_weight * sum(w.square().sum() for w in peer.decoder.parameters())
        return list(torch.autograd.grad(found.loss + decay, weights))
    if type(peer).__name__ != "PIWAE":
        return list(torch.autograd.grad(found.loss, weights))
    of_encoder = {id(weight) for weight in peer.encoder.parameters()}
    first = torch.autograd.grad(found.encoder_loss, weights, retain_graph=True)
    second = torch.autograd.grad(found.decoder_loss, weights)
    return [a if id(weight) in of_encoder else b for weight, a, b in zip(weights, first, second, strict=True)]


def as_ours(peer: Any, model: LatentVariableModel) -> LatentVariableModel:
    """`model` with the weights of a peer of its kind: from here on nothing of Pythae's is asked."""
    latent: Any = model.latent
    latent.q.net.load_state_dict(peer.encoder.net.state_dict())
    model.likelihood.net.load_state_dict(peer.decoder.net.state_dict())
    if isinstance(latent.p, Vamp):
        shape = tuple(model.likelihood.event)
        prior = Vamp(latent.event, shape, "reals", peer.number_components)  # `reals`: pseudo-inputs that are not squashed again
        with torch.no_grad():
            prior.inputs.copy_(peer.pseudo_inputs(peer.idle_input).reshape(-1, *shape))
        latent.p = prior
    return model.eval()


def ours(model: LatentVariableModel) -> Weights:
    """Weights of a model of ours."""
    return lambda x, k: log_weights(model, Batch(x), k, None)


def of_flow(peer: Any) -> Weights:
    """Weights of Pythae's VAE_IAF: its draws and the determinant that it gives with them, held against autograd's own."""
    _check_determinant(peer)

    def weights(x: Tensor, k: int) -> Tensor:
        found = peer.encoder(x)
        log_sigma = 0.5 * found.log_covariance
        rows = []
        for some in [min(50, k - done) for done in range(0, k, 50)]:
            noise = torch.randn(some, *found.embedding.shape)
            made = peer.iaf_flow.inverse((found.embedding + log_sigma.exp() * noise).flatten(0, 1))
            z, determinant = made.out, made.log_abs_det_jac.view(some, -1)
            logits = peer.decoder.net(z).view(some, *x.shape)
            log_px = -nn.functional.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
            log_q = -0.5 * noise.square().sum(-1) - log_sigma.sum(-1) - determinant
            rows.append(log_px.flatten(2).sum(2) - 0.5 * z.square().sum(-1).view(some, -1) - log_q)
        return torch.cat(rows)

    return weights


def _check_determinant(peer: Any) -> None:
    start = torch.randn(peer.latent_dim, generator=torch.Generator().manual_seed(0))
    jacobian: Any = torch.autograd.functional.jacobian(lambda y: peer.iaf_flow.inverse(y[None]).out[0], start)
    told, true = float(peer.iaf_flow.inverse(start[None]).log_abs_det_jac), float(torch.linalg.slogdet(jacobian).logabsdet)
    if not math.isclose(told, true, abs_tol=1e-3):
        raise AssertionError(f"the flow's determinant is {true:.4f}, Pythae says {told:.4f}")
