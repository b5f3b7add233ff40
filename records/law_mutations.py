"""Code broken on purpose, one character or word at a time: the law that it breaks has a test, and the test must fail.

    python records/law_mutations.py [WORD ...]     # those whose file or test holds a word; all by default

Each mutation is made in a copy of `src`, and one test of `docs/laws.md` is run on it, in a process of its own. Printed is
whether that test has seen it; exit code 1 where one has not. Covered: that the tests can fail. Not covered: that they pass
(`make test`).
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).parent.parent
SLOW = ["torch", "pytest", "sklearn.decomposition", "scipy.stats"]  # to import; loaded once for all processes


@dataclass(frozen=True)
class Mutation:
    """One change of one place of a file below src/legato, and the test that has to see it."""

    file: str
    before: str
    after: str
    test: str

    def __str__(self) -> str:
        return f"{self.file}: `{self.before}` -> `{self.after}`"


MUTATIONS = (
    Mutation(
        "objectives/bounds.py",
        "torch.logsumexp(log_w, 0) - math.log",
        "torch.logsumexp(log_w, 1, True).mean(0) - math.log",
        "test_identities.py::test_importance_weighted_bound_at_k_1_is_the_elbo_with_a_sampled_kl",
    ),
    Mutation(
        "objectives/bounds.py",
        " - math.log(len(log_w))",
        "",
        "test_identities.py::test_importance_weighted_bound_is_not_below_its_leave_one_out_mean",
    ),
    Mutation(
        "objectives/bounds.py",
        "return -trace.log_px.mean(0)",
        "return trace.log_px.mean(0)",
        "test_identities.py::test_beta_one_is_the_elbo_in_value_and_in_gradient_by_finite_differences",
    ),
    Mutation(
        "objectives/bounds.py",
        "rung.away.flatten(1).sum(1)",
        "rung.away.sum().expand(len(rung.away))",
        "test_quantised.py::test_what_a_codebook_costs_an_example_is_the_same_however_often_the_batch_is_repeated",
    ),
    Mutation(
        "distributions/divergence.py",
        "shift * shift - 1) - torch.log(ratio)",
        "shift * shift - 1) - 2 * torch.log(ratio)",
        "test_identities.py::test_closed_form_kl_is_the_mean_of_log_q_minus_log_p_over_a_million_draws",
    ),
    Mutation(
        "objectives/importance.py",
        ".transpose(0, 1)).mean(0)",
        ").mean(0)",
        "test_objectives.py::test_one_bound_of_all_draws_is_the_importance_weighted_one_and_bounds_of_one_draw_are_the_elbo",
    ),
    Mutation(
        "objectives/importance.py",
        'if self.gradient == "landing" else shares.square()',
        'if self.gradient == "landing" else shares',
        "test_objectives.py::test_the_doubly_reparameterised_gradient_is_unbiased_and_has_less_noise",
    ),
    Mutation(
        "objectives/importance.py",
        ".flatten(0, 1) / self.m",
        ".flatten(0, 1)",
        "test_objectives.py::test_partially_weighted_each_side_has_the_gradient_of_its_own_bound",
    ),
    Mutation(
        "objectives/decomposition.py",
        "others.fill_diagonal_(-math.log(count))",
        "others.index_fill_(1, torch.zeros(1, dtype=torch.long), -math.log(count))",
        "test_objectives.py::test_shares_lie_on_the_diagonal_and_add_up_to_one",
    ),
    Mutation(
        "objectives/decomposition.py",
        "(found.joint - found.product)",
        "(found.product - found.joint)",
        "test_objectives.py::test_of_a_batch_of_everyone_each_part_is_enumerated",
    ),
    Mutation(
        "objectives/aggregate.py",
        "max(n * (n - 1), 1)",
        "max(n * n, 1)",
        "test_objectives.py::test_the_discrepancy_is_the_mean_over_pairs_of_two",
    ),
    Mutation(
        "objectives/aggregate.py",
        "width = _off_diagonal(within).detach()",
        "width = torch.ones_like(within).mean()",
        "test_objectives.py::test_the_discrepancy_is_zero_on_average_between_draws_of_one_distribution_and_large_between_others",
    ),
    Mutation(
        "objectives/aggregate.py",
        "code - code.mean(0)",
        "code - code.mean(1, True)",
        "test_objectives.py::test_the_covariance_is_that_of_numpy",
    ),
    Mutation(
        "objectives/adversaries.py",
        "generator=stream).argsort(1)",
        "generator=stream).argsort(1)[..., :1].expand(everyone.shape)",
        "test_players.py::test_dealing_keeps_every_marginal_to_the_bit_and_leaves_no_dependence",
    ),
    Mutation(
        "objectives/adversaries.py",
        "return softplus(-_logit(self.critic, trace.code.flatten(2))).mean(0)",
        "return softplus(_logit(self.critic, trace.code.flatten(2))).mean(0)",
        "test_objectives.py::test_an_adversary_that_knows_both_densities_says_their_ratio",
    ),
    Mutation(
        "objectives/adversaries.py",
        "softplus(-self._verdict(again)) + softplus(-self",
        "softplus(self._verdict(again)) + softplus(self",
        "test_objectives.py::test_the_image_adversary_teaches_the_decoder_to_be_taken_for_real_and_the_encoder_nothing",
    ),
    Mutation(
        "trace.py",
        "of.x, of.code.detach(), of",
        "of.x, of.code, of",
        "test_players.py::test_no_gradient_reaches_the_model_through_what_a_critic_sees",
    ),
    Mutation(
        "vamp.py",
        "even = torch.zeros(len(self.inputs)",
        "even = torch.arange(len(self.inputs)",
        "test_posteriors.py::test_a_vamp_prior_is_the_mean_of_the_posteriors_of_its_inputs",
    ),
    Mutation(
        "flows.py",
        "self.flow(context)",
        "self.flow(0 * context)",
        "test_posteriors.py::test_a_flow_as_posterior_adds_up_to_one_and_is_another_for_every_x",
    ),
    Mutation(
        "latents/hamiltonian.py",
        "z = z + step * momentum",
        "z = z + step * z",
        "test_posteriors.py::test_leapfrog_keeps_the_volume_and_cooling_shrinks_it_by_the_factor_that_the_bound_has",
    ),
    Mutation(
        "latents/hamiltonian.py",
        " * (coldness[k] / coldness[k + 1])",
        "",
        "test_posteriors.py::test_leapfrog_keeps_the_volume_and_cooling_shrinks_it_by_the_factor_that_the_bound_has",
    ),
    Mutation(
        "distributions/sphere.py",
        "(self.log_integral + log_area(self.dimension - 1)).to",
        "(self.log_integral + log_area(self.dimension)).to",
        "test_posteriors.py::test_von_mises_fisher_is_normalised_as_bessel_has_it",
    ),
    Mutation(
        "latents/ladder.py",
        "self._below()[rung - 1](above, given)",
        "self._below()[rung - 1](0 * above, given)",
        "test_latents.py::test_two_linear_gaussian_rungs_meet_their_exact_evidence",
    ),
    Mutation(
        "codebooks.py",
        "rows.square().sum(1) - 2 * (code",
        "rows.square().sum(1) - (code",
        "test_quantised.py::test_a_row_is_its_own_nearest",
    ),
    Mutation(
        "families.py",
        "IndependentBernoulli(theta, len(event))",
        "IndependentBernoulli(theta.sigmoid(), len(event))",
        "test_identities.py::test_bernoulli_reads_logits_and_its_means_cover_zero_to_one",
    ),
    Mutation(
        "training/validation.py",
        '"elbo": -(distortion + rate)',
        '"elbo": -(distortion + 4 * rate)',
        "test_training.py::test_validation_is_the_elbo_at_beta_one_whatever_is_trained",
    ),
    Mutation(
        "training/learner.py",
        'self._load(self.average, below("average.", tensors))',
        'self._load(self.average, below("model.", tensors))',
        "test_resume.py::test_a_codebook_whose_rows_are_put_elsewhere_at_every_step_is_resumed_bit_for_bit",
    ),
)


def seen(mutation: Mutation) -> bool:
    """Whether the test fails on a copy of the code with this one change."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__", "_ui"))
        path = source / "legato" / mutation.file
        text = path.read_text(encoding="utf-8")
        if text.count(mutation.before) != 1:
            raise SystemExit(f"{mutation}: the place is not there once, but {text.count(mutation.before)} times")
        path.write_text(text.replace(mutation.before, mutation.after), encoding="utf-8")
        with ProcessPoolExecutor(1, get_context("forkserver"), max_tasks_per_child=1) as process:
            code, said = process.submit(tried, str(source), mutation.test).result()
    if code not in (0, 1):  # 1: tests failed; else nothing was tried
        raise SystemExit(said)
    return code == 1


def tried(source: str, test: str) -> tuple[int, str]:
    """The exit code of one test on the code in `source`, and what was printed. In a process that has not seen the code yet."""
    import pytest

    os.chdir(ROOT)
    sys.path.insert(0, source)
    os.environ["PYTHONPATH"] = source  # of processes that a test starts
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", f"tests/{test}"])
    there = Path(sys.modules["legato"].__file__ or "")
    assert there.is_relative_to(source), f"{there} was tried, not the copy"
    return int(code), said.getvalue()


def main(words: list[str]) -> int:
    """Tries each, and says what no test has seen."""
    chosen = [one for one in MUTATIONS if not words or any(word in f"{one.file} {one.test}" for word in words)]
    missed = []
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    get_context("forkserver").set_forkserver_preload(SLOW)
    for one in chosen:
        if not (found := seen(one)):
            missed.append(one)
        print(f"{'seen by' if found else 'NOT SEEN BY'} {one.test.removeprefix('test_')}\n    {one}", flush=True)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} mutations are seen by the test of their law")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
