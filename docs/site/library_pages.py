"""The page of libraries: a row for each model, a column for each library of the field, the last one made of the registry.

Covered: which class has which model, as it was read in each library's source; what was not read says so. Not covered: whether
it is right there, but for what the page's last part tells.
"""

from __future__ import annotations

from functools import cache

import laws
import recipe_pages

from legato.recipe import RECIPES
from legato.vocabulary import LIKELIHOODS

PYTHAE, ANTIXK, DISENT, SCVI, MULTI = LIBRARIES = ("Pythae", "PyTorch-VAE", "disent", "scvi-tools", "MultiVae")
VERSIONS = {PYTHAE: "0.1.2", ANTIXK: "repository", DISENT: "0.8.0", SCVI: "1.4.2", MULTI: "1.0.0"}
UNREAD = "not checked"
SHOWN = 2  # laws of a recipe in its row: those of mathematics that fewest other recipes have
MATHEMATICS = tuple(f"test_{name}.py" for name in ("identities", "objectives", "posteriors", "latents", "quantised", "players"))
Row = tuple[str, tuple[str, ...], dict[str, str]]

# What the model is; the names that Legato has for it, or may come to have; the classes of each library, where it has any.
ROWS: list[Row] = [
    (
        "autoencoder",
        ("autoencoder",),
        {PYTHAE: "`AE`", DISENT: "`Ae`"},
    ),
    (
        "VAE",
        ("vae",),
        {
            PYTHAE: "`VAE`",
            ANTIXK: "`VanillaVAE`",
            DISENT: "`Vae`",
            SCVI: "`SCVI`, `LinearSCVI`, `PEAKVI`: of cells",
            MULTI: "of several modalities alone",
        },
    ),
    (
        "β-VAE",
        ("beta_vae",),
        {
            PYTHAE: "`BetaVAE`",
            ANTIXK: "`BetaVAE` (`H`)",
            DISENT: "`BetaVae`",
            SCVI: "`max_kl_weight`",
            MULTI: "`beta` of `CVAE` and others",
        },
    ),
    ("β-VAE, capacity annealed", ("capacity_vae",), {PYTHAE: "`DisentangledBetaVAE`", ANTIXK: "`BetaVAE` (`B`)"}),
    (
        "warm-up of the rate",
        ("warmup_vae",),
        {
            PYTHAE: "`VAMP` alone",
            DISENT: "schedules of any weight",
            SCVI: "`n_epochs_kl_warmup`",
            MULTI: "`MVAE`, `Nexus` and others",
        },
    ),
    ("scale of the likelihood solved", ("sigma_vae",), {}),
    ("KL taken apart: controls", ("noisy_autoencoder", "mean_only_vae", "fixed_noise_autoencoder", "pulled_autoencoder"), {}),
    ("asked for a fidelity (GECO)", ("geco_vae",), {}),
    ("IWAE", ("iwae",), {PYTHAE: "`IWAE`", ANTIXK: "`IWAE`", MULTI: "`MMVAE` (`iwae_looser`)"}),
    ("IWAE, other gradients", ("dreg_iwae", "landing_vae"), {MULTI: "`MMVAE` (`dreg_looser`)"}),
    ("multiply importance-weighted", ("miwae",), {PYTHAE: "`MIWAE`", ANTIXK: "`MIWAE`"}),
    ("partially importance-weighted", ("piwae",), {PYTHAE: "`PIWAE`"}),
    ("combination of bounds", ("ciwae",), {PYTHAE: "`CIWAE`"}),
    ("β-TC-VAE", ("beta_tc_vae",), {PYTHAE: "`BetaTCVAE`", ANTIXK: "`BetaTCVAE`", DISENT: "`BetaTcVae`"}),
    ("FactorVAE", ("factor_vae",), {PYTHAE: "`FactorVAE`", ANTIXK: "`FactorVAE`"}),
    ("DIP-VAE I, II", ("dip_vae",), {ANTIXK: "`DIPVAE`", DISENT: "`DipVae`"}),
    ("InfoVAE", ("info_vae",), {PYTHAE: "`INFOVAE_MMD`", ANTIXK: "`InfoVAE`", DISENT: "`InfoVae`"}),
    ("WAE-MMD", ("wae_mmd",), {PYTHAE: "`WAE_MMD`", ANTIXK: "`WAE_MMD`"}),
    ("WAE-GAN", ("wae_gan",), {PYTHAE: "`Adversarial_AE` (`deterministic_posterior`)"}),
    ("sliced Wasserstein autoencoder", ("swae",), {ANTIXK: "`SWAE`"}),
    ("adversarial autoencoder", ("adversarial_autoencoder",), {PYTHAE: "`Adversarial_AE`"}),
    ("VAE-GAN", ("vae_gan",), {PYTHAE: "`VAEGAN`"}),
    ("RAE", ("rae_l2", "rae_gp", "rae_sn"), {PYTHAE: "`RAE_L2`, `RAE_GP`"}),
    ("structural similarity", ("ssim_vae",), {PYTHAE: "`MSSSIM_VAE`", ANTIXK: "`MSSIMVAE`"}),
    ("log cosh", ("log_cosh_vae",), {ANTIXK: "`LogCoshVAE`"}),
    ("sparse code (TopK)", ("topk_autoencoder",), {}),
    ("flow as posterior", ("flow_vae", "iaf_vae"), {PYTHAE: "`VAE_LinNF`, `VAE_IAF`", MULTI: "`JNF`"}),
    (
        "flow as prior",
        ("flow_prior_vae",),
        {PYTHAE: "`MAFSampler`, `IAFSampler`: fitted after training", MULTI: "the same samplers"},
    ),
    ("full-covariance Gaussian", ("full_gaussian_vae",), {}),
    ("Laplace posterior", ("laplace_vae",), {DISENT: "`latent_distribution`", MULTI: "`MMVAE` (`laplace_with_softmax`)"}),
    ("von Mises–Fisher", ("vmf_vae",), {PYTHAE: "`SVAE`"}),
    ("power spherical", ("power_spherical_vae",), {}),
    ("Poincaré ball", ("poincare_vae",), {PYTHAE: "`PoincareVAE`"}),
    ("relaxed choices", ("joint_vae",), {ANTIXK: "`JointVAE`, `CategoricalVAE`"}),
    ("relaxed bits", ("concrete_vae",), {}),
    ("Hamiltonian", ("hamiltonian_vae",), {PYTHAE: "`HVAE`"}),
    ("Hamiltonian, learnt metric", ("riemannian_vae", "rhvae"), {PYTHAE: "`RHVAE`"}),
    ("mixture of Gaussians as prior", ("mixture_vae",), {SCVI: '`CondSCVI` (`prior="mog"`)'}),
    ("VampPrior", ("vamp_vae",), {PYTHAE: "`VAMP`", ANTIXK: "`VampVAE`", SCVI: '`SysVI` (`prior="vamp"`)'}),
    ("two rungs, VampPrior on top", ("hierarchical_vamp_vae",), {ANTIXK: "`HVAE`: two rungs, its VampPrior commented out"}),
    ("ladder", ("ladder_vae",), {ANTIXK: "`LVAE`", SCVI: "`Decipher`: two rungs"}),
    ("deep hierarchy", ("hierarchy_vae",), {MULTI: "`MHVAE`, of modalities"}),
    ("VQ-VAE", ("vq_vae", "gradient_vq_vae", "tokenizer_vq"), {PYTHAE: "`VQVAE`", ANTIXK: "`VQVAE`"}),
    ("VQ-VAE, prior over all before", ("sequence_vq_vae",), {PYTHAE: "`PixelCNNSampler`: fitted after training"}),
    ("residual VQ", ("residual_vq_vae",), {}),
    ("FSQ", ("fsq_vae", "tokenizer_fsq"), {}),
    ("code at places of an image, small KL", ("tokenizer_kl",), {}),
    ("lookup-free", ("lookup_free_vae", "lfq_vae"), {}),
    ("conditional VAE", ("conditional_vae",), {ANTIXK: "`ConditionalVAE`", SCVI: "`SCVI`, of batches", MULTI: "`CVAE`"}),
    ("few labels (M2 and after)", ("m2_vae", "semi_vae", "semisupervised_vae", "semi_supervised_vae"), {SCVI: "`SCANVI`"}),
    ("pairs (Ada-GVAE, Ada-ML-VAE)", ("ada_gvae", "ada_vae", "ml_vae", "ada_ml_vae"), {DISENT: "`AdaVae`"}),
    ("triplets", (), {DISENT: "`TripletVae`, `AdaNegTripletVae`"}),
    ("features of a classifier as fidelity", ("dfc_vae",), {ANTIXK: "`DFCVAE`", DISENT: "`DfcVae`"}),
    ("gamma posterior", ("gamma_vae",), {ANTIXK: "`GammaVAE`"}),
    (
        "several modalities",
        (),
        {
            SCVI: "`TOTALVI`, `MULTIVI`: of cells",
            MULTI: "`JMVAE`, `TELBO`, `MVAE`, `MMVAE`, `MMVAEPlus`, `MoPoE`, `MVTCAE`, `DMVAE`, `CMVAE`, `CRMVAE`, `Nexus`",
        },
    ),
    (
        "counts as likelihood",
        ("poisson", "negative-binomial", "zero-inflated"),
        {SCVI: "Poisson, negative binomial, zero-inflated"},
    ),
]

