"""Which signs are given, and how a change is said.  Pure tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_bridge.accounts.differences import changes_between, what_it_does
from api_bridge.accounts.graph_read import audit_of, grants_of, methods_of, rule_of, sign_in_of
from api_bridge.accounts.judge import of_audit, of_settings, of_sign_in
from api_bridge.accounts.shapes import AppGrant, SeenAudit, SeenSignIn, Settings
from api_bridge.connectors import Delegate, Forwarding, MailboxRule
from api_bridge.errors import Unexpected
from incidents.signs import SIGNS

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
OWN = frozenset({"acme.example"})
RULE = MailboxRule(id="r1", name="x", criteria=(("subjectContains", "invoice"),))
HIDES = replace(RULE, moves_to="RSS Feeds", marks_read=True)
EMPTY = Settings(rules=(), delegates=(), grants=(), methods=())


def codes(after: Settings, before: Settings | None = EMPTY) -> list[str]:
    signs = of_settings(before, after, own_domains=OWN, at=NOW, source="test")
    assert all(sign.code in SIGNS for sign in signs)
    return [sign.code for sign in signs]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (RULE, []),
        (replace(RULE, moves_to="Projects"), []),
        (HIDES, ["hides_money"]),
        (replace(HIDES, is_enabled=False), []),
        (replace(HIDES, moves_to="RSS-Feeds"), ["hides_money"]),
        (replace(HIDES, criteria=(("from", "news@shop.example"),)), ["hides_mail"]),
        (replace(RULE, deletes=True), ["hides_money"]),
        (replace(RULE, criteria=(), deletes=True), ["hides_mail"]),
        (replace(RULE, forward_to=("a@acme.example",)), []),
        (replace(RULE, forward_to=("a@ACME.example", "b@evil.example")), ["forward_outside"]),
        (replace(HIDES, forward_to=("b@evil.example",)), ["forward_outside", "hides_money"]),
    ],
)
def test_rules(rule: MailboxRule, expected: list[str]) -> None:
    assert codes(Settings(rules=(rule,))) == expected
    # What stood before the first look is judged as well.
    assert codes(Settings(rules=(rule,)), None) == expected


@pytest.mark.parametrize(
    ("after", "expected", "at_first"),
    [
        (Settings(forwarding=Forwarding(address="b@evil.example", is_enabled=True,
                                        keeps_copy=False)), ["forward_outside"], True),
        (Settings(forwarding=Forwarding(address="b@evil.example", is_enabled=False,
                                        keeps_copy=True)), [], True),
        (Settings(delegates=(Delegate(address="b@acme.example", is_active=True),)),
         ["new_delegate"], False),
        (Settings(grants=(AppGrant(id="g", app_id="a", scopes=("Mail.Read",)),)),
         ["mail_grant"], False),
        (Settings(grants=(AppGrant(id="g", app_id="a", scopes=("openid", "User.Read")),)),
         [], False),
    ],
)  # fmt: skip
def test_other_settings(after: Settings, expected: list[str], at_first: bool) -> None:
    assert codes(after) == expected
    assert codes(after, None) == (expected if at_first else [])


def test_a_part_that_could_not_be_read_stays_as_it_was() -> None:
    before = Settings(rules=(HIDES,), grants=(AppGrant(id="g", app_id="a"),))
    after = Settings(rules=(HIDES,)).completed(before)
    assert after == before
    assert changes_between(before, after) == []


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ((), (HIDES,), "Rule “x” is new: it moves mail with “invoice” in its subject to RSS Feeds"
         " and marks it read."),
        ((RULE,), (HIDES,), "Rule “x” now moves mail with “invoice” in its subject to RSS Feeds and"
         " marks it read; before, it does nothing that is known here with mail with “invoice” in"
         " its subject."),
        ((HIDES,), (replace(HIDES, is_enabled=False),), "Rule “x” was switched off: it moves mail"
         " with “invoice” in its subject to RSS Feeds and marks it read."),
        ((HIDES,), (), "Rule “x” is gone: it was one that moves mail with “invoice” in its subject"
         " to RSS Feeds and marks it read."),
        ((HIDES,), (replace(HIDES, name="y"),), "Rule “x” is called “y” now."),
        ((HIDES,), (HIDES,), None),
    ],
)  # fmt: skip
def test_changes_in_words(before: Any, after: Any, words: str | None) -> None:
    found = changes_between(Settings(rules=before), Settings(rules=after))
    assert found == ([words] if words else [])


def test_settings_come_back_from_json_as_they_were() -> None:
    settings = Settings(
        rules=(HIDES,),
        forwarding=Forwarding(address="b@evil.example", is_enabled=True, keeps_copy=True),
        delegates=(Delegate(address="c@acme.example", is_active=False),),
        grants=(AppGrant(id="g", app_id="a", scopes=("Mail.Read",)),),
    )
    back = Settings.from_json(settings.as_json())
    assert (back, back.digest) == (settings, settings.digest)


def seen(country: str, hours: float, lat: float, lon: float, risk: str = "") -> SeenSignIn:
    return SeenSignIn(
        external_id=f"{country}{hours}",
        user_id="u",
        at=NOW + timedelta(hours=hours),
        raw={},
        country=country,
        latitude=lat,
        longitude=lon,
        risk=risk,
    )


HOME = [seen("DE", -hours, 52.5, 13.4) for hours in (30, 20, 10)]


@pytest.mark.parametrize(
    ("known", "new", "expected"),
    [
        (HOME, seen("DE", 0, 48.1, 11.6), []),
        (HOME, seen("FR", 0, 48.9, 2.4), ["new_country"]),
        (HOME[:2], seen("FR", 0, 48.9, 2.4), []),  # too few to know where she usually is
        (HOME, seen("NG", -9, 6.5, 3.4), ["new_country", "far_sign_in"]),
        (HOME, seen("NG", 0, 6.5, 3.4), ["new_country"]),  # ten hours: an aeroplane
        (HOME, seen("DE", 0, 52.5, 13.4, "high"), ["risky_sign_in"]),
        (HOME, seen("DE", 0, 52.5, 13.4, "low"), []),
        ([], seen("NG", 0, 6.5, 3.4), []),
    ],
)
def test_sign_ins(known: list[SeenSignIn], new: SeenSignIn, expected: list[str]) -> None:
    assert [sign.code for sign in of_sign_in(new, known)] == expected


@pytest.mark.parametrize(
    ("hours", "code"), [(1, "mfa_after_risk"), (23, "mfa_after_risk"), (25, "mfa_added"),
                        (-1, "mfa_added")]
)  # fmt: skip
def test_a_new_way_to_sign_in(hours: float, code: str) -> None:
    audit = SeenAudit(external_id="a", user_ids=("u",), at=NOW, what="Registered", by="", raw={})
    assert of_audit(audit, [NOW - timedelta(hours=hours)]).code == code


@pytest.mark.parametrize("data", [{}, {"id": 7}, {"id": None, "actions": {}}])
def test_a_rule_without_an_id_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(Unexpected):
        rule_of(data)


@pytest.mark.parametrize(
    "data",
    [
        {"id": "1", "actions": None, "conditions": None},
        {"id": "1", "actions": {"forwardTo": "x"}, "conditions": {"subjectContains": None}},
        {"id": "1", "actions": {"forwardTo": [{}, None, {"emailAddress": 5}]}},
    ],
)
def test_odd_rules_are_read(data: dict[str, Any]) -> None:
    assert rule_of(data).forward_to == ()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"id": "1", "userId": "u"},
        {"id": "1", "userId": "u", "createdDateTime": "yesterday"},
        {"id": "1", "userId": "u", "createdDateTime": "2026-11-30T12:00:00Z",
         "status": {"errorCode": 50126}},
    ],
)  # fmt: skip
def test_sign_ins_that_say_nothing_are_left_out(data: dict[str, Any]) -> None:
    assert sign_in_of(data) is None


def test_unknown_kinds_are_kept_by_their_names() -> None:
    (method,) = methods_of([{"@odata.type": "#microsoft.graph.newMethod", "id": "1"}])
    assert method.kind == "newMethod"
    assert grants_of([{"clientId": "x"}]) == ()


@pytest.mark.parametrize("at", ["2026-02-30T00:00:00Z", "9999-12-31T23:59:59-14:00", "soon", 7])
def test_a_record_with_a_time_that_is_none_stops_no_look(at: Any) -> None:
    assert sign_in_of({"id": "1", "userId": "u", "createdDateTime": at}) is None
    registered = {"activityDisplayName": "User registered security info"}
    assert audit_of({"id": "1", "activityDateTime": at, **registered}) is None


@pytest.mark.parametrize(
    ("activity", "code"),
    [
        ("User registered security info", "mfa_added"),
        ("User changed default security info", "mfa_added"),
        ("Admin updated security info for a user", "mfa_added"),
        ("User deleted security info", "mfa_removed"),
        ("Admin deleted security info for a user", "mfa_removed"),
        ("User reviewed security info", ""),
        ("User started security info registration", ""),
    ],
)
def test_what_changed_in_how_somebody_signs_in(activity: str, code: str) -> None:
    logged = {"id": "1", "activityDateTime": "2026-11-30T12:00:00Z"}
    found = audit_of({**logged, "activityDisplayName": activity})
    assert (found.code if found else "") == code
    assert audit_of({**logged, "activityDisplayName": activity, "result": "failure"}) is None


def test_words_of_one_condition_are_alternatives_and_conditions_add_up() -> None:
    """As Outlook reads a rule: any of the words, and each of the conditions."""
    rule = MailboxRule(
        id="r-1",
        name=".",
        criteria=(
            ("subjectContains", "salary"),
            ("subjectContains", "phish"),
            ("subjectContains", "password"),
            ("senderContains", "hr@"),
        ),
        moves_to="Conversation History",
        marks_read=True,
    )
    assert what_it_does(rule) == (
        "moves mail with “salary”, “phish” or “password” in its subject and from “hr@”"
        " to Conversation History and marks it read"
    )
