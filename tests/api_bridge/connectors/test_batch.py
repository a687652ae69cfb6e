"""Batches: every answer counts by itself, in the order that was asked."""

import base64
from datetime import UTC, datetime

import httpx
import pytest

from api_bridge.connectors import Action, Fetched, Ref, State
from api_bridge.errors import NotFound, RateLimited, Rejected, Temporary
from tests.api_bridge.connectors.fake import Graph, error, message, ok


@pytest.fixture
def graph():
    return Graph()


def put_states(graph, count):
    refs = [Ref("u", f"m{number}") for number in range(count)]
    for ref in refs:
        graph.routes[f"GET /users/u/messages/{ref.item_id}"] = ok(
            **message(ref.item_id, parentFolderId="F-junk")
        )
    return refs


def test_many_states_come_in_the_order_they_were_asked(graph):
    refs = put_states(graph, 45)
    states = graph.connector().read_states(refs)
    assert [state.internet_message_id for state in states] == [
        f"<{ref.item_id}@sender.example>" for ref in refs
    ]


def test_one_that_is_gone_is_a_state_and_one_refused_an_error(graph):
    refs = put_states(graph, 3)
    graph.routes["GET /users/u/messages/m0"] = error(404, "ErrorItemNotFound")
    graph.routes["GET /users/u/messages/m1"] = error(403, "ErrorAccessDenied")
    gone, denied, there = graph.connector().read_states(refs)
    assert (gone.exists, denied.status, there.exists) == (False, 403, True)


@pytest.mark.parametrize("code", ["MailboxNotEnabledForRESTAPI", "ResourceNotFound", ""])
def test_a_mailbox_that_is_not_there_is_no_copy_that_is_gone(graph, code):
    """Trap 12: it comes back with all that lies in it."""
    refs = put_states(graph, 2)
    record = graph.connector().prepare(refs[0], Action.QUARANTINE, "k")
    graph.routes["GET /users/u/messages/m0"] = error(404, code)
    shut, there = graph.connector().read_states(refs)
    assert (isinstance(shut, NotFound), there.exists) == (True, True)
    for ask in (lambda it: it.read_state(refs[0]), lambda it: it.act(record)):
        with pytest.raises(NotFound):
            ask(graph.connector())


def test_a_429_inside_a_batch_repeats_only_what_was_refused(graph):
    refs = put_states(graph, 3)
    good = graph.routes["GET /users/u/messages/m1"]
    graph.routes["GET /users/u/messages/m1"] = [error(429, Retry_After="3"), good]
    states = graph.connector().read_states(refs)
    assert all(isinstance(state, State) for state in states)
    assert graph.count("GET /users/u/messages/m0") == 1
    assert graph.count("GET /users/u/messages/m1") == 2
    assert graph.time.now >= 3


def test_a_429_inside_a_full_batch_of_twenty_repeats_that_one_alone(graph):
    refs = put_states(graph, 20)
    good = graph.routes["GET /users/u/messages/m13"]
    graph.routes["GET /users/u/messages/m13"] = [error(429, Retry_After="2"), good]
    connector = graph.connector()
    sizes, whole = [], graph.batch

    def counting(body):
        sizes.append([entry["url"].partition("?")[0] for entry in body["requests"]])
        return whole(body)

    graph.batch = counting
    states = connector.read_states(refs)
    assert [state.internet_message_id for state in states] == [
        f"<{ref.item_id}@sender.example>" for ref in refs
    ]
    of_mails = [urls for urls in sizes if "/messages/" in urls[0]]
    assert [len(urls) for urls in of_mails] == [20, 1]
    assert of_mails[1] == ["/users/u/messages/m13"]