PAGE = """# Models and libraries

Which library of the field has which model, by its class. Read on 2026-11-30 in the sources: {versions}. What stands in
the repository of PyTorch-VAE has no version; it was read file by file in a stored copy. disent 0.9 and scvi-tools 1.5 could not
be had, and the versions before them were read. An empty cell: nothing of it was found. A model that nobody has looked for in
the others says so.

The last column is made of Legato's registry: the recipe, the number of tests that name it or a word of its sentence, and of
those of its mathematics the two that fewest other recipes share. All of them stand at the end of the recipe's page.

{table}

## What was seen in them

Each of these is a line of that library's own source, and a law here (the laws at the end of a recipe's page). Pythae's stand in
[its own page](pythae.md). scvi-tools and MultiVae were read for what they have, not for whether it is right.

| library | where | what it does | the law here |
|---|---|---|---|
{seen}
"""

# library, where it stands, what it does, the recipe whose law is against it
SEEN: list[tuple[str, str, str, str]] = [
    (ANTIXK, "`loss_function` of most models", "a mean over pixels beside a sum over latents, times `M_N`: a hidden β", "vae"),
    (ANTIXK, "`IWAE`, `MIWAE`", "a softmax of the *loss* weighs draws: the worst reconstructed count most", "iwae"),
    (ANTIXK, "`VampVAE`", "`(log_var + (z - mu) ** 2) / log_var.exp()`, a misplaced bracket; samples from N(0, I)", "vamp_vae"),
    (ANTIXK, "`DIPVAE`", "codes centred over latents, not over the batch; σ⁴ for σ²", "dip_vae"),
    (ANTIXK, "`FactorVAE`", "latents permuted within each row, not each latent over the batch", "factor_vae"),
    (ANTIXK, "`InfoVAE`", "with `rbf`, the discrepancy, a mean already, is divided by B (B − 1) again", "info_vae"),
    (ANTIXK, "`MSSIMVAE`", "a window of exp(+d²/2σ²): least in the middle", "ssim_vae"),
    (
        ANTIXK,
        "`LVAE`",
        "KL from the encoder's own Gaussian, not the prior's; its log σ² without their ½; none for the top rung",
        "ladder_vae",
    ),
    (DISENT, "`BetaTcVae`", "β KL + (β − 1) TC: a β below 1 pays for entanglement", "beta_tc_vae"),
    (
        DISENT,
        "`DipVae` (`ii`)",
        "one number, the mean of a diagonal of (B, d) variances, added to the whole covariance",
        "dip_vae",
    ),
]


