"""The claims' tables at 1,200 pixels: nothing is cut off, with every model, every control and every measure there."""

from __future__ import annotations

from legato.claims import CLAIMS, decide
from legato.experiment.conclusion import CONTROLS
from legato.experiment.contrasts import Evidence, contrasts
from legato.experiment.members import LARGE, family
from legato.measures.estimate import Estimate, absent
from legato.measures.known import MEASURES
from legato.measures.seeds import Contrast
from legato.report.claim_figures import forest
from legato.report.claim_tables import blind, compared, rules
from legato.report.conclusions import concluded
from legato.report.html import Section, write_report
from legato.report.verdicts import Judged, verdict_table

WIDE = "[...document.querySelectorAll('.card, .scroll')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)"


def called_long(key: str) -> int:
    return len(MEASURES[key].titled)


def evidence() -> Evidence:
    """Of everyone, long numbers: five seeds each."""
    names = [*dict.fromkeys(m.name for m in family(False, 1) if m.latent_dim == LARGE), *CONTROLS]
    one = {key: Estimate(0.1234567, 0.0234567, 0.2234567, 10_000, measure.unit, "made up") for key, measure in MEASURES.items()}
    seeds = [
        {key: Estimate(e.value * (1 + i / 9), e.low, e.high, e.n, e.unit, e.method) for key, e in one.items()} for i in range(5)
    ]
    return Evidence(dict.fromkeys(names, seeds))


def test_nothing_is_cut_at_1200_pixels(browser, tmp_path):
    found = evidence()
    claims = decide(contrasts(found), Contrast(absent("not measured")))
    judged = [Judged(claim["id"], claim["sentence"], claim["verdict"], concluded(claim)) for claim in claims]
    told = [
        Section("The verdicts", table=verdict_table(judged)),
        Section("All models", parts=compared(found, "A caption.")),
        Section("The longest name", "", forest(found, max(MEASURES, key=called_long)), "A chart."),
        *(Section(f"{claim['id']}.", table=rules(claim["rule"])) for claim in claims),
        Section("Blind", table=blind(found, claims)),
    ]
    assert len(told) == 4 + len(CLAIMS)
    write_report(tmp_path / "report.html", "Claims", "", told)
    context = browser.new_context(viewport={"width": 1200, "height": 900}, offline=True)
    try:
        page = context.new_page()
        page.goto((tmp_path / "report.html").as_uri())
        assert page.evaluate(WIDE) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 1200
    finally:
        context.close()