def test_a_429_for_one_mailbox_in_a_batch_pauses_that_mailbox_alone(graph):
    refs = [Ref("u", "m0"), Ref("v", "m0")]
    good = ok(**message("m0", parentFolderId=""))
    graph.routes["GET /users/u/messages/m0"] = [error(429, Retry_After="5"), good]
    graph.routes["GET /users/v/messages/m0"] = good
    states = graph.connector().read_states(refs)
    assert all(isinstance(state, State) for state in states)
    with graph.limits.slot("app.v"):
        pass
    assert graph.count("GET /users/v/messages/m0") == 1
    assert graph.count("GET /users/u/messages/m0") == 2


def test_ids_that_differ_by_case_alone_are_two_mails(graph):
    """Immutable ids are case-sensitive: neither the asking nor the sorting folds them."""
    refs = [Ref("u", "AAkALgAAq="), Ref("u", "AAkALgAAQ="), Ref("u", "aakalgaaq=")]
    for number, ref in enumerate(refs):
        graph.routes[f"GET /users/u/messages/{ref.item_id}"] = ok(
            **message(ref.item_id, internetMessageId=f"<{number}@x>", parentFolderId="F-junk")
        )
    states = graph.connector().read_states(refs)
    assert [state.internet_message_id for state in states] == ["<0@x>", "<1@x>", "<2@x>"]


def test_a_long_429_inside_a_batch_is_left_to_the_caller(graph):
    refs = put_states(graph, 2)
    graph.routes["GET /users/u/messages/m1"] = error(429, Retry_After="600")
    connector = graph.connector()
    connector.read_states(refs[:1])
    there, limited = connector.read_states(refs)
    assert there.exists
    assert isinstance(limited, RateLimited)
    assert graph.time.now < 60


def test_an_answer_that_is_missing_is_asked_for_again(graph):
    refs = put_states(graph, 2)
    connector = graph.connector()
    connector.read_states(refs)
    whole, sizes = graph.batch, []

    def lossy(body):
        sizes.append(len(body["requests"]))
        return whole({"requests": body["requests"][: 1 if len(sizes) == 1 else 20]})

    graph.batch = lossy
    assert all(isinstance(state, State) for state in connector.read_states(refs))
    assert sizes == [2, 1]


def test_a_paused_mailbox_does_not_hold_up_another(graph):
    refs = [Ref("u", "m0"), Ref("v", "m0")]
    graph.routes["GET /users/u/messages/m0"] = ok(**message("m0", parentFolderId=""))
    graph.routes["GET /users/v/messages/m0"] = ok(**message("m0", parentFolderId=""))
    connector = graph.connector()
    graph.limits.pause("app.u", 3000)
    limited, there = connector.read_states(refs)
    assert isinstance(limited, RateLimited)
    assert there.exists


def test_find_quotes_what_a_filter_or_an_address_would_misread(graph):
    graph.routes["GET /users/u/messages"] = ok(value=[{"id": "a"}, {"id": "b"}])
    wanted = "<o'brien+50%&x=<1>#@mail.example>"
    assert graph.connector().find("u", wanted) == [Ref("u", "a"), Ref("u", "b")]
    asked = graph.asked[-1][1]["$filter"]
    assert asked == "internetMessageId eq '<o''brien+50%&x=<1>#@mail.example>'"


def test_find_many_answers_for_each_and_keeps_errors_apart(graph):
    graph.routes["GET /users/u/messages"] = ok(value=[{"id": "a"}])
    found, missing = graph.connector().find_many([("u", "<1@x>"), ("nobody", "<1@x>")])
    assert found == [Ref("u", "a")]
    assert isinstance(missing, NotFound)


RAW = b"Subject: caf\xe9\r\n\r\nbytes \x00\xff\r\n"


def value(raw):
    """`$value` inside a batch is base64 text."""
    return httpx.Response(200, json=base64.b64encode(raw).decode())


def test_fetch_many_keeps_bytes_and_gives_each_its_own_error(graph):
    graph.routes["GET /users/u/messages/a/$value"] = value(RAW)
    fetched, gone = graph.connector().fetch_many([Ref("u", "a"), Ref("u", "b")])
    assert (fetched.raw, fetched.acquired) == (RAW, "graph-mime")
    assert isinstance(gone, NotFound)


