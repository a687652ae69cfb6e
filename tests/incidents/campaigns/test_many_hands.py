"""Laws of what people do with boundaries, in any order: words hold, and undoing all undoes all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from incidents.campaigns.ledger import standing
from incidents.campaigns.moving import message_ids_of
from incidents.campaigns.nightly import make_canonical
from incidents.models import Edge, Incident, IncidentMessage, Regrouping
from incidents.regroup import merge_incidents, move_messages, split_incident, undo_regrouping
from incidents.regroup_campaigns import join_campaign, leave_campaign
from incidents.services import assign_incident, resolve_incident
from incidents.services.comments import add_comment
from tenants.errors import DomainError
from tenants.models import Person, Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.incidents.campaigns.test_nightly import SENDERS, campaigns, take, threat

HANDS: tuple[dict[str, Any], ...] = (
    {"host": "evil.example", "sender": SENDERS[0]},
    {"host": "bad.example", "sender": SENDERS[1]},
)
WHY = "told us so"
lawful = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ACTS = ("merge", "split", "move", "leave", "join", "undo")
BESIDE = ("assign", "close", "comment")
# (what, which incident, which other, which of its mails)
steps = st.lists(
    st.tuples(st.sampled_from((*ACTS, *BESIDE)), *[st.integers(0, 9)] * 3), min_size=2, max_size=9
)


def some_threats(tenant: Tenant) -> None:
    """Six incidents of two hands: two of three mails each, the others of one."""
    for number in range(1, 11):
        seen = threat(tenant, number, **HANDS[number % 2], at=number)
        for one in seen:
            if number <= 6:
                one.mail["shingles"] = [at + 1000 * (number % 2) for at in range(64)]
        take(tenant, *seen)


def undo_latest(actor: Person) -> bool:
    done = Regrouping.objects.filter(undone_at=None).order_by("-id").first()
    if done is not None:
        undo_regrouping(done=done, actor=actor)
    return done is not None


def act(step: tuple[str, int, int, int], actor: Person) -> None:
    """What cannot be done is refused in words and changes nothing."""
    name, first, second, mail = step
    rows = list(
        Incident.objects.select_related("tenant", "campaign")
        .filter(merged_into=None)
        .order_by("number")
    )
    one, other = rows[first % len(rows)], rows[second % len(rows)]
    members = message_ids_of(one)
    some = members[: 1 + mail % max(1, len(members) - 1)]
    why: dict[str, Any] = {"actor": actor, "reason": WHY}
    acts: dict[str, Callable[[], Any]] = {
        "merge": lambda: merge_incidents(kept=one, gone=other, **why),
        "split": lambda: split_incident(incident=one, messages=some, **why),
        "move": lambda: move_messages(incident=one, target=other, messages=some, **why),
        "leave": lambda: leave_campaign(incident=one, **why),
        "join": lambda: join_campaign(incident=one, other=other, **why),
        "undo": lambda: undo_latest(actor),
        "assign": lambda: assign_incident(incident=one, actor=actor, owner=actor),
        "close": lambda: resolve_incident(
            incident=one, actor=actor, classification="true_positive", cause="Pulled"
        ),
        "comment": lambda: add_comment(incident=one, actor=actor, text="Seen."),
    }
    with suppress(DomainError), transaction.atomic():
        acts[name]()


def check_words() -> None:
    """Every word of a person that stands is true of incidents and campaigns as they are."""
    rows = IncidentMessage.objects.values_list("message_id", "incident_id", "incident__campaign_id")
    incident_of = {message: incident for message, incident, _ in rows}
    campaign_of = {message: campaign or incident for message, incident, campaign in rows}
    words = standing().filter(act__in=(Edge.Act.MUST, Edge.Act.CANNOT))
    for level, said, a, b in words.values_list("level", "act", "a_id", "b_id"):
        at = incident_of if level == Edge.Level.GROUP else campaign_of
        assert (at[a] == at[b]) is (said == Edge.Act.MUST), (level, said)


def as_it_stands(tenant: Tenant) -> Any:
    """Which mails are one incident, which one campaign, and why."""
    incidents: dict[Any, set[Any]] = {}
    for incident, message in IncidentMessage.objects.values_list("incident_id", "message_id"):
        incidents.setdefault(incident, set()).add(message)
    edges = standing().values_list("level", "act", "a", "b", "kind", "value", "who")
    together = {frozenset(mails) for mails in incidents.values()}
    return together, campaigns(tenant), sorted(edges, key=str)


def in_a_fresh_day(cast: Cast, check: Callable[[Tenant], None]) -> None:
    with transaction.atomic():
        with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
            some_threats(cast.acme)
            check(cast.acme)
        transaction.set_rollback(True)


# A mail that held its incident to a campaign goes to an incident that left one.
_TO_ANOTHER_CAMPAIGN = [
    *(("leave", 1, 0, 0), ("leave", 2, 0, 0), ("merge", 0, 4, 0)),
    *(("close", 1, 0, 0), ("close", 0, 0, 0), ("move", 0, 1, 0)),
]


@lawful
@given(steps)
@example(_TO_ANOTHER_CAMPAIGN)
def test_what_people_said_holds_after_whatever_else_they_do_and_after_the_night(
    cast: Cast, steps: list[Any]
):
    def check(acme: Tenant) -> None:
        for number, step in enumerate(steps):
            act(step, (cast.ana, cast.bo)[number % 2])
            check_words()
        take(acme, *threat(acme, 11, **HANDS[1], at=11))
        check_words()
        make_canonical(acme)
        check_words()
        assert IncidentMessage.objects.count() == 11

    in_a_fresh_day(cast, check)


@lawful
@given(steps)
@example(_TO_ANOTHER_CAMPAIGN)
def test_undoing_all_that_people_did_undoes_all_of_it(cast: Cast, steps: list[Any]):
    def check(acme: Tenant) -> None:
        before = as_it_stands(acme)
        for number, step in enumerate(steps):
            act(step, (cast.ana, cast.bo)[number % 2])
        while undo_latest(cast.ana):
            check_words()
        assert as_it_stands(acme) == before

    in_a_fresh_day(cast, check)
