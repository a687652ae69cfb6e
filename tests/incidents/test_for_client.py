"""What a client reads of an incident, in her report and in the portal: the facts, and nothing that
the provider's people wrote for each other.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from console.queries.story import story_of
from incidents import story
from incidents.models import Incident, Message, Observation
from incidents.observations import Reason
from incidents.remediation import block_sender, pull_incident
from incidents.reported import report_mail
from incidents.reports.csv_file import render_csv
from incidents.reports.document import build_document
from incidents.reports.pdf_file import render_pdf
from incidents.services import assign_incident, share_incident
from incidents.services.comments import add_comment, log_call
from incidents.story import tell_story
from incidents.story.lines import _FOR_CLIENT, Line
from incidents.words import Verdict
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mailbox_saw
from tests.incidents.test_reports import text_of
from tests.incidents.test_story import ENTRY, IT, after, analyst, cfo, fraud, scope, tell

__all__ = ["cfo"]
ROOT = Path(__file__).parents[2]
# What somebody of the provider wrote, by where she wrote it.
PRIVATE = {
    "pull": "zqpull: Globex was hit first",
    "judged": "zqjudged: as at Globex",
    "entry": "zqentry: they pay late",
    "block": "zqblock",
    "comment": "zqcomment",
    "call": "zqcall",
    "ticket": "zqticket",
    "cause": "zqcause",
    "rule": "zqrule",
}


@pytest.fixture
def told(cfo: Cast) -> Incident:
    """A fraud at which people of the provider wrote wherever they can."""
    decided = {**ENTRY, "owner": "Zqowner", "reason": PRIVATE["entry"]}
    seen = fraud(cfo, rule=f"allow of Acme {PRIVATE['rule']}", detail={"decided": decided})
    tell(cfo, *seen)
    with analyst(cfo):
        incident = Incident.objects.select_related("tenant").get()
        message = Message.objects.get()
        report_mail(message=message, actor=cfo.ana, verdict="phish", reason=PRIVATE["judged"])
        pull_incident(incident=incident, actor=cfo.ana, reason=PRIVATE["pull"])
        block_sender(
            incident=incident, actor=cfo.ana, reason=PRIVATE["block"], expires_at=after(99999)
        )
        add_comment(incident=incident, actor=cfo.ana, text=PRIVATE["comment"])
        log_call(incident=incident, actor=cfo.ana, whom=IT, said=PRIVATE["call"])
        assign_incident(incident=incident, actor=cfo.mo, owner=cfo.bo)
        share_incident(incident=incident, actor=cfo.ana)
        words = {"ticket": PRIVATE["ticket"], "cause": PRIVATE["cause"]}
        Incident.objects.filter(id=incident.id).update(**words)
    tell(cfo)
    with analyst(cfo):
        assert Observation.objects.filter(source=f"person:{cfo.ana.id}").exists()
        return Incident.objects.select_related("tenant").get()


def _report(cast: Cast, incident: Incident, audience: str) -> dict[str, Any]:
    with analyst(cast):
        return build_document(incident, audience=audience, created_by="Ana")


def _shown(document: dict[str, Any]) -> str:
    """Everything that any format of it says."""
    table = render_csv(document).decode("utf-8-sig")
    return f"{json.dumps(document)} {table} {text_of(render_pdf(document))}"


def test_nothing_that_was_written_among_ourselves_is_in_the_clients_report(
    cfo: Cast, told: Incident
):
    ours, hers = (_shown(_report(cfo, told, each)) for each in ("internal", "client"))
    for word in ("zqpull", "zqjudged", "zqentry", "zqcall", "zqticket", "zqcause", "zqrule"):
        assert word in ours, word
    assert "Score 4.1" in ours
    for word in ("zq", "Zq", "Globex", "Score 4.1", "acts from", "Mo gave it"):
        assert word not in hers, hers[max(0, hers.find(word) - 200) : hers.find(word) + 100]


def test_the_client_still_reads_what_was_seen_and_done(cfo: Cast, told: Incident):
    hers = [line["text"] for line in _report(cfo, told, "client")["timeline"]]
    assert (
        "Let it through. SPF and DKIM passed because the sender owns the lookalike domain."
        " The allow entry for acrne.example (for it@acme.example only) decided." in hers
    )
    assert "Judged fraud (0.97): The sender shows the name of Karla Berg." in hers
    assert "Ana judged it phishing." in hers
    assert "Ana is pulling both copies. Reversible. None of 2 done so far." in hers


def test_nor_is_it_in_the_portal(cfo: Cast, told: Incident):
    with tenant_scope(Role.PORTAL, [cfo.acme.id]):
        incident = Incident.objects.select_related("tenant").get(id=told.id)
        page = story_of(incident, is_plain=True)
    shown = repr(page)
    assert "Ana is pulling both copies." in shown
    for word in ("zq", "Zq", "Globex", "Score", "acts from", "Mo gave it", "0.97"):
        assert word not in shown


def _kinds() -> dict[str, str]:
    """Kind of source → where the code makes such a line."""
    found: dict[str, str] = {}
    for file in [*ROOT.glob("incidents/story/*.py"), *ROOT.glob("*_bridge/**/*telling.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                made = re.fullmatch("([a-z-]+):", str(node.values[0].value))
            elif isinstance(node, ast.Constant):
                made = re.fullmatch("([a-z-]+):[a-z]+", str(node.value))
            else:
                continue
            if made:
                found.setdefault(made[1], f"{file.name}:{node.lineno}")
    return found


def test_every_kind_of_line_in_the_code_says_what_the_client_reads_of_it():
    kinds = _kinds()
    assert {"observation", "audit", "stop", "step-order", "story"} <= set(kinds), kinds
    missing = {kind: place for kind, place in kinds.items() if kind not in _FOR_CLIENT}
    assert missing == {}
    assert Line(at=after(0), lane="action", lead="x", text="", source="new:1").for_client() is None


def test_reasons_that_stand_above_are_said_where_that_line_is_left_out(cast: Cast, monkeypatch):
    reasons = (Reason("talk_prize", "The text promises a prize.", "", 9.0),)
    common: dict[str, Any] = {"verdict": Verdict.SPAM, "reasons": reasons, "score": 9.0}
    seen = [
        gateway_saw(cast.acme, IT, observed_at=after(2), **common),
        mailbox_saw(cast.acme, IT, observed_at=after(3610), **common),
    ]
    whole = [line.text for line in tell(cast, *seen).lines]
    assert "For the reasons above." in whole
    with scope(cast):
        incident = Incident.objects.select_related("tenant").get()
        for most in range(2, len(whole)):
            monkeypatch.setattr(story, "MOST_LINES", most)
            texts = [line.text for line in tell_story(incident).lines]
            for n, text in enumerate(texts):
                if "reasons above" in text:
                    assert "promises a prize" in " ".join(texts[:n]), texts
