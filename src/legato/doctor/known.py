"""The doctor's figures by their keys: each in words, from where on it is well or poor, and what is said of it then.

`fine` and `poor` are conventions, stated here once: they colour a row and choose its sentence, and no figure depends on them.
Covered: every key of examinations.py. Not covered: how a figure is judged against them (advice.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# a figure by itself; over its control; its share of the way from the control to 1
Beside = Literal["alone", "over the control", "from the control to 1"]
OVER: Beside = "over the control"
FROM: Beside = "from the control to 1"


@dataclass(frozen=True)
class Rule:
    """`name`: the figure in words. Up to `fine` it is well, from `poor` on poor: `fine` above `poor` where more is better,
    both None where the figure is told and not judged. `well` and `ill` are sentences; `training`: what to change in training
    where it is poor.
    """

    name: str
    fine: float | None
    poor: float | None
    well: str
    ill: str = ""
    training: str = ""
    beside: Beside = "alone"


MOVED = {"scale": "halved", "flip": "flipped", "shift": "shifted", "turn": "turned"}
EQUIVARIANT = "Train with an equivariance term: codes of scaled or turned pictures are to be the scaled or turned codes."
RULES: dict[str, Rule] = {
    "unsteady encode": Rule(
        "what encoding again changes", 1e-6, 1e-3, "The encoder gives one answer.",
        "The encoder draws when it is asked: use its mean, or switch dropout and batch statistics off (eval).",
    ),
    "scale factor": Rule(
        "scale factor", None, None,
        "Multiply codes by it before another model is trained on them, and divide its samples by it."
    ),
    "uneven scales": Rule(
        "widest channel over narrowest", 2, 10, "One factor serves all channels.",
        "One factor does not serve all channels: scale each by its own (`factor of each channel`).",
        "Charge the KL, or normalise the encoder's last layer, so that channels keep one scale.",
    ),
    "dead channels": Rule(
        "dead channels", 0, 1, "Every channel varies.",
        "Channels that never vary cost a prior work for nothing: leave them out.",
        "Use fewer channels, or a smaller charge on the KL: some are not used at all.",
    ),
    "collapsed channels": Rule(
        "collapsed channels", 0, 1, "Every channel tells something of its image.",
        "Channels of noise alone tell nothing of the image: leave them out of a prior.",
        "Lower the charge on the KL, or warm it up: some channels have collapsed to the prior.",
    ),
    "correlation of channels": Rule(
        "correlation of channels", 0.1, 0.5, "Channels are nearly uncorrelated: factors alone make them white.",
        "No factor takes away what channels share: rotate them to principal components, or fit a prior that sees all.",
    ),
    "covariance between channels": Rule(
        "covariance between channels", 0.1, 0.5, "Channels may be modelled one by one.",
        "Channels hang together: a prior must model them jointly.",
    ),
    "unused codes": Rule(
        "unused codes of the codebook", 0.2, 0.8, "Most of the codebook is in use.",
        "Much of the codebook is never chosen: a prior over indices needs the others alone.",
        "Use a smaller codebook, restart codes that nobody chooses, or FSQ, which has no codebook to lose.",
    ),
    "codes in use": Rule(
        "codes in use, over the codebook's size", 0.3, 0.05, "Codes are chosen evenly.",
        "A few codes are chosen again and again.",
        "Restart unused codes, or widen the tokens' spread: few codes carry all.",
    ),
    "effective beta": Rule("effective β", None, None,
    "A nat of rate costs so many nats of distortion: 1 is the evidence bound."),
    "charge on the KL": Rule("charge on the KL", None, None, "What the loss adds for a nat of KL."),
    "likeness to a KL": Rule(
        "likeness of that charge to a KL", 0.99, 0.9, "What is charged on μ and σ is a KL to N(0, I).",
        "What is charged on μ and σ is no KL to N(0, I): look at its formula, its sums and its axes.",
        "Charge −½ Σ (1 + log σ² − μ² − σ²), summed over all dimensions, and nothing else of μ and σ.",
    ),
    "weight of the reconstruction": Rule(
        "weight of the reconstruction", None, None, "What the loss adds for a nat of distortion."
    ),
    "lost gradient": Rule(
        "share of the gradient that is lost", 0.001, 0.01, "Every part of the loss reaches the weights.",
        "A part of the loss has no gradient (`no_grad`, `detach`, rounding): it is printed, and nothing learns it.",
        "Compute every term with gradients: freeze a net's weights by `requires_grad_(False)`, not by `torch.no_grad()`.",
    ),
    "batch dependence": Rule(
        "how β depends on the batch", 0.05, 0.5, "Both parts are averaged over the batch alike.",
        "One part is averaged over the batch and the other summed: β is another for every batch size.",
        "Take the mean over examples of one sum: distortion and rate of an example, each summed over its own numbers.",
    ),
    "second moment off one": Rule(
        "E μ² + E σ² off 1", 0.3, 1.5, "Every channel has E μ² + E σ² near 1, as where a KL was charged.",
        "E μ² + E σ² is far from 1: no KL to N(0, I) was charged, or hardly any, or training had far to go.",
        "Charge a KL if N(0, I) is to be sampled; if it is charged, look at its weight, or train longer.",
    ),
    "noise share": Rule(
        "share of the code that is noise", 1e-2, 1e-4, "The posterior's noise is a part of the code that a decoder must bear.",
        "σ is for show: posteriors are points, and nothing between codes was ever decoded in training.",
        "Charge a KL that keeps σ from vanishing, or add noise of a fixed size to codes in training.",
    ),
    "gap of moments": Rule(
        "gap of moments to N(0, I)", 0.01, 0.1, "Mean and covariance of the codes are the prior's.",
        "Mean and covariance of the codes are not the prior's: a Gaussian fitted to them is nearer.",
    ),
    "told from prior": Rule(
        "codes told from the prior's draws", 0.55, 0.7, "A classifier hardly tells codes from the prior's draws.",
        "A classifier tells codes from the prior's draws: the prior draws elsewhere.",
    ),
    "hole 5%": Rule(
        "holes of the prior", 0.1, 0.5, "Nearly all of the prior lies where images are encoded.",
        "Much of the prior lies where no image is encoded.",
    ),
    "kernel hole 5%": Rule(
        "holes of the prior, by a kernel", 0.1, 0.5, "Nearly all of the prior lies where images are encoded.",
        "Much of the prior lies where no image is encoded.",
    ),
    "high share": Rule("share of fine detail in the code", None, None,
    "Power above half of the Nyquist frequency; white noise has most."),
    "excess high share": Rule(
        "fine detail beyond the images'", 0.05, 0.2, "The code is no rougher than the pictures are.",
        "The code is rougher than the pictures: a prior has to learn detail that no picture has.",
        "Train with scaled pictures and scaled codes (an equivariance term), or with noise on the codes.",
    ),
    "spectral slope": Rule("slope of the code's spectrum", None, None, "0 of white noise, −2 of many photographs."),
    **{
        f"equivariance to {key}": Rule(
            f"encoder's equivariance error, {key}", 0.1, 0.5, f"The code of a {words} picture is the {words} code.",
            f"The code of a {words} picture is not the {words} code.", EQUIVARIANT,
        )
        for key, words in MOVED.items()
    },
    **{
        f"decoder's equivariance to {key}": Rule(
            f"decoder's equivariance error, {key}", 0.1, 0.5, f"A {words} code is decoded to the {words} picture.",
            f"A {words} code is not decoded to the {words} picture.", EQUIVARIANT,
        )
        for key, words in MOVED.items()
    },
    "r50": Rule(
        "step that goes half way to another image", 0.5, 0.2, "The decoder bears steps as a linear one does.",
        "A small step in the space goes half way to another image.",
        "Smooth the decoder: noise on the codes, or a KL that widens σ.", OVER,
    ),
    "moved by a tenth": Rule(
        "what a tenth of the way changes", 2, 5, "A tenth of the way changes about a tenth of the picture.",
        "A tenth of the way changes most of the picture: neighbours in the space are no neighbours as pictures.",
        "Smooth the decoder: noise on the codes, or a KL that widens σ.", OVER,
    ),
    "stretch posterior": Rule("decoder's stretch at codes", None, None,
    "How far the most sensitive direction moves the picture."),
    "stretch prior": Rule("decoder's stretch at the prior's draws", None, None, "The same where the prior draws."),
    "stretch posterior unevenness": Rule(
        "unevenness of the stretch", 3, 10, "The decoder is about as sensitive everywhere.",
        "At some codes the decoder is far more sensitive than at most: equal errors of a prior are unequal in pictures.",
        "Add noise of a fixed size to the codes in training: a decoder evens out its stretch.",
    ),
    "decoded noise": Rule(
        "what the posterior's noise changes", 0.5, 0.9, "The noise of a posterior moves its picture little.",
        "The noise of a posterior moves its picture as far as another picture lies: the code tells little.",
        "Lower the charge on the KL: posteriors are as wide as the space.",
    ),
    "trustworthiness": Rule(
        "neighbours as codes that are neighbours as pictures", 0.8, 0.6, "Near codes are near pictures.",
        "Near codes are not near pictures: distances in the space mean little.",
        "Keep a bottleneck that compresses: fewer channels, more downsampling, or a KL.",
    ),
    "continuity": Rule(
        "neighbours as pictures that are neighbours as codes", 0.8, 0.6, "Near pictures have near codes.",
        "Near pictures do not have near codes.",
        "Keep a bottleneck that compresses: fewer channels, more downsampling, or a KL.",
    ),
    "purity": Rule(
        "neighbours of one label", 0.5, 0.1, "Neighbours share their label.", "Neighbours hardly share a label.", beside=FROM
    ),
    "probe": Rule(
        "labels that a linear probe reads", 0.5, 0.1, "A linear probe reads the label.",
        "A linear probe hardly reads the label: a class-conditional prior has little to hold on to.", beside=FROM,
    ),
    "uneven density": Rule(
        "unevenness of the codes' density", 1.5, 3, "Codes fill their room about as a Gaussian does.",
        "Codes lie in clumps: a mixture fits them, one Gaussian does not.", beside=OVER,
    ),
    "irreducible variance of a Gaussian": Rule(
        "what a velocity cannot know, by covariance", 0.8, 0.97,
        "Much of the codes' velocity can be told from their covariance alone.",
        "By their covariance the codes are white noise: a flow has only their shape to learn.", beside=OVER,
    ),
    "irreducible variance of the set": Rule(
        "what a velocity cannot know, of the set", None, None,
        "Of the very set of codes; near 0 in many dimensions, whatever they are."
    ),
    "loss of a probe": Rule(
        "what a small net cannot learn of the velocity", 0.85, 0.98, "A small net learns much of the velocity in seconds.",
        "A small net learns no more of the velocity than of white noise's: a prior needs a larger net and longer training.",
        "Give the space structure: a KL, noise, an equivariance term, or fewer channels.", OVER,
    ),
    "reconstructions": Rule(
        "distance of reconstructions, over real images'", 3, 10,
        "Reconstructions are about as near to real images as other real ones.",
        "Reconstructions are far from real images: no prior can be better than they are.",
        "Reconstruct better first: more channels, less downsampling, longer training, a lower charge on the KL.",
    ),
    "samples of the prior": Rule(
        "samples of the prior, over reconstructions", 2, 5, "Samples of the prior are about as good as reconstructions.",
        "Samples of the prior are far worse than reconstructions.",
    ),
    "samples of a Gaussian": Rule(
        "samples of a fitted Gaussian, over reconstructions", 2, 5,
        "Samples of a fitted Gaussian are about as good as reconstructions.",
        "Samples of a fitted Gaussian are far worse than reconstructions.",
    ),
    "samples of a mixture": Rule(
        "samples of a fitted mixture, over reconstructions", 2, 5,
        "Samples of a fitted mixture are about as good as reconstructions.",
        "Samples of a fitted mixture are far worse than reconstructions.",
    ),
}  # fmt: skip
