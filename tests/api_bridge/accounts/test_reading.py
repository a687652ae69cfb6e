"""What is off, and what goes on, where a mail host shows only some of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from api_bridge.accounts.google_clicks import clicks_of
from api_bridge.accounts.google_look import GoogleSource
from api_bridge.accounts.google_read import google_time, read_log
from api_bridge.accounts.graph_read import (
    read_audits,
    read_mailboxes,
    read_risky_users,
    read_sign_ins,
    rules_of,
)
from api_bridge.accounts.reading import Events
from api_bridge.accounts.shapes import AccountState
from api_bridge.accounts.spans import MOST_AT_ONCE
from api_bridge.connectors import Delegate, Forwarding, MailboxRule
from api_bridge.connectors.google import tokens as scopes
from api_bridge.connectors.graph.client import Ask
from api_bridge.errors import AccessDenied, AuthExpired, NotFound, Temporary


class SomeHost:
    """Google, which shows settings of ``a``, fails for ``b`` and refuses ``c``; no log, and no
    application, for those scopes are not delegated.
    """

    def __init__(self) -> None:
        self.client, self.asked = self, 0

    def rules(self, mailbox_id: str) -> list[MailboxRule]:
        if mailbox_id == "b":
            raise Temporary("No answer.")
        if mailbox_id == "c":
            raise AccessDenied("Delegation denied.")
        return [MailboxRule(id="f1", name="", criteria=())]

    def forwarding(self, mailbox_id: str) -> Forwarding | None:
        self.rules(mailbox_id)
        return Forwarding(address="x@evil.example", is_enabled=True, keeps_copy=False)

    def delegates(self, mailbox_id: str) -> list[Delegate]:
        self.rules(mailbox_id)
        return []

    def directory(self, target: str, *, scope: str = scopes.USERS) -> dict[str, Any]:
        if target.startswith("/users/b"):
            raise NotFound("She has left.")
        self.asked += scope == scopes.USER_SECURITY
        if scope == scopes.USER_SECURITY:
            raise AuthExpired("Not delegated.", code="needs_consent")
        return {"suspended": target == "/users/c", "isEnrolledIn2Sv": True}

    def pages(self, ask: Any, name: str) -> Any:
        raise AuthExpired("Not delegated.", code="needs_consent")


def test_one_mailbox_never_stops_the_next() -> None:
    host: Any = SomeHost()
    source = GoogleSource(host, host.client)
    read = source.settings(["c", "b", "a"])
    assert read.keys() == {"a", "c"}  # of b nothing is known this time
    assert (len(read["a"].rules or ()), read["a"].grants) == (1, None)
    assert (read["c"].rules, read["c"].knows_forwarding) == (None, False)
    assert read["c"].state == AccountState(is_suspended=True, has_two_steps=True)
    assert source.noted.errors == ["No answer."] * 3
    assert "Delegation denied." in source.noted.off[scopes.MAIL_READ]
    # What is not delegated is asked for once, and off.
    assert (source.noted.off[scopes.USER_SECURITY], host.asked) == (scopes.USER_SECURITY, 1)
    now = datetime.now(UTC)
    assert source.events(now, now - timedelta(hours=1), now - timedelta(hours=1)) == Events()
    assert source.noted.off[scopes.REPORTS] == scopes.REPORTS


def record(event: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    return {
        "id": {"time": "2026-11-30T10:00:00.000Z", "uniqueQualifier": "7"},
        "actor": {"email": "Ana@acme.example"},
        "events": [event] if event else None,
    } | changes


CLICK = {
    "name": "delivery",
    "parameters": [
        {"name": "event_info", "messageValue": {"parameter": [
            {"name": "mail_event_type", "intValue": "15"}
        ]}},
        {"name": "message_info", "messageValue": {"parameter": [
            {"name": "rfc2822_message_id", "value": "m@x.example"},
            {"name": "source", "messageValue": {"parameter": [
                {"name": "from_header_address", "value": "Bo@x.example"}
            ]}},
        ]}},
    ],
}  # fmt: skip
# As some clients of the API flatten it.
FLAT = {
    "parameters": [
        {"name": "event_info.mail_event_type", "intValue": "15"},
        {"name": "message_info.rfc2822_message_id", "value": "<m@x.example>"},
    ]
}
UNNAMED = {"parameters": [{"name": "event_info.mail_event_type", "intValue": "15"}]}
OPENED = {
    "parameters": [{**FLAT["parameters"][0], "intValue": "7"}, FLAT["parameters"][1]],
}


@pytest.mark.parametrize(
    ("activity", "found"),
    [
        (record(CLICK), [("ana@acme.example", "<m@x.example>", "bo@x.example")]),
        (record(FLAT), [("ana@acme.example", "<m@x.example>", "")]),
        (record(OPENED), []),
        (record(UNNAMED), []),
        (record(None), []),
        (record(CLICK, actor={"callerType": "KEY"}), []),
        (record(CLICK, id={"time": "soon"}), []),
        (record({"parameters": [{"name": "event_info", "messageValue": {"parameter": "x"}}]}), []),
    ],
)
def test_a_record_of_gmail_says_who_opened_a_link_in_which_mail(activity: Any, found: Any) -> None:
    said = clicks_of([activity])
    assert [(each.recipient, each.internet_message_id, each.sender) for each in said] == found
    assert all(each.clicked_at == each.at for each in said)


class BusyLog:
    """Google's log, an event a second, newest first, a thousand a page.  ``burst``: a minute in
    which there are more than anybody reads.
    """

    def __init__(self, began: datetime, seconds: int, burst: int = 0) -> None:
        self.began, self.seconds, self.burst, self.calls = began, seconds, burst, 0

    def reports(self, target: str) -> dict[str, Any]:
        self.calls += 1
        asked = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        start, end = (datetime.fromisoformat(asked[n]) for n in ("startTime", "endTime"))
        times = [self.began + timedelta(seconds=n) for n in range(self.seconds)]
        times += [self.began + timedelta(seconds=30)] * self.burst
        shown = sorted((at for at in times if start <= at < end), reverse=True)
        offset = int(asked.get("pageToken", "0"))
        page: dict[str, Any] = {"items": [{"id": {"time": google_time(at)}} for at in
                                          shown[offset : offset + 1000]]}  # fmt: skip
        return page | ({"nextPageToken": str(offset + 1000)} if offset + 1000 < len(shown) else {})

    def pages(self, ask: Any, name: str) -> Any:
        token = ""
        while True:
            page = ask(token)
            yield from page[name]
            token = page.get("nextPageToken", "")
            if not token:
                return


def test_a_long_log_is_read_from_its_beginning_and_gone_on_with() -> None:
    began = datetime(2026, 11, 1, tzinfo=UTC)
    client: Any = BusyLog(began, seconds=6000)
    now = began + timedelta(seconds=6000)
    read, at, rounds = [], began, 0
    while at < now:
        log = read_log(client, "login", at, now, most=1000)
        assert (log.is_cut, log.until > at) == (False, True)
        read += [each["id"]["time"] for each in log.entries]
        at, rounds = log.until, rounds + 1
    assert len(set(read)) == len(read) == 6000
    assert rounds > 1


def test_a_minute_with_too_much_is_cut_and_said() -> None:
    began = datetime(2026, 11, 1, tzinfo=UTC)
    client: Any = BusyLog(began, seconds=120, burst=2000)
    log = read_log(client, "login", began, began + timedelta(seconds=120), most=1000)
    assert (log.is_cut, log.until, len(log.entries)) == (
        True, began + timedelta(seconds=60), 1000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "is_fixed", "is_shown"),
    [
        ("Junk E-Mail Rule", True, False),
        ("Microsoft.Exchange.OOF.KnownExternalSenders.Global", True, False),
        ("Delegate Rule -1", True, True),
        ("Junk E-Mail Rule", False, True),
        ("Junk E-Mail Rule 2", False, True),
    ],
)
def test_outlooks_own_rules_are_left_out_and_nobody_hides_behind_their_names(
    name: str, is_fixed: bool, is_shown: bool
) -> None:
    found = rules_of([{"id": "r", "displayName": name, "isReadOnly": is_fixed}])
    assert [rule.name for rule in found] == ([name] if is_shown else [])


class ManyGrants:
    """Graph that tells of a user's grants in two pages."""

    def batch(self, asks: Sequence[Ask]) -> list[Any]:
        return [
            Answer({"value": [GRANT | {"id": "g1"}], "@odata.nextLink": "more"})
            if ask.path.endswith("/oauth2PermissionGrants")
            else Answer({"value": []})
            for ask in asks
        ]

    def pages(self, target: str, *, slot: str = "") -> Any:
        assert target == "more"
        yield [GRANT | {"id": "g2"}]


