"""Actions are exact: at most one effect, seen with our own eyes, and undone to the letter."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from api_bridge.connectors import Action, ActionRecord, Result
from api_bridge.errors import RateLimited, Temporary
from incidents.words import Place


@pytest.fixture
def ref(company, connector):
    """One mail in Ana's inbox."""
    message_id = company.receive("ana")
    (found,) = connector.find(company.ids["ana"], message_id)
    return found


def fault(company, kind, **more):
    company.cloud.admin("POST", "faults", {"kind": kind, **more}, 201)


def folders(company, name="ana"):
    seen = company.cloud.admin("GET", f"mailboxes/{company.mail(name)}")["folders"]
    return {folder["name"]: folder for folder in seen}


def copies(company, name="ana"):
    return [mail for folder in folders(company, name).values() for mail in folder["messages"]]


def test_quarantine_moves_to_a_hidden_folder_and_keeps_the_id(company, connector, ref):
    seen = connector.act(connector.prepare(ref, Action.QUARANTINE, "k1"))
    assert (seen.result, seen.state.place) == (Result.DONE, Place.QUARANTINE)
    folder = folders(company)["Bailey Quarantine"]
    assert folder["hidden"] is True
    assert len(folder["messages"]) == 1
    assert len(copies(company)) == 1
    assert connector.read_state(ref).place is Place.QUARANTINE


@pytest.mark.parametrize(
    ("action", "place"), [(Action.JUNK, Place.JUNK), (Action.DELETE, Place.DELETED)]
)
def test_other_actions_put_it_where_they_say(connector, ref, action, place):
    assert connector.act(connector.prepare(ref, action, "k")).state.place is place
    back = connector.prepare(ref, Action.RESTORE, "k2")
    assert connector.act(back).state.place is Place.INBOX


def test_acting_twice_is_acting_once(company, connector, ref):
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    assert connector.act(record).result is Result.DONE
    assert connector.act(record).result is Result.ALREADY
    assert len(copies(company)) == 1


def test_two_workers_make_one_quarantine_folder(company, connector, connect, ref):
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    other_ref = connector.find(company.ids["ana"], company.receive("ana"))[0]
    connector.act(record)
    other = connect(company)
    assert other.act(other.prepare(other_ref, Action.QUARANTINE, "k2")).result is Result.DONE
    assert len(folders(company)["Bailey Quarantine"]["messages"]) == 2


def test_a_copy_that_is_gone_is_gone(company, connector, ref):
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    company.post(f"users/{ref.mailbox_id}/messages/{ref.item_id}/permanentDelete", {}, 204)
    assert connector.act(record).result is Result.GONE
    assert connector.undo(record).result is Result.GONE
    assert connector.read_state(ref).place is Place.GONE


def test_a_copy_that_changed_since_its_record_needs_a_new_one(company, connector, ref):
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    connector.act(connector.prepare(ref, Action.JUNK, "user"))
    seen = connector.act(record)
    assert (seen.result, seen.state.place) == (Result.STALE, Place.JUNK)
    assert connector.act(connector.prepare(ref, Action.QUARANTINE, "k")).result is Result.DONE


def test_a_lost_answer_after_the_move_is_settled_by_reading(company, connector, ref):
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    fault(company, "drop_after_commit", match="/move")
    assert connector.act(record).result is Result.DONE
    assert len(copies(company)) == 1


def test_a_lost_answer_before_the_move_is_unknown_and_never_repeated_blindly(
    company, connector, ref
):
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    fault(company, "drop_before_commit", match="/move")
    seen = connector.act(record)
    assert (seen.result, seen.state.place) == (Result.UNKNOWN, Place.INBOX)
    assert connector.act(record).result is Result.DONE


def test_a_move_that_lies_is_caught(company, connector, ref):
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    fault(company, "lying_move")
    seen = connector.act(record)
    assert (seen.result, seen.state.place) == (Result.NOT_DONE, Place.INBOX)


def test_a_mail_that_comes_back_is_seen_by_a_second_reading(company, connector, ref):
    fault(company, "move_back", seconds=0.3)
    connector.act(connector.prepare(ref, Action.QUARANTINE, "k"))
    time.sleep(0.6)
    assert connector.read_states([ref])[0].place is Place.INBOX


def test_reading_back_that_fails_says_unknown(company, connector, ref):
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    connector.act(replace(record, action=Action.JUNK))
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    fault(company, "drop_after_commit", match="/move")
    # Reading before the move works, every reading after it fails.
    real, calls = connector._remediation.read_state, []

    def read(ref, **options):
        calls.append(ref)
        if len(calls) > 1:
            raise Temporary("down")
        return real(ref, **options)

    connector._remediation.read_state = read
    seen = connector.act(record)
    assert (seen.result, seen.state) == (Result.UNKNOWN, None)
    connector._remediation.read_state = real
    assert connector.act(record).result is Result.ALREADY


