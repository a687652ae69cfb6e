"""The story of a shared incident, and why a layer is blind, in the language of who reads it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.utils.translation import override

from api_bridge.models import Connection
from console.queries.story import story_of
from incidents.layers import blind_layers
from incidents.models import ContentAccess, Delivery, Incident
from incidents.observations import Observation
from incidents.remediation import pull_incident
from incidents.services import share_incident
from incidents.words import Layer, Outcome, Place, Verdict
from tenants.scope import Role, tenant_scope
from tests import catalogues
from tests.factories import Cast, gateway_saw, mailbox_saw
from tests.incidents.test_story import INFO, IT, after, analyst, cfo, fraud, scope, tell

__all__ = ["cfo"]
LANGUAGES = pytest.mark.parametrize("language", ["de", "fr"])
# What a mailbox, a vendor and a person can say of it: together every sentence of a story's lines.
SIGHTS: list[dict[str, Any]] = [
    {"source": "check", "place": Place.JUNK, "at": 30},
    {"source": "check", "place": Place.JUNK, "at": 40},
    {"place": Place.OTHER, "at": 50},
    {"is_read": True, "place": Place.OTHER, "at": 60},
    {"layer": Layer.PERSON, "verdict": Verdict.PHISH, "at": 70},
    {"layer": Layer.PERSON, "at": 80},
    {"layer": Layer.PERSON, "verdict": Verdict.BEC, "detail": {"person": "Ana"}, "at": 90},
    {"layer": Layer.VENDOR, "verdict": Verdict.SPAM, "confidence": 0.9, "at": 100},
    {"source": "check", "place": Place.QUARANTINE, "at": 110},
    {"source": "check", "place": Place.QUARANTINE, "at": 400},
    {"place": Place.GONE, "at": 500},
]


def _seen(cast: Cast, n: int, *, at: int, source: str = "graph", **facts: Any) -> Observation:
    empty: dict[str, Any] = {"verdict": None, "score": None, "confidence": None, "mail": {}}
    return mailbox_saw(
        cast.acme,
        IT,
        item="i1",
        source=source,
        source_key=f"n{n}",
        observed_at=after(at),
        **empty | facts,
    )


@pytest.fixture
def shared(cfo: Cast) -> Incident:
    """A fraud of which everything happened that a story can tell a client."""
    cast = cfo
    later = [_seen(cast, n, **facts) for n, facts in enumerate(SIGHTS)]
    for n, action in enumerate((Outcome.HELD, Outcome.DELIVERED, Outcome.REJECTED)):
        later.append(
            gateway_saw(
                cast.acme,
                "cfo@acme.example",
                observed_at=after(2 + n),
                source_key=f"g{n}",
                action=action,
                mail={},
                verdict=Verdict.BEC if n == 0 else None,
            )
        )
    tell(cast, *fraud(cast), *later)
    with analyst(cast):
        incident = Incident.objects.select_related("tenant").get()
        copy = Delivery.objects.get(recipient=INFO)
        pull_incident(incident=incident, actor=cast.ana, reason="It is fraud")
        share_incident(incident=incident, actor=cast.ana)
        Delivery.objects.filter(id=copy.id).update(
            replied_at=after(420), forwarded_at=after(430), is_read=True
        )
        for what in ContentAccess.What.values:
            ContentAccess.objects.create(
                tenant=cast.acme,
                message_id=copy.message_id,
                person_id=cast.ana.id,
                person_name="Ana",
                what=what,
                reason="The client asked",
            )
        Connection.objects.create(tenant=cast.acme, blind_since=after(0), state="needs_consent")
    return incident


def _told(cast: Cast, incident: Incident, language: str):
    with tenant_scope(Role.PORTAL, [cast.acme.id]), override(language):
        story = story_of(
            Incident.objects.select_related("tenant").get(id=incident.id), is_plain=True
        )
        return story, [f"{event.who}: {event.lead}" for event in story.events]


@LANGUAGES
def test_no_line_of_the_story_stays_english(cfo: Cast, shared: Incident, language: str):
    english, lines = _told(cfo, shared, "en")
    story, _ = _told(cfo, shared, language)
    assert len(lines) > 18, lines
    assert [
        event.lead for event in story.events if event.lead in {e.lead for e in english.events}
    ] == []
    assert story.headline != english.headline
    parts = re.split(r"(?<=[.;]) ", english.headline)
    assert [part for part in parts if part in story.headline] == []
    assert set(story.not_checked).isdisjoint(english.not_checked)
    assert [event.tone for event in story.events] == [event.tone for event in english.events]


def test_the_story_in_german(cfo: Cast, shared: Incident):
    story, told = _told(cfo, shared, "de")
    assert story.headline.startswith("Betrug im Namen von CFO bei Acme. ")
    assert (
        "Absender: “Karla Berg” schrieb von cfo@acrne.example (ähnlich wie acme.example)." in told
    )
    assert "Postfach: Als Betrug eingestuft" in told, "a client reads no score"
    assert any(line.startswith("Postfach: Nachgelesen: nicht mehr in ") for line in told), told
    assert any(line.startswith("Maßnahme: Ana entfernt gerade") for line in told)
    assert "Person: info@acme.example hat geantwortet." in told or any(
        "hat geantwortet." in line for line in told
    )
    assert any(
        gap.startswith("Die Postfachschicht sieht seit") and gap.endswith("Die Zustimmung fehlt.")
        for gap in story.not_checked
    )


@pytest.mark.parametrize("state", ["active", "needs_consent", "credentials_expired", "gone"])
def test_why_a_layer_is_blind_is_said_in_the_language(cast: Cast, state: str):
    with scope(cast):
        Connection.objects.create(tenant=cast.acme, blind_since=after(0), state=state)
    said = {}
    for language in ("en", "de", "fr"):
        with tenant_scope(Role.PORTAL, [cast.acme.id]), override(language):
            [blind] = blind_layers(cast.acme.id)
            said[language] = {blind.name, blind.why, blind.sentence}
    assert said["en"].isdisjoint(said["de"])
    assert said["en"].isdisjoint(said["fr"])


@LANGUAGES
def test_what_is_filled_in_later_is_in_every_translation(language: str):
    """``{where}`` and ``{who}`` are put in after the sentence was translated."""
    for each in catalogues.read(language):
        if isinstance(each.id, str) and "{" in each.id:
            named = [sorted(re.findall(r"{(\w+)}", str(text))) for text in (each.id, each.string)]
            assert named[0] == named[1], each.id
