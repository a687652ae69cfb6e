"""Laws of identity over generated mail: neither order nor repetition nor other clients change it.

Left out are mails that agree in everything that could tell them apart: for those the answer is
*ambiguous*, and tests/incidents/test_identity.py says what that means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incidents.models import Delivery, Observation, Sighting
from incidents.observations import Observation as Seen
from incidents.words import Place, Verdict
from tenants.models import Mailbox, Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw
from tests.incidents.identity_mails import AT, run_out_of_patience, take, ulid

# (whom it was written to, whose mailbox it lies in); the third is an alias of the first.
SEATS = (("info", "info"), ("it", "it"), ("hello", "info"), ("list", "ceo"))


@dataclass(frozen=True)
class Sent:
    """One mail, and who tells of it."""

    number: int
    message_id: str
    seats: tuple[tuple[str, str], ...]
    has_gateway: bool
    has_trace: bool
    verdict: Verdict
    moves: bool

    def seen(self, tenant: Tenant) -> list[Seen]:
        domain = f"@{tenant.slug}.example"
        common = {
            "internet_message_id": self.message_id,
            "fingerprint": f"{self.number:032d}",
            "mail": mail_json(subject=f"Mail {self.number}"),
        }
        found = []
        for to, whom in self.seats:
            if self.has_gateway:
                found.append(
                    gateway_saw(
                        tenant, to + domain, ulid=ulid(self.number), observed_at=AT, **common
                    )
                )
            item = f"{self.number}-{whom}"
            shown = mailbox_saw(
                tenant,
                whom + domain,
                item=item,
                observed_at=AT + timedelta(seconds=3),
                trace_state="valid" if self.has_trace else "missing",
                trace_ulid=ulid(self.number) if self.has_trace else "",
                verdict=self.verdict,
                **common,
            )
            found.append(shown)
            if self.moves:
                found.append(
                    replace(
                        shown,
                        observed_at=AT + timedelta(seconds=9),
                        place=Place.JUNK,
                        verdict=None,
                        mail={},
                    )
                )
        return found


sents = st.builds(
    Sent,
    number=st.just(0),
    message_id=st.sampled_from(["", "<own>", "<shared@x.example>"]),
    # One of the two names of a mailbox: written to both, it gets one copy.
    seats=st.lists(st.sampled_from(SEATS), min_size=1, max_size=3, unique_by=lambda s: s[1]).map(
        tuple
    ),
    has_gateway=st.booleans(),
    has_trace=st.booleans(),
    verdict=st.sampled_from([Verdict.CLEAN, Verdict.PHISH]),
    moves=st.booleans(),
)
worlds = st.lists(sents, min_size=1, max_size=4).map(
    lambda found: [
        replace(
            each,
            number=number,
            message_id=f"<{number}@x.example>" if each.message_id == "<own>" else each.message_id,
        )
        for number, each in enumerate(found, start=1)
    ]
)
seeds = st.integers(0, 2**32)
lawful = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@contextmanager
def a_fresh_day(tenant: Tenant) -> Iterator[None]:
    """Nothing that happens inside is kept."""
    with transaction.atomic():
        with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
            Mailbox.objects.filter(address__startswith="info@").update(
                aliases=[f"hello@{tenant.slug}.example"]
            )
            yield
        transaction.set_rollback(True)


def outcome(tenant: Tenant) -> set[tuple[object, ...]]:
    """What was found: which sights are of one copy, which copies of one mail, how sure, and where.

    Sights are named by their source's key and time, so that two runs can be compared.
    """
    names = {
        row.id: (row.source_key.replace(tenant.slug, "*"), row.observed_at)
        for row in Observation.objects.filter(tenant=tenant)
    }
    of_copy: dict[object, set[object]] = {}
    of_mail: dict[object, set[object]] = {}
    for sight in Sighting.objects.select_related("delivery").filter(tenant=tenant):
        of_copy.setdefault(sight.delivery_id, set()).add(names[sight.observation_id])
        of_mail.setdefault(sight.delivery.message_id, set()).add(names[sight.observation_id])
    return {
        (
            frozenset(of_copy[copy.id]),
            frozenset(of_mail[copy.message_id]),
            *(copy.match, copy.is_bypass, copy.place, copy.was_exposed),
            *(copy.gateway_verdict, copy.mailbox_verdict, copy.message.subject),
        )
        for copy in Delivery.objects.select_related("message").filter(tenant=tenant)
    }


def batched(seen: Sequence[Seen], chooser: Random) -> list[list[Seen]]:
    found: list[list[Seen]] = []
    rest = list(seen)
    while rest:
        size = chooser.randint(1, len(rest))
        found.append(rest[:size])
        rest = rest[size:]
    return found


def result_of(tenant: Tenant, batches: Sequence[list[Seen]]) -> set[tuple[object, ...]]:
    with a_fresh_day(tenant):
        take(tenant, *batches)
        run_out_of_patience(tenant)
        return outcome(tenant)


@lawful
@given(world=worlds, seed=seeds)
def test_neither_order_nor_batches_change_what_is_found(cast: Cast, world: list[Sent], seed: int):
    chooser = Random(seed)
    seen = [one for sent in world for one in sent.seen(cast.acme)]
    mixed = chooser.sample(seen, len(seen))
    assert result_of(cast.acme, [seen]) == result_of(cast.acme, batched(mixed, chooser))


@lawful
@given(world=worlds, seed=seeds)
def test_what_is_told_again_changes_nothing(cast: Cast, world: list[Sent], seed: int):
    chooser = Random(seed)
    seen = [one for sent in world for one in sent.seen(cast.acme)]
    again = [seen, *batched(chooser.sample(seen, len(seen)), chooser)]
    assert result_of(cast.acme, [seen]) == result_of(cast.acme, again)


@lawful
@given(world=worlds, seed=seeds)
def test_the_same_mail_at_another_client_changes_nothing(cast: Cast, world: list[Sent], seed: int):
    """Both get the same mails with the same ids and traces, told in turns."""
    chooser = Random(seed)
    seen = {one: [o for s in world for o in s.seen(one)] for one in (cast.acme, cast.globex)}
    alone = result_of(cast.acme, [seen[cast.acme]])
    with a_fresh_day(cast.acme), a_fresh_day(cast.globex):
        pairs = [(one, batch) for one in seen for batch in batched(seen[one], chooser)]
        for tenant, batch in chooser.sample(pairs, len(pairs)):
            take(tenant, batch)
        found = []
        for tenant in (cast.acme, cast.globex):
            run_out_of_patience(tenant)
            with tenant_scope(Role.WORKER, [tenant.id]):
                found.append(outcome(tenant))
    assert found[0] == alone == found[1]