def test_a_429_on_the_move_is_waited_out(company, connector, ref):
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    fault(company, "status_429", match="/move", seconds=1)
    assert connector.act(record).result is Result.DONE


def test_a_long_429_is_raised_because_surely_nothing_was_done(company, connector, ref):
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    fault(company, "status_429", match="/move", seconds=600)
    with pytest.raises(RateLimited):
        connector.act(record)


def test_a_quarantine_folder_that_was_deleted_counts_as_deleted_and_is_made_anew(
    company, connector, connect, ref
):
    connector.act(connector.prepare(ref, Action.QUARANTINE, "k"))
    folder = folders(company)["Bailey Quarantine"]["id"]
    answer = company.graph.delete(f"users/{ref.mailbox_id}/mailFolders/{folder}")
    assert answer.status_code == 204
    later = connect(company)
    assert later.read_state(ref).place is Place.DELETED
    seen = later.act(later.prepare(ref, Action.QUARANTINE, "k2"))
    assert (seen.result, seen.state.place) == (Result.DONE, Place.QUARANTINE)
    assert seen.state.folder_id != folder


@pytest.mark.parametrize("action", [Action.QUARANTINE, Action.JUNK, Action.DELETE])
def test_undo_brings_back_folder_flags_and_content(company, connector, ref, action):
    address = f"users/{ref.mailbox_id}/messages/{ref.item_id}"
    company.graph.patch(
        address, json={"isRead": True, "categories": ["Red", "Acme"], "importance": "high"}
    ).raise_for_status()
    own = company.post(f"users/{ref.mailbox_id}/mailFolders", {"displayName": "Projects"})
    company.post(f"{address}/move", {"destinationId": own["id"]})
    record = connector.prepare(ref, action, "k")
    raw = connector.fetch(ref).raw
    connector.act(record)
    company.graph.patch(address, json={"isRead": False, "categories": []}).raise_for_status()
    stored = ActionRecord.from_json(json.loads(json.dumps(record.as_json())))
    seen = connector.undo(stored)
    assert (seen.result, seen.detail) == (Result.DONE, "")
    assert seen.state == record.before
    assert seen.state.folder_id == own["id"]
    assert connector.fetch(ref).raw == raw
    assert connector.undo(stored).result is Result.ALREADY


def test_undo_into_a_folder_that_is_gone_uses_the_inbox_and_says_so(company, connector, ref):
    own = company.post(f"users/{ref.mailbox_id}/mailFolders", {"displayName": "Old"})
    address = f"users/{ref.mailbox_id}/messages/{ref.item_id}"
    company.post(f"{address}/move", {"destinationId": own["id"]})
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    connector.act(record)
    company.graph.delete(f"users/{ref.mailbox_id}/mailFolders/{own['id']}").raise_for_status()
    seen = connector.undo(record)
    assert (seen.result, seen.state.place) == (Result.DONE, Place.INBOX)
    assert "no longer exists" in seen.detail


@pytest.mark.parametrize("kind", ["drop_after_commit", "drop_before_commit"])
def test_undo_survives_a_lost_answer(company, connector, ref, kind):
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    connector.act(record)
    fault(company, kind, match="/move")
    first = connector.undo(record)
    assert first.result in (Result.DONE, Result.UNKNOWN)
    connector.undo(record)
    assert connector.read_state(ref).place is Place.INBOX
    assert len(copies(company)) == 1


def test_push_is_ordered_kept_renewed_and_ended(company, connector, hook):
    ana = company.ids["ana"]
    order = {"notification_url": hook.url, "client_state": "secret-state"}
    first = connector.ensure_push(ana, current=None, **order)
    assert connector.ensure_push(ana, current=first, **order) == first
    soon = replace(first, expires_at=datetime.now(UTC) + timedelta(hours=1))
    renewed = connector.ensure_push(ana, current=soon, **order)
    assert (renewed.id, renewed.expires_at > soon.expires_at) == (first.id, True)
    assert [push.id for push in connector.pushes()] == [first.id]
    connector.end_push(first.id)
    connector.end_push(first.id)
    again = connector.ensure_push(ana, current=replace(soon), **order)
    assert again.id != first.id
    company.receive("ana")
    assert hook.wait()["value"][0]["clientState"] == "secret-state"
