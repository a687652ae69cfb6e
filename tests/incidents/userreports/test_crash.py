"""Reports of people, by workers that are killed at every commit in turn."""

from __future__ import annotations

from collections import Counter

from incidents.intake import record
from incidents.models import Observation, UserReport
from incidents.services import resolve_incident
from incidents.userreports.placing import incident_of
from tenants.models import OutgoingMail
from tests.crash.worker import check_passed, crash_at_each, serve
from tests.factories import Cast, gateway_saw, mail_json
from tests.incidents.userreports.mails import come, lure, more_people, report, worker


def test_a_report_is_placed_and_answered_once(cast: Cast):
    """Each time one comes in, intake has made sense of the one before, and a person has resolved
    the incident of the one before that.
    """
    acme, people = cast.acme, more_people(cast.acme, 30)
    begun: list[UserReport] = []

    def begin() -> None:
        number, whom = len(begun), people[len(begun)]
        host = f"evil{number}.example"
        sender = {"address": f"eve@{host}", "name": "Eve", "raw": ""}
        seen = gateway_saw(
            acme,
            whom,
            ulid=f"01J{number:023d}",
            internet_message_id=f"<1@{host}>",
            fingerprint=f"{number:064x}",
            mail=mail_json(subject=f"{number} " * 5, sender=sender, from_all=[sender]),
        )
        with worker(acme):
            record([seen])
            if len(begun) > 1:
                incident = incident_of(UserReport.objects.get(id=begun[-2].id))
                assert incident is not None
                resolve_incident(
                    incident=incident,
                    actor=cast.ana,
                    classification="true_positive",
                    cause="Looked at it.",
                )
        serve("intake")
        begun.extend(come(acme, report(whom, lure(whom).replace(b"evil.example", host.encode()))))

    def check(died_at: str) -> None:
        with worker(acme):
            reports = UserReport.objects.filter(owes_outcome=False, receipt_at__isnull=False)
            states = Counter(reports.values_list("state", flat=True))
            assert states == +Counter({"said": 1, "placed": len(begun) - 1}), died_at
            words = Observation.objects.filter(source__startswith="report:")
            assert words.count() == len(begun), died_at
            sent = Counter(OutgoingMail.objects.values_list("kind", "to_address"))
        assert set(sent.values()) == {1}, died_at
        kinds = Counter(kind for kind, _ in sent)
        assert kinds == +Counter({"receipt": len(begun), "outcome": len(begun) - 2}), died_at

    places = crash_at_each(begin, lambda: serve("reported"), check, only="incidents.")
    check_passed(places, "incidents.userreports.placing", reads={"serve_reported"})
