"""Queues in the API: what waits, by hop, an order for one and for all."""

from __future__ import annotations

from tests.console.api.caller import assert_problem


def test_what_waits_is_shown_with_what_can_be_done(mo, world):
    (item,) = mo.get("queues?tenant=acme").json()["results"]
    assert item["tenant"] == "acme"
    assert item["actions"] == ["retry", "hold", "remove"]
    assert mo.get("queues?tenant=acme&older=1").json()["results"] == []
    (hop,) = mo.get("queue-hops?tenant=acme").json()["results"]
    assert (hop["next_hop"], hop["count"]) == (item["next_hop"], 1)
    assert hop["reasons"] == [{"reason_kind": "other", "count": 1}]


def test_one_order_at_a_time_for_one_mail(mo, world):
    (item,) = mo.get("queues?tenant=acme").json()["results"]
    address = f"queues/{item['id']}/order"
    assert_problem(mo.post(address, {"action": "explode"}), 400, 422)
    assert_problem(mo.post(address, {"action": "remove"}), 400)
    ordered = mo.post(address, {"action": "retry"})
    assert ordered.status_code == 202
    assert (ordered.json()["kind"], ordered.json()["ok"]) == ("q_retry", None)
    assert_problem(mo.post(address, {"action": "hold", "reason": "Look"}), 409)


def test_all_of_a_client_are_ordered_watched_and_stopped(mo, world):
    chosen = {"tenant": "globex", "action": "hold"}
    foreseen = mo.post("queue-orders/foresee", chosen).json()
    assert foreseen == {"mails": 1, "copies": 1, "also": 0, "left_out": 0}
    batch = mo.post("queue-orders", {**chosen, "reason": "Being looked into", "counted": 1})
    assert batch.status_code == 202
    shown = mo.get(f"queue-orders/{batch.json()['id']}").json()
    assert (shown["total"], shown["waiting"], shown["by"]) == (1, 1, "Mo")
    stopped = mo.post(f"queue-orders/{shown['id']}/stop").json()
    assert (stopped["waiting"], stopped["failed"], stopped["stopped"]) == (0, 1, 1)
    assert_problem(mo.post(f"queue-orders/{shown['id']}/stop"), 409)
