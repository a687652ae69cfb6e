"""The Google connector against the sandbox: cursors, batches, exact actions, settings, scopes."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from api_bridge.connectors import Action, ActionRecord, Connection, Ref, Result, Runtime
from api_bridge.connectors.google import GoogleConnector, changes, fetch
from api_bridge.connectors.google import tokens as scopes
from api_bridge.connectors.google.mapping import item_of, rule_of, verdicts_of
from api_bridge.connectors.google.verify import check_scopes
from api_bridge.errors import AccessDenied, AuthExpired, NotFound, RateLimited, Rejected, Temporary
from api_bridge.limits import LocalLimits
from incidents.words import Place, Verdict
from tests.api_bridge.sandbox.running import SandboxProcess
from tests.api_bridge.sandbox.workspace import GRANTED, HEAD, Workspace

EARLIER = timedelta(hours=1)


@pytest.fixture
def workspace(cloud: SandboxProcess) -> Iterator[Workspace]:
    made = Workspace(cloud)
    yield made
    made.close()
    cloud.admin("DELETE", "faults", status=204)


def wired(workspace: Workspace, **settings: str) -> Connection:
    return Connection(
        kind="google",
        cloud_tenant_id=workspace.customer_id.lower(),
        client_id=workspace.account["client_id"],
        client_secret=workspace.key_json,
        authority_url=workspace.cloud.https,
        api_url=workspace.cloud.https,
        ca_file=str(workspace.cloud.ca),
        settings=tuple(sorted({"admin": workspace.admin, **settings}.items())),
    )


def runtime(workspace: Workspace) -> Runtime:
    hosts = {workspace.cloud.addresses["https"]}
    return Runtime(limits=LocalLimits(wait_s=5), allowed_hosts=hosts)


@pytest.fixture
def connector(workspace: Workspace) -> Iterator[GoogleConnector]:
    with closing(GoogleConnector(wired(workspace), runtime(workspace))) as made:
        yield made


@pytest.fixture
def ana(workspace: Workspace) -> str:
    return workspace.mail("ana")


def fault(workspace, kind, **more):
    workspace.cloud.admin("POST", "faults", {"kind": kind, **more}, 201)


def walk(connector, mailbox, cursor, since=None):
    """All pages: ids in their order, the last cursor, and how often it began again."""
    found, restarts = [], 0
    for _ in range(60):
        page = connector.changes(mailbox, cursor, since=since)
        found += [item.ref.item_id for item in page.items]
        cursor, restarts = page.cursor, restarts + page.restarted
        if not page.more:
            return found, cursor, restarts
    raise AssertionError("the walk does not end")


def test_people_are_mailboxes_by_their_address(workspace, connector):
    listed = {mailbox.id: mailbox for mailbox in connector.list_mailboxes()}
    assert set(listed) == {workspace.mail(name) for name in workspace.names}
    assert listed[workspace.mail("ana")].job_title == "Tester"
    assert connector.probe(workspace.mail("ana")).value == "active"
    assert connector.probe(f"nobody@{workspace.domain}").value == "no_mailbox"


def test_another_customers_directory_is_refused(workspace):
    foreign = replace(wired(workspace), cloud_tenant_id="c0other00")
    with (
        closing(GoogleConnector(foreign, runtime(workspace))) as connector,
        pytest.raises(AuthExpired) as caught,
    ):
        list(connector.list_mailboxes())
    assert caught.value.code == "tenant_gone"


def test_a_new_mailbox_is_listed_since_a_time_and_then_by_history(workspace, connector, ana):
    first = workspace.receive("ana")
    found, cursor, _ = walk(connector, ana, "", datetime.now(UTC) - EARLIER)
    assert found == [ref.item_id for ref in connector.find(ana, first)]
    assert walk(connector, ana, cursor) == ([], cursor, 0)
    second = workspace.receive("ana", subject="Zweite")
    (item,) = connector.changes(ana, cursor).items
    assert (item.internet_message_id, item.subject, item.place) == (second, "Zweite", Place.INBOX)
    assert b"Subject: Zweite" in item.raw
    assert not item.is_partial


def test_the_cursor_of_an_idle_mailbox_does_not_grow_old(workspace, connector, ana):
    """Trap 2: out of the profile, not out of the newest mail; a lost one is found again once."""
    _, cursor, _ = walk(connector, ana, "")
    fault(workspace, "expired_history", match=ana)
    found, cursor, restarts = walk(connector, ana, cursor, datetime.now(UTC) - EARLIER)
    assert (found, restarts) == ([], 1)
    assert walk(connector, ana, cursor) == ([], cursor, 0)


def test_an_expired_history_is_made_good_by_a_bounded_listing(workspace, connector, ana):
    """Trap 1: what came while nobody looked is listed, and each mail once in the end."""
    workspace.receive("ana")
    _, cursor, _ = walk(connector, ana, "", datetime.now(UTC) - EARLIER)
    missed = [workspace.receive("ana") for _ in range(3)]
    fault(workspace, "expired_history", match=ana)
    found, cursor, restarts = walk(connector, ana, cursor, datetime.now(UTC) - EARLIER)
    assert restarts == 1
    assert {ref.item_id for each in missed for ref in connector.find(ana, each)} <= set(found)
    assert len(found) == len(set(found)) == 4
    assert walk(connector, ana, cursor)[0] == []


def test_an_empty_page_with_a_next_one_is_not_the_end(workspace, connector, ana, monkeypatch):
    """Trap 3: pages of one change each; those of purged mail have no ``history`` at all."""
    monkeypatch.setattr(changes, "HISTORY_PAGE", 1)
    _, cursor, _ = walk(connector, ana, "")
    gone = workspace.receive("ana")
    kept = workspace.receive("ana")
    (ref,) = connector.find(ana, gone)
    workspace.delegate(*GRANTED, "https://mail.google.com/")
    token = workspace.token_for(ana, "https://mail.google.com/")
    workspace.cloud.client.delete(
        f"{workspace.cloud.http}/gmail/v1/users/me/messages/{ref.item_id}",
        headers={"authorization": f"Bearer {token}"},
    ).raise_for_status()
    page = connector.changes(ana, cursor)
    assert (page.items, page.more) == ((), True)
    last = workspace.receive("ana")
    found, _, _ = walk(connector, ana, cursor)
    assert found == [connector.find(ana, each)[0].item_id for each in (kept, last)]


def test_a_page_that_repeats_its_link_begins_again(workspace, connector, ana, monkeypatch):
    monkeypatch.setattr(changes, "HISTORY_PAGE", 1)
    _, cursor, _ = walk(connector, ana, "")
    sent = [workspace.receive("ana") for _ in range(3)]
    fault(workspace, "repeated_link", match=f"{ana}/history")
    found, _, restarts = walk(connector, ana, cursor)
    assert restarts == 1
    assert set(found) == {connector.find(ana, each)[0].item_id for each in sent}


def test_labels_that_change_are_told_without_the_mail(workspace, connector, ana):
    """Trap 4: added and changed in one page is one item; a change alone is a summary."""
    _, cursor, _ = walk(connector, ana, "")
    message_id = workspace.receive("ana")
    (ref,) = connector.find(ana, message_id)
    path = f"messages/{ref.item_id}/modify"
    workspace.gmail("ana", "POST", path, json={"addLabelIds": ["STARRED"]})
    page = connector.changes(ana, cursor)
    assert [bool(item.raw) for item in page.items] == [True]
    workspace.gmail("ana", "POST", path, json={"removeLabelIds": ["UNREAD", "INBOX"]})
    (item,) = connector.changes(ana, page.cursor).items
    assert (item.raw, item.is_partial) == (b"", True)
    assert (item.is_read, item.place, item.internet_message_id) == (
        True, Place.ARCHIVE, message_id,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["status_500", "status_503"])
def test_a_mail_that_cannot_be_had_does_not_stop_its_mailbox(workspace, connector, ana, kind):
    """Trap 10: the others come, and it is an item that is tried, counted and given up."""
    connector._client._sleep = lambda seconds: None
    _, cursor, _ = walk(connector, ana, "")
    poison, good = workspace.receive("ana"), workspace.receive("ana")
    (bad,) = connector.find(ana, poison)
    fault(workspace, kind, match=bad.item_id, count=20, seconds=0)
    page = connector.changes(ana, cursor)
    assert {item.ref.item_id: item.internet_message_id for item in page.items} == {
        bad.item_id: "", connector.find(ana, good)[0].item_id: good,
    }  # fmt: skip
    assert isinstance(connector.fetch_many([bad])[0], Temporary)


@pytest.mark.parametrize("kind", ["status_500", "status_503"])
def test_labels_that_cannot_be_had_are_no_place(workspace, connector, ana, kind):
    """Of known mail that only changed its labels nothing is told rather than that it is nowhere."""
    connector._client._sleep = lambda seconds: None
    known, other = (connector.find(ana, workspace.receive("ana"))[0] for _ in range(2))
    _, cursor, _ = walk(connector, ana, "")
    for ref in (known, other):
        path = f"messages/{ref.item_id}/modify"
        workspace.gmail("ana", "POST", path, json={"removeLabelIds": ["UNREAD"]})
    fault(workspace, kind, match=known.item_id, count=20, seconds=0)
    page = connector.changes(ana, cursor)
    assert [item.ref for item in page.items] == [other]
    assert page.skipped == 1


def test_pages_that_would_be_too_many_bytes_become_summaries(
    workspace, connector, ana, monkeypatch
):
    monkeypatch.setattr(fetch, "RAW_PAGE_BYTES", 1)
    monkeypatch.setattr(fetch, "AT_ONCE", 1)
    _, cursor, _ = walk(connector, ana, "")
    sent = [workspace.receive("ana") for _ in range(3)]
    items = connector.changes(ana, cursor).items
    assert sorted(bool(item.raw) for item in items) == [False, False, True]
    assert {item.internet_message_id for item in items} == set(sent)
    refs = [item.ref for item in items]
    assert all(b"Good morning" in each.raw for each in connector.fetch_many(refs))


def test_the_newest_of_several_mailboxes_come_in_few_calls(workspace, connector):
    sent = {name: workspace.receive(name) for name in ("ana", "bo")}
    since = datetime.now(UTC) - EARLIER
    wanted = [(workspace.mail(name), since) for name in ("ana", "bo", "cfo")]
    pages = connector.newest_many([*wanted, (f"no@{workspace.domain}", since)])
    assert [[item.internet_message_id for item in page.items] for page in pages[:3]] == [
        [sent["ana"]], [sent["bo"]], [],
    ]  # fmt: skip
    assert isinstance(pages[3], NotFound)


def test_find_and_read_many(workspace, connector, ana):
    first, second = workspace.receive("ana"), workspace.receive("bo")
    bo = workspace.mail("bo")
    found = connector.find_many([(ana, first), (bo, second), (ana, "<none@x.example>")])
    assert [len(each) for each in found] == [1, 1, 0]
    gone = Ref(ana, "1900000000ffffff")
    states = connector.read_states([found[0][0], found[1][0], gone])
    assert [state.place for state in states] == [Place.INBOX, Place.INBOX, Place.GONE]
    assert states[0].internet_message_id == first
    with pytest.raises(NotFound):
        connector.fetch(gone)


@pytest.fixture
def ref(workspace, connector, ana):
    (found,) = connector.find(ana, workspace.receive("ana"))
    return found


PLACES = [
    (Action.QUARANTINE, Place.QUARANTINE), (Action.JUNK, Place.JUNK),
    (Action.DELETE, Place.DELETED),
]  # fmt: skip


@pytest.mark.parametrize(("action", "place"), PLACES)
def test_undo_brings_back_the_very_labels(workspace, connector, ref, action, place):
    made = workspace.gmail("ana", "POST", "labels", json={"name": "Projects"})
    labels = ["STARRED", "IMPORTANT", made["id"]]
    path = f"messages/{ref.item_id}/modify"
    workspace.gmail("ana", "POST", path, json={"addLabelIds": labels})
    record = connector.prepare(ref, action, "k")
    stored = ActionRecord.from_json(json.loads(json.dumps(record.as_json())))
    assert connector.act(record).state.place is place
    assert connector.act(record).result is Result.ALREADY
    # A person marks it meanwhile.
    body = {"removeLabelIds": ["UNREAD", "STARRED"]}
    workspace.gmail("ana", "POST", path, json=body)
    seen = connector.undo(stored)
    assert (seen.result, seen.detail, seen.state) == (Result.DONE, "", record.before)
    shown = workspace.labels("ana", record.before.internet_message_id)
    assert shown == {"INBOX", "UNREAD", "STARRED", "IMPORTANT", "Projects"}
    assert connector.undo(stored).result is Result.ALREADY


def test_quarantine_is_one_label_that_the_mailbox_does_not_show(workspace, connector, ref):
    connector.act(connector.prepare(ref, Action.QUARANTINE, "k"))
    other = connector.find(ref.mailbox_id, workspace.receive("ana"))[0]
    with closing(GoogleConnector(wired(workspace), runtime(workspace))) as second:
        second.act(second.prepare(other, Action.QUARANTINE, "k2"))
    labels = workspace.gmail("ana", "GET", "labels")["labels"]
    (label,) = [each for each in labels if each["type"] == "user"]
    assert (label["labelListVisibility"], label["messageListVisibility"]) == ("labelHide", "hide")
    assert connector.read_state(ref).place is Place.QUARANTINE
    back = connector.act(connector.prepare(ref, Action.RESTORE, "k3"))
    assert (back.result, back.state.folder_id) == (Result.DONE, "INBOX")


def test_a_quarantine_label_that_a_person_deleted_is_made_anew(workspace, connector, ref):
    connector.act(connector.prepare(ref, Action.QUARANTINE, "k"))
    (label,) = [
        each["id"]
        for each in workspace.gmail("ana", "GET", "labels")["labels"]
        if each["type"] == "user"
    ]
    workspace.gmail("ana", "DELETE", f"labels/{label}", 204)
    assert connector.read_state(ref).place is Place.ARCHIVE
    seen = connector.act(connector.prepare(ref, Action.QUARANTINE, "k2"))
    assert (seen.result, seen.state.place) == (Result.DONE, Place.QUARANTINE)


def test_undo_without_a_label_that_is_gone_says_so(workspace, connector, ref):
    made = workspace.gmail("ana", "POST", "labels", json={"name": "Old"})
    path = f"messages/{ref.item_id}/modify"
    workspace.gmail("ana", "POST", path, json={"addLabelIds": [made["id"]]})
    record = connector.prepare(ref, Action.JUNK, "k")
    connector.act(record)
    workspace.gmail("ana", "DELETE", f"labels/{made['id']}", 204)
    seen = connector.undo(record)
    assert (seen.result, seen.state.place) == (Result.DONE, Place.INBOX)
    assert "no longer exist" in seen.detail


def test_what_changed_since_its_record_is_left_alone(workspace, connector, ref):
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    connector.act(connector.prepare(ref, Action.JUNK, "person"))
    assert connector.act(record).result is Result.STALE


@pytest.mark.parametrize(
    ("kind", "first", "then"),
    [
        ("drop_after_commit", Result.DONE, Result.ALREADY),
        ("drop_before_commit", Result.UNKNOWN, Result.DONE),
        ("lying_move", Result.NOT_DONE, Result.DONE),
    ],
)
def test_only_reading_back_counts(workspace, connector, ref, kind, first, then):
    record = connector.prepare(ref, Action.DELETE, "k")
    fault(workspace, kind, match="/modify")
    assert connector.act(record).result is first
    assert connector.act(record).result is then


def test_a_copy_that_is_gone_is_gone(connector, ref):
    record = connector.prepare(ref, Action.QUARANTINE, "k")
    gone = replace(record, ref=Ref(ref.mailbox_id, "1900000000ffffff"))
    assert connector.act(gone).result is Result.GONE
    assert connector.undo(gone).result is Result.GONE


@pytest.mark.parametrize("kind", ["quota_403", "status_429"])
def test_too_fast_is_waited_out_alone_and_in_a_batch(workspace, connector, ana, ref, kind):
    """Trap 7: Google says it with 403 as well, and inside a batch that is itself a 200."""
    connector._client._sleep = lambda seconds: None
    connector._client._limits.pause = lambda name, seconds: None
    fault(workspace, kind, match=f"{ana}/messages/{ref.item_id}", seconds=0)
    assert connector.read_state(ref).place is Place.INBOX
    fault(workspace, kind, match=f"{ana}/messages/{ref.item_id}", seconds=0)
    assert connector.read_states([ref])[0].place is Place.INBOX


def test_units_are_counted_for_person_and_project(workspace, connector, ana):
    taken = []
    real = connector._client._limits.slot

    def slot(name, *, cost=1, quota=None):
        taken.append((name.rpartition(".")[2] == ana.rpartition(".")[2], cost, quota.per_s))
        return real(name, cost=cost, quota=quota)

    connector._client._limits.slot = slot
    connector.find(ana, "<x@x.example>")
    assert sorted(taken) == [(False, 5, 18_000.0), (True, 5, 90.0)]


def test_a_bucket_that_is_empty_is_our_own_limit(workspace):
    limits = LocalLimits(wait_s=0)
    made = GoogleConnector(wired(workspace), replace(runtime(workspace), limits=limits))
    with closing(made) as connector:
        connector._client._sleep = lambda seconds: None
        refs = [Ref(workspace.mail("ana"), f"1900000000ffff{n:02x}") for n in range(50)]
        states = connector.read_states(refs)
    assert any(isinstance(state, RateLimited) for state in states)


def test_a_token_taken_back_early_is_asked_for_anew(workspace, connector, ana, ref):
    connector._client._sleep = lambda seconds: None
    tokens = connector._client._tokens
    key = tokens._key(ana, scopes.MAIL)
    for value in tokens._kept.values():
        tokens._kept[key] = (value[0], "ya29.stale")
    tokens._cache.drop(key)
    assert connector.read_states([ref])[0].place is Place.INBOX


def test_settings_that_an_intruder_changes_are_read(workspace, connector, ana):
    assert (connector.rules(ana), connector.forwarding(ana), connector.delegates(ana)) == (
        [], None, [],
    )  # fmt: skip
    token = workspace.token_for(ana, f"{HEAD}gmail.settings.basic")
    workspace.cloud.client.post(
        f"{workspace.cloud.http}/gmail/v1/users/me/settings/filters",
        headers={"authorization": f"Bearer {token}"},
        json={
            "criteria": {"query": "invoice"},
            "action": {"addLabelIds": ["TRASH"], "removeLabelIds": ["INBOX", "UNREAD"],
                       "forward": "Thief@evil.example"},
        },
    ).raise_for_status()  # fmt: skip
    workspace.cloud.admin("PUT", f"mailboxes/{ana}/settings", {
        "forwarding": {"enabled": True, "emailAddress": "x@evil.example", "disposition": "trash"},
        "delegates": ["helper@evil.example"],
    })  # fmt: skip
    (rule,) = connector.rules(ana)
    assert rule.forward_to == ("thief@evil.example",)
    assert (rule.deletes, rule.skips_inbox, rule.marks_read, rule.moves_to) == (
        True, True, True, "",
    )  # fmt: skip
    assert rule.definition["criteria"] == {"query": "invoice"}
    sent_on = connector.forwarding(ana)
    assert (sent_on.address, sent_on.is_enabled, sent_on.keeps_copy) == (
        "x@evil.example", True, False,
    )  # fmt: skip
    (delegate,) = connector.delegates(ana)
    assert (delegate.address, delegate.is_active) == ("helper@evil.example", True)


def test_a_watch_is_pulled_and_settled(workspace, ana):
    workspace.subscribe()
    names = {"topic": workspace.topic, "subscription": workspace.subscription}
    with closing(GoogleConnector(wired(workspace, **names), runtime(workspace))) as connector:
        order = {"notification_url": "", "client_state": ""}
        watch = connector.ensure_push(ana, current=None, **order)
        assert connector.ensure_push(ana, current=watch, **order) == watch
        soon = replace(watch, expires_at=watch.expires_at - timedelta(days=2))
        assert connector.ensure_push(ana, current=soon, **order).expires_at >= watch.expires_at
        assert watch.renew_at
        assert watch.renew_at < watch.expires_at
        workspace.receive("ana")
        pulled = connector.pull_pushes()
        assert pulled.addresses == {ana}
        connector.settle_pushes(pulled.receipts)
        assert connector.pull_pushes().receipts == ()
        connector.end_push(watch.id)


def test_alerts_are_verdicts_of_the_mails_they_name(workspace, connector, ana):
    workspace.cloud.admin("POST", f"google/{workspace.tenant_id}/alerts", {
        "type": "Phishing message detected post-delivery",
        "data": {"messages": [
            {"messageId": "a@x.example", "recipient": ana.upper(), "subjectText": "Pay"},
            {"messageId": "18f00", "recipient": ana}, {"recipient": ana},
        ]},
    }, 201)  # fmt: skip
    (said,) = connector.verdicts(datetime.now(UTC) - EARLIER)
    assert (said.verdict, said.recipient, said.internet_message_id, said.subject) == (
        Verdict.PHISH, ana, "<a@x.example>", "Pay",
    )  # fmt: skip
    assert connector.verdicts(datetime.now(UTC) + EARLIER) == []
    assert verdicts_of({"type": "Leaked password", "alertId": "1", "data": {}}) == []


def test_each_scope_is_tried_and_says_what_is_off_without_it(workspace):
    checks = check_scopes(wired(workspace), runtime(workspace))
    assert [check.problem for check in checks] == [""] * 9
    workspace.delegate(f"{HEAD}admin.directory.user.readonly", f"{HEAD}apps.alerts")
    checks = check_scopes(wired(workspace), runtime(workspace))
    assert [check.scope.removeprefix(HEAD) for check in checks if check.is_ok] == [
        "admin.directory.user.readonly", "apps.alerts",
    ]  # fmt: skip
    for missing, words in ((checks[1], "Mail is not removed"), (checks[2], "Mail is not read")):
        assert (missing.is_needed, "delegation" in missing.problem) == (True, True)
        assert missing.off_without.startswith(words)


def test_where_only_reading_is_delegated_mail_is_read_and_not_moved(workspace, ana):
    """Trap 14: one missing scope switches off what needs it, and nothing else."""
    head = f"{HEAD}gmail.readonly"
    workspace.delegate(head, f"{HEAD}admin.directory.user.readonly")
    with closing(GoogleConnector(wired(workspace), runtime(workspace))) as connector:
        message_id = workspace.receive("ana")
        found, _, _ = walk(connector, ana, "", datetime.now(UTC) - EARLIER)
        (ref,) = connector.find(ana, message_id)
        assert found == [ref.item_id]
        record = connector.prepare(ref, Action.JUNK, "k")
        with pytest.raises(AccessDenied, match=r"gmail\.modify"):
            connector.act(record)
        workspace.delegate(*GRANTED)
        connector._client._read_only_until = 0.0
        assert connector.act(record).result is Result.DONE
    workspace.delegate(head)
    checks = {
        check.scope: check.is_ok for check in check_scopes(wired(workspace), runtime(workspace))
    }
    assert (checks[f"{HEAD}gmail.modify"], checks[head]) == (False, True)
    workspace.delegate(head, f"{HEAD}admin.directory.user.readonly")
    scopes = check_scopes(wired(workspace), runtime(workspace))
    assert all(scope.is_ok for scope in scopes if scope.is_needed), "it can be connected"
    assert "Mail is not removed" in next(each for each in scopes if not each.is_ok).off_without


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"settings": (("admin", f"nobody@{'x' * 3}.example"),)}, "no active person"),
        ({"cloud_tenant_id": "c0other00"}, "another Google customer"),
    ],
)
def test_a_wrong_administrator_or_customer_is_named(workspace, changes, problem):
    checks = check_scopes(replace(wired(workspace), **changes), runtime(workspace))
    assert problem in checks[0].problem or "does not exist" in checks[0].problem


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"client_secret": "{}"}, "not the JSON"),
        ({"client_secret": "[1"}, "not the JSON"),
        ({"client_id": "12"}, "not the key file's"),
        ({"cloud_tenant_id": "acme"}, "customer id"),
        ({"settings": ()}, "administrator"),
        ({"settings": (("admin", "a@x.example"), ("topic", "gmail"))}, "full name"),
        ({"settings": (("admin", "a@x.example"), ("host", "x"))}, "no setting host"),
        ({"api_url": "https://evil.example"}, "not allowed"),
    ],
)
def test_settings_that_cannot_work_are_named(workspace, changes, sentence):
    with pytest.raises(Rejected, match=sentence):
        GoogleConnector(replace(wired(workspace), **changes), runtime(workspace))


def test_a_key_that_google_does_not_accept_is_a_persons_matter(workspace, ana):
    account = dict(workspace.account, client_email="gone@nowhere.iam.gserviceaccount.com")
    other = replace(wired(workspace), client_secret=json.dumps(account))
    with (
        closing(GoogleConnector(other, runtime(workspace))) as connector,
        pytest.raises(AuthExpired) as caught,
    ):
        connector.probe(ana)
    assert caught.value.code == "bad_credentials"


@pytest.mark.parametrize(
    ("head", "is_internal"),
    [
        (b"Authentication-Results: mx.google.com; dkim=pass header.i=@acme.example\r\n", True),
        (b"Authentication-Results: mx.evil.com; dkim=pass header.i=@acme.example\r\n", False),
        (b"Authentication-Results: mx.google.com; dkim=fail header.i=@acme.example\r\n", False),
        (b"Authentication-Results: mx.google.com; dkim=pass header.i=@evil.example\r\n", False),
        (
            b"Received: from evil.example by mx.google.com; now\r\n"
            b"Authentication-Results: mx.google.com; dkim=pass header.i=@acme.example\r\n",
            False,
        ),
        (
            b"X-Bailey-Trace: v1\r\n"
            b"Authentication-Results: mx.google.com; dkim=pass header.i=@acme.example\r\n",
            False,
        ),
        (b"X-MS-Exchange-Organization-AuthAs: Internal\r\n", False),
    ],
)
def test_only_google_itself_vouches_for_mail_from_inside(head, is_internal):
    raw = head + b"From: Bo <bo@acme.example>\r\n\r\nHello"
    data = {"id": "1", "raw": base64.urlsafe_b64encode(raw).decode()}
    item = item_of(data, "ana@acme.example", "", datetime.now(UTC))
    assert item
    assert item.is_internal is is_internal


def test_settings_of_any_shape_are_read_without_trust():
    rule = rule_of({"id": "1", "criteria": 3, "action": {"addLabelIds": 7, "forward": []}}, {})
    assert rule
    assert (rule.criteria, rule.forward_to, rule.deletes) == ((), (), False)
    assert rule_of({}, {}) is None


@pytest.mark.parametrize(
    "data",
    [
        {}, {"id": 1}, {"id": "1", "raw": 7, "labelIds": "INBOX", "internalDate": "x"},
        {"id": "1", "raw": "%%%", "payload": {"headers": [{"name": 1}, 2]}},
        {"id": "1", "internalDate": "9" * 30, "labelIds": [None, "INBOX"], "payload": []},
    ],
)  # fmt: skip
def test_answers_of_any_shape_are_read_without_trust(data):
    item = item_of(data, "ana@acme.example", "", datetime.now(UTC))
    assert item is None or item.is_partial