def put_unconvertible(graph, attachments):
    graph.routes["GET /users/u/messages/a/$value"] = error(500, "ErrorMimeContentConversionFailed")
    graph.routes["GET /users/u/messages/a"] = ok(
        **message(
            "a",
            hasAttachments=True,
            subject="signed",
            body={"contentType": "text", "content": "hallo"},
            internetMessageHeaders=[{"name": "X-First", "value": "1"}],
        )
    )
    graph.routes["GET /users/u/messages/a/attachments"] = ok(value=attachments)


@pytest.mark.parametrize("how", ["fetch", "fetch_many"])
def test_a_mail_that_has_no_mime_form_is_put_together(graph, how):
    file = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "smime.p7m",
        "contentBytes": base64.b64encode(b"signed bytes").decode(),
    }
    put_unconvertible(graph, [file])
    connector = graph.connector()
    ref = Ref("u", "a")
    fetched = connector.fetch(ref) if how == "fetch" else connector.fetch_many([ref])[0]
    assert isinstance(fetched, Fetched)
    assert fetched.raw.startswith(b"X-First: 1\r\n")
    assert base64.b64encode(b"signed bytes") in fetched.raw
    assert (fetched.acquired, fetched.is_complete) == ("graph-json", True)
    assert graph.count("GET /users/u/messages/a/$value") == 1


def test_an_attachment_that_cannot_be_read_makes_it_incomplete(graph):
    put_unconvertible(
        graph,
        [
            {"@odata.type": "#microsoft.graph.referenceAttachment", "name": "cloud.docx"},
            {"@odata.type": "#microsoft.graph.itemAttachment", "id": "i1", "name": "mail"},
            {"@odata.type": "#microsoft.graph.fileAttachment", "name": "x", "contentBytes": "!"},
        ],
    )
    inner = "GET /users/u/messages/a/attachments/i1/$value"
    graph.routes[inner] = error(400, "ErrorInvalidRequest")
    fetched = graph.connector().fetch(Ref("u", "a"))
    assert not fetched.is_complete
    assert "3 attachments" in fetched.problem


def test_a_500_without_a_known_reason_is_temporary(graph):
    graph.routes["GET /users/u/messages/a/$value"] = error(500, "ErrorInternalServerError")
    with pytest.raises(Temporary):
        graph.connector().fetch(Ref("u", "a"))


def test_a_mail_that_may_not_be_read_is_not_put_together(graph):
    graph.routes["GET /users/u/messages/a/$value"] = error(403, "ErrorAccessDenied")
    with pytest.raises(Rejected):
        graph.connector().fetch(Ref("u", "a"))
    assert graph.count("GET /users/u/messages/a") == 0


def test_the_newest_of_many_mailboxes_comes_in_one_call(graph):
    more = {"@odata.nextLink": "https://graph.example/v1.0/users/u/messages?$skiptoken=x"}
    graph.routes["GET /users/u/messages"] = ok(
        value=[message("a"), message("d", isDraft=True)], **more
    )
    graph.routes["GET /users/v/messages"] = error(403, "ErrorAccessDenied")
    graph.routes["GET /users/w/messages"] = ok(value=[])
    since = datetime(2026, 11, 22, 10, tzinfo=UTC)
    connector = graph.connector()
    full, denied, empty = connector.newest_many([("u", since), ("v", since), ("w", since)])
    assert [item.ref for item in full.items] == [Ref("u", "a")]
    assert (full.more, full.cursor) == (True, "")
    assert denied.status == 403
    assert (empty.items, empty.more) == ((), False)
    asked = next(query for name, query, _ in graph.asked if name == "GET /users/u/messages")
    assert asked["$filter"] == "receivedDateTime ge 2026-11-22T10:00:00Z"
