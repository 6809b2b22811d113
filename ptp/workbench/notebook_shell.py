"""How a notebook shows our values and our errors; nothing of it stands in the values themselves."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

import pandas as pd
from markupsafe import Markup

from ptp.errors import PtpError
from ptp.evidence import Stage
from ptp.migration.plan import Plan
from ptp.report.cards import Card, estimate_card, finding_card, measurement_card, rows_card, stage_card
from ptp.report.words import number
from ptp.results import Estimate, Finding, Measurement
from ptp.workbench.previewing import in_short

_LONGEST, _MOST_ROWS = 120, 40

CARDS: dict[type[Any], Callable[[Any], Card]] = {
    Finding: finding_card,
    Measurement: measurement_card,
    Estimate: estimate_card,
    Stage: stage_card,
}
"""What a notebook shows of each type; `plan_card` is added below."""


def shell() -> Any:
    """The IPython that runs this code; None in plain Python."""
    loaded = sys.modules.get("IPython")  # where it runs us it is loaded; elsewhere it would be for nothing
    return loaded.get_ipython() if loaded else None


def prepare() -> None:
    """Let this notebook show our values as cards, numbers as reports do, and our errors as one sentence.

    Twice is as good as once. Nothing happens outside a notebook.
    """
    found = shell()
    if found is None:
        return
    formatters = found.display_formatter.formatters
    for kind, card in CARDS.items():
        formatters["text/html"].for_type(kind, lambda value, card=card: str(card(value).html))
        formatters["text/plain"].for_type(kind, lambda value, printer, _, card=card: printer.text(card(value).text))
    pd.set_option("display.float_format", number, "display.max_colwidth", _LONGEST, "display.max_rows", _MOST_ROWS)
    found.set_custom_exc((PtpError,), _one_sentence)


def plan_card(plan: Plan) -> Card:
    """A plan: its hash, how many statements of each kind over how many rows, and each statement folded away."""
    counted = Counter(s.kind for s in plan.statements)
    rows = [
        (kind, f"{count:,}", f"{sum(s.rows for s in plan.statements if s.kind == kind):,}", _folded(plan, kind))
        for kind, count in counted.items()
    ]
    shown = rows_card("Plan", ("Kind", "Statements", "Rows", "In short"), rows)
    head = Markup("<p>Plan <code>{}</code>: {:,} statements, from the shape {}; dirty values: {}</p>").format(
        plan.hash[:16], len(plan.statements), plan.shape, plan.on_dirty
    )
    text = "\n".join(f"{kind:<12} {count:>4} statements {rows:>10} rows" for kind, count, rows, _ in rows)
    return Card(head + Markup(shown.html), f"Plan {plan.hash[:16]}: {len(plan.statements)} statements\n{text}")


def _folded(plan: Plan, kind: str) -> Markup:
    lines = [in_short(s.sql) for s in plan.statements if s.kind == kind]
    items = Markup("").join(Markup("<li><code>{}</code></li>").format(line) for line in lines)
    return Markup("<details><summary><code>{}</code></summary><ol>{}</ol></details>").format(lines[0], items)


CARDS[Plan] = plan_card


def _one_sentence(
    found: Any, kind: type[BaseException], problem: BaseException, _: TracebackType | None, tb_offset: int | None = None
) -> list[str]:
    """An error of ours says all that its reader needs; what failed otherwise keeps its traceback."""
    told = [f"{kind.__name__}: {problem}"]
    found._showtraceback(kind, problem, told)
    return told