def page() -> str:
    """The table of models and libraries, and what was seen in them."""
    versions = ", ".join(f"{name} {version}" for name, version in VERSIONS.items() if name != ANTIXK)
    seen = "\n".join(
        f"| {name} | {where} | {what} | [`{recipe}`](recipes/{recipe}.md#laws) |" for name, where, what, recipe in SEEN
    )
    return PAGE.format(versions=versions, table=table(), seen=seen)


def table() -> str:
    """Markdown: a row for each model, among them each recipe once."""
    head = ("model", *(f"{name} {VERSIONS[name]}" for name in LIBRARIES), "Legato, and its laws")
    rows = [(what, *(found.get(name, "") for name in LIBRARIES), _ours(names)) for what, names, found in ROWS]
    rows += [(f"`{name}`", *([UNREAD] * len(LIBRARIES)), _ours((name,))) for name in unplaced()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))


def unplaced() -> list[str]:
    """Recipes that no row has: nobody has looked for them in the other libraries yet."""
    placed = {name for _, names, _ in ROWS for name in names}
    return [name for name in RECIPES if name not in placed]


def _ours(names: tuple[str, ...]) -> str:
    words = [f"`{word}`" for word in LIKELIHOODS if any(name in word for name in names)]
    return "<br>".join([*(_recipe(name) for name in names if name in RECIPES), *words])


def _recipe(name: str) -> str:
    held = _laws()[name]
    own = sorted((law for law in held if law.file in MATHEMATICS), key=lambda law: _shared()[law])[:SHOWN]
    said = f": {'; '.join(law.says for law in own)}" if own else ""
    return f"[`{name}`](recipes/{name}.md#laws), {len(held)} test{'' if len(held) == 1 else 's'}{said}"


@cache
def _laws() -> dict[str, list[laws.Law]]:
    return {name: laws.naming(name, *recipe_pages.vocabulary(RECIPES[name])) for name in RECIPES}


@cache
def _shared() -> dict[laws.Law, int]:
    """How many recipes have a law."""
    found: dict[laws.Law, int] = {}
    for law in (law for held in _laws().values() for law in held):
        found[law] = found.get(law, 0) + 1
    return found
