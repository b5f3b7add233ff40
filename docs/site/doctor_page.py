"""The tables of docs/doctor.md, made of the code: every figure with its limits and control, and faults beside what they must
move.

    python docs/site/doctor_page.py      fills the page
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "doctor.md"
sys.path.insert(0, str(ROOT / "tests"))

from fault_table import FAULTS  # noqa: E402  (the table lies with its test)
from legato.doctor.known import RULES, Rule  # noqa: E402

BESIDE = {"alone": "", "over the control": ", over its control", "from the control to 1": ", of the way from its control to 1"}


def filled(page: str) -> str:
    """The page with its tables."""
    for name, lines in {"figures": figures(), "faults": faults()}.items():
        before, _, rest = page.partition(f"<!-- {name} -->")
        _, _, after = rest.partition(f"<!-- end of {name} -->")
        page = f"{before}<!-- {name} -->\n" + "\n".join(lines) + f"\n<!-- end of {name} -->{after}"
    return page


def figures() -> list[str]:
    """A row for each figure."""
    head = ["| figure | key | well | poor |", "| --- | --- | --- | --- |"]
    return head + [f"| {rule.name} | `{key}` | {_limit(rule, True)} | {_limit(rule, False)} |" for key, rule in RULES.items()]


def _limit(rule: Rule, well: bool) -> str:
    if rule.fine is None or rule.poor is None:
        return "–"
    below = (rule.fine < rule.poor) == well
    return f"{'≤' if below else '≥'} {rule.fine if well else rule.poor:g}{BESIDE[rule.beside]}"


def faults() -> list[str]:
    """A row for each fault: what rises, what falls, what stays."""
    head = ["| fault | rises | falls | stays |", "| --- | --- | --- | --- |"]
    return head + [f"| {fault} | {_of(row, '+')} | {_of(row, '-')} | {_of(row, '0')} |" for fault, row in FAULTS.items()]


def _of(row: dict[str, str], sign: str) -> str:
    return ", ".join(key for key, one in row.items() if one == sign) or "–"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