@dataclass
class Answer:
    content: dict[str, Any]

    def json(self) -> dict[str, Any]:
        return self.content


GRANT = {"clientId": "c", "scope": "Mail.Read", "consentType": "Principal"}


def test_a_second_page_of_grants_is_read_too() -> None:
    graph: Any = ManyGrants()
    grants = read_mailboxes(graph, ["u"])["u"].settings.grants
    assert [each.id for each in grants or ()] == ["g1", "g2"]


class TriedPasswords:
    """Graph with more failed sign-ins than anybody wants to read at once, one a second."""

    def __init__(self, began: datetime) -> None:
        self.began, self.asked = began, 0

    def pages(self, target: str, *, slot: str = "") -> Any:
        for number in range(2 * MOST_AT_ONCE // 500):
            self.asked += 1
            first = self.began + timedelta(seconds=500 * number)
            yield [
                {
                    "id": f"{number}-{second}",
                    "userId": "u",
                    "createdDateTime": (first + timedelta(seconds=second)).isoformat(),
                    "status": {"errorCode": 50126 if second else 0},
                }
                for second in range(500)
            ]


def test_failed_sign_ins_end_a_reading_and_the_next_goes_on_there() -> None:
    began = datetime(2026, 11, 1, tzinfo=UTC)
    graph: Any = TriedPasswords(began)
    found, reached = read_sign_ins(graph, began)
    assert (len(found), graph.asked) == (MOST_AT_ONCE // 500, MOST_AT_ONCE // 500 + 1)
    assert reached == began + timedelta(seconds=MOST_AT_ONCE - 1)


class ManyAudits:
    """Graph's audits, one a second, newest first."""

    def __init__(self, began: datetime, seconds: int) -> None:
        self.times = [began + timedelta(seconds=n) for n in range(seconds)]

    def pages(self, target: str, *, slot: str = "") -> Any:
        asked = parse_qs(urlsplit(target).query)["$filter"][0]
        start, end = (datetime.fromisoformat(text) for text in re.findall(r"[gl]e (\S+Z)", asked))
        shown = [at for at in reversed(self.times) if start <= at <= end]
        for offset in range(0, len(shown), 500):
            yield [
                {
                    "id": at.isoformat(),
                    "activityDateTime": at.isoformat(),
                    "activityDisplayName": "User registered security info",
                    "result": "success",
                }
                for at in shown[offset : offset + 500]
            ]


def test_a_long_audit_log_is_read_from_its_beginning() -> None:
    began = datetime(2026, 11, 1, tzinfo=UTC)
    graph: Any = ManyAudits(began, 5000)
    now = began + timedelta(seconds=5000)
    log = read_audits(graph, began, now, most=1000)
    assert (log.is_cut, log.until < now) == (False, True)
    rest = read_audits(graph, log.until, now, most=10_000)
    assert rest.until == now
    told = {each.external_id for each in (*log.entries, *rest.entries)}
    assert len(told) == 5000


class ManyAtRisk:
    def pages(self, target: str, *, slot: str = "") -> Any:
        while True:
            yield [{"id": "u", "riskLevel": "high", "riskLastUpdatedDateTime": "2026-11-01"}] * 500


def test_more_accounts_at_risk_than_are_read_are_said() -> None:
    graph: Any = ManyAtRisk()
    found, is_whole = read_risky_users(graph)
    assert (len(found) <= MOST_AT_ONCE, is_whole) == (True, False)
    graph = SomeAtRisk()
    assert read_risky_users(graph)[1]


class SomeAtRisk:
    def pages(self, target: str, *, slot: str = "") -> Any:
        yield []
