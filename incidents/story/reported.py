"""What readers said of it, and what they were told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.utils.translation import gettext as _

from incidents.models import Delivery, Observation, UserReport
from incidents.story.lines import Line, Names
from incidents.words import VERDICT_WORDS_WITHIN, Verdict
from tenants.scope import Role, current_scope

MOST = 100
# What a reporter chose, in the words of verdicts; who chose nothing has said that it looks odd.
_CHOSEN = {"phish": Verdict.PHISH, "junk": Verdict.SPAM, "not_junk": Verdict.CLEAN}


def reporters_words(one: Observation, *, is_first: bool) -> tuple[str, str]:
    """``is_first``: nothing told of her reading before."""
    chosen = _CHOSEN.get(str(one.detail.get("said") or ""))
    if chosen is None:
        lead = _("{who} read it and reported it.") if is_first else _("{who} reported it.")
    else:
        lead = _("{who} reported it as %(what)s.")
        if is_first:
            lead = _("{who} read it and reported it as %(what)s.")
        lead %= {"what": _(VERDICT_WORDS_WITHIN[chosen])}
    words = next((str(each.get("value") or "") for each in one.reasons), "")
    return lead, f"“{words}”" if words else ""


def told_lines(copies: Sequence[Delivery], names: Names) -> Iterator[Line]:
    """What reporters were told when it was resolved.  The portal reads no reports."""
    if current_scope().role is Role.PORTAL:
        return
    told = UserReport.objects.filter(delivery__in=copies, outcome_at__isnull=False)
    grouped: dict[tuple[str, datetime], list[UserReport]] = {}
    for report in told.select_related("delivery").order_by("outcome_at", "id")[:MOST]:
        assert report.outcome_at is not None
        minute = report.outcome_at.replace(second=0, microsecond=0)
        grouped.setdefault((report.outcome_word, minute), []).append(report)
    for (word, _minute), reports in grouped.items():
        whom = tuple(dict.fromkeys(each.delivery.recipient for each in reports if each.delivery))
        first = reports[0]
        assert first.outcome_at is not None
        yield Line(
            at=first.outcome_at,
            lane="action",
            lead=f"Bailey told {names.join(whom)} that it is {word}.",
            text="",
            source=f"user-report:{first.id}",
            recipients=whom,
            names_them=True,
        )
