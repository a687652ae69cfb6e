"""One order for a whole list: counted before, done by commands, watched, stopped, in the log."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from seg_bridge.commands import Acknowledgement, acknowledge, unacknowledged
from seg_bridge.models import GateCommand
from seg_bridge.queues import together
from seg_bridge.snapshot import KnownGate
from tenants.models import AuditEntry
from tenants.scope import Role, tenant_scope
from tests.console.test_queues import wait
from tests.console.test_work_pages import browser
from tests.incidents.work_on import staff
from tests.seg_bridge.conftest import make_gate

pytestmark = pytest.mark.usefixtures("no_broker")

HOP = "mail.acme.example:25"


@pytest.fixture
def mx1(cast):
    return make_gate(cast, cast.acme, cast.globex).row


@pytest.fixture
def waiting(cast, mx1):
    """Three mails of Acme's for one hop (one of them for two recipients), one of Globex's."""
    with staff(cast):
        wait(cast.acme, mx1, 1)
        wait(cast.acme, mx1, 2, where="hold")
        wait(cast.acme, mx1, 3)
        wait(cast.acme, mx1, 4, queue_id="4F1C3", next_hop="other.acme.example:25")
        wait(cast.globex, mx1, 5, sender="", may_return=False)


def known(cast, gate) -> KnownGate:
    clients = (cast.acme.id, cast.globex.id)
    return KnownGate(gate.id, cast.provider.id, gate.name, gate.hostname, b"", clients)


def ordered(cast) -> dict[str, str]:
    with staff(cast):
        return dict(GateCommand.objects.values_list("queue_id", "kind"))


@pytest.mark.parametrize(
    ("action", "query", "mails", "words"),
    [
        ("retry", {}, {"4F1C1", "4F1C3", "4F1C5"}, "1 more cannot be treated so"),
        ("free", {}, {"4F1C2"}, "3 more cannot be treated so"),
        ("return", {}, {"4F1C1", "4F1C2", "4F1C3"}, "1 more cannot be treated so"),
        ("remove", {"hop": HOP}, {"4F1C1", "4F1C2", "4F1C3"}, "holds for 1 more copy"),
        ("hold", {"client": "globex"}, {"4F1C5"}, "<b>1</b> mail for 1 recipient"),
    ],
)
def test_what_is_counted_before_is_what_is_ordered(cast, waiting, action, query, mails, words):
    ana = browser(cast.ana)
    address = reverse("queue_order_all", args=[action])
    asked = ana.get(address, query).content.decode()
    assert words in asked
    counted = re.search(r'name="counted" value="(\d+)"', asked)
    assert counted is not None
    assert int(counted[1]) == len(mails)
    link = f"{address}?{'&'.join(f'{name}={value}' for name, value in query.items())}"
    answer = ana.post(link, {"counted": counted[1], "reason": "The host is back"})
    assert answer.status_code == 302
    assert set(ordered(cast)) == mails
    assert set(ordered(cast).values()) == {f"q_{action}"}
    assert f'href="{answer["Location"]}"' in ana.get(reverse("queues")).content.decode()
    page = ana.get(answer["Location"]).content.decode()
    assert f"<dt>Still to do</dt><dd>{len(mails)}</dd>" in page


def test_more_than_was_seen_is_not_ordered_and_nor_is_what_needs_a_reason(cast, waiting):
    ana = browser(cast.ana)
    address = reverse("queue_order_all", args=["remove"])
    assert ana.post(address, {"counted": "4", "reason": " "}).status_code == 400
    refused = ana.post(address, {"counted": "3", "reason": "Spam wave"})
    assert refused.status_code == 409
    assert "4 mails wait by now, and you have seen 3" in refused.content.decode()
    assert not ordered(cast)


def test_an_analyst_orders_for_her_clients_and_sees_her_part(cast, waiting):
    bo, ana = browser(cast.bo), browser(cast.ana)
    address = reverse("queue_order_all", args=["retry"])
    assert "Globex" not in bo.get(address).content.decode()
    batch = ana.post(address, {"counted": "3", "reason": ""})["Location"]
    assert "<dt>Still to do</dt><dd>2</dd>" in bo.get(batch).content.decode()
    assert bo.post(f"{batch}/stop").status_code == 302
    with staff(cast):
        stopped = set(GateCommand.objects.exclude(stopped_by="").values_list("queue_id", flat=True))
        assert stopped == {"4F1C1", "4F1C3"}, "Globex's goes on"
    other = ana.post(reverse("queue_order_all", args=["hold"]) + "?client=globex", {"counted": "1"})
    assert other.status_code == 400, "an order for it is on its way, and it needs a reason"


def test_every_client_has_its_own_entry_in_the_log(cast, waiting):
    browser(cast.ana).post(
        reverse("queue_order_all", args=["return"]), {"counted": "3", "reason": "Host is gone"}
    )
    with staff(cast):
        (entry,) = AuditEntry.objects.filter(action=together.ORDERED_MANY)
        assert (entry.tenant_id, entry.detail["mails"]) == (cast.acme.id, 3)
        assert entry.reason == "Host is gone"
        assert entry.detail["ordered"] == "return"


def test_a_stop_holds_until_the_gate_says_otherwise(cast, waiting, mx1):
    ana = browser(cast.ana)
    batch = ana.post(reverse("queue_order_all", args=["retry"]), {"counted": "3", "reason": ""})
    ana.post(batch["Location"] + "/stop")
    assert ana.post(batch["Location"] + "/stop").status_code == 409
    page = ana.get(batch["Location"]).content.decode()
    assert "<dt>Not done</dt><dd>3, 3 of them stopped</dd>" in page
    assert "hx-trigger" not in page.split('id="progress"')[1].split(">")[0], "it is over"
    gate = known(cast, mx1)
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        assert unacknowledged(gate, after=None) == []
        one = GateCommand.objects.get(queue_id="4F1C1")
        told = Acknowledgement(one.id, True, "tried again", timezone.now())
        assert acknowledge(gate, told)
        assert not acknowledge(gate, told), "its first word counts"
    page = ana.get(batch["Location"]).content.decode()
    assert "<dt>Done</dt><dd>1</dd>" in page


def test_a_release_does_not_wait_behind_a_batch(cast, waiting, mx1, monkeypatch):
    browser(cast.ana).post(
        reverse("queue_order_all", args=["retry"]), {"counted": "3", "reason": ""}
    )
    monkeypatch.setattr("seg_bridge.commands.MAX_OFFERED", 2)
    gate = known(cast, mx1)
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        GateCommand.objects.create(
            tenant=cast.acme, gate=mx1, seq=9_000_000, kind="release", trace_ulid="X"
        )
        offered = [each["kind"] for each in unacknowledged(gate, after=None)]
        assert offered == ["q_retry", "release"]


def test_too_much_at_once_is_refused(cast, waiting, monkeypatch):
    monkeypatch.setattr(together, "MOST_ORDERED", 3)
    answer = browser(cast.ana).get(reverse("queue_order_all", args=["retry"]))
    assert answer.status_code == 400
    assert "At most 3 copies at once" in answer.content.decode()
