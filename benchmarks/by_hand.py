"""The same training step written out by hand: what is left when autograd, modules and the allocator cost nothing.

Every gradient is its formula, every result goes to memory laid out beforehand, every operation is one of torch's own. It is no
way to write a library, and the least time that torch's operations allow for the step without compiled code of one's own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class ByHand:
    """784-512-20-512-784, rectified, Bernoulli: forward, gradients, their norm, AdamW, as methods on fixed memory."""

    def __init__(self, batch: int, pixels: int, width: int, latents: int) -> None:
        sizes = ((pixels, width), (width, 2 * latents), (latents, width), (width, pixels))
        self.batch, self.latents = batch, latents
        self.weights = [torch.randn(b, a) * 0.02 for a, b in sizes]
        self.biases = [torch.zeros(b) for _, b in sizes]
        self.outputs = [torch.empty(batch, b) for _, b in sizes]
        self.slopes = [torch.empty(batch, b) for _, b in sizes]  # of the loss by each output
        self.weight_gradients = [torch.empty_like(w) for w in self.weights]
        self.bias_gradients = [torch.empty_like(b) for b in self.biases]
        self.noise, self.sigma, self.z, self.back = (torch.empty(batch, latents) for _ in range(4))
        self.size = torch.empty(batch, pixels)
        parameters = [*self.weights, *self.biases]
        self.means, self.squares = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
        self.steps = [torch.zeros(()) for _ in parameters]

    @torch.no_grad()
    def step(self, x: Tensor) -> tuple[float, float]:
        """One step on x (B, pixels): (loss, norm of the gradient)."""
        loss = self.forward(x)
        self.backward(x)
        gradients = [*self.weight_gradients, *self.bias_gradients]
        norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
        torch._foreach_add_(self.steps, 1.0)
        torch._fused_adamw_(
            [*self.weights, *self.biases], gradients, self.means, self.squares, [], self.steps,
            amsgrad=False, beta1=0.9, beta2=0.99, lr=1e-3, weight_decay=0.0, eps=1e-8, maximize=False,
        )  # fmt: skip
        return loss, norm

    def affine(self, layer: int, x: Tensor) -> Tensor:
        """W x + b of one layer."""
        return torch.addmm(self.biases[layer], x, self.weights[layer].T, out=self.outputs[layer])

    def forward(self, x: Tensor) -> float:
        """The loss, nats per example."""
        hidden = self.affine(0, x).relu_()
        mu, log_sigma = self.affine(1, hidden).split(self.latents, 1)
        torch.exp(log_sigma, out=self.sigma)
        torch.addcmul(mu, self.sigma, self.noise.normal_(), out=self.z)
        logits = self.affine(3, self.affine(2, self.z).relu_())
        torch.abs(logits, out=self.size)
        certain = torch.linalg.vecdot(logits, x).sum() - 0.5 * (logits.sum() + self.size.sum())
        likelihood = certain + self.size.sigmoid_().view(self.batch, 8, -1).prod(1).log_().sum()
        rate = 0.5 * (mu.square() + self.sigma.square() - 1 - 2 * log_sigma).sum()
        return float(rate - likelihood) / self.batch

    def backward(self, x: Tensor) -> None:
        """Every gradient, from the logits back."""
        mu, _ = self.outputs[1].split(self.latents, 1)
        by_mu, by_log_sigma = self.slopes[1].split(self.latents, 1)
        torch.sigmoid(self.outputs[3], out=self.slopes[3]).sub_(x).mul_(1 / self.batch)
        self.layer(3, self.outputs[2])
        self.rectified(2)
        self.layer(2, self.z)
        torch.add(self.back, mu, alpha=1 / self.batch, out=by_mu)
        torch.mul(self.back, self.noise, out=by_log_sigma)
        by_log_sigma.mul_(self.sigma).add_((self.sigma.square() - 1).mul_(1 / self.batch))
        self.layer(1, self.outputs[0])
        self.rectified(0)
        self.layer(0, x)

    def layer(self, layer: int, given: Tensor) -> None:
        """The gradients of one affine map, and the slope by what it was given (but for the first, which was given x)."""
        slope = self.slopes[layer]
        torch.mm(slope.T, given, out=self.weight_gradients[layer])
        torch.sum(slope, 0, out=self.bias_gradients[layer])
        if layer:
            torch.mm(slope, self.weights[layer], out=self.back if layer == 2 else self.slopes[layer - 1])

    def rectified(self, layer: int) -> None:
        """The slope before the rectifier, in place."""
        slope = self.slopes[layer]
        torch.ops.aten.threshold_backward.grad_input(slope, self.outputs[layer], 0, grad_input=slope)


def turns(batches: Callable[[int], Tensor], batch: int, sizes: tuple[int, int, int]) -> Callable[[], object]:
    """A step after another."""
    made, count = ByHand(batch, *sizes), -1

    def turn() -> None:
        nonlocal count
        count += 1
        made.step(batches(count).reshape(batch, -1))

    return turn
