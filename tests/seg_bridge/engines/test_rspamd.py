"""Rspamd's answers: which are none, what becomes of the others, and what it is told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from incidents.mail import read_mail
from incidents.words import Verdict
from seg_bridge.engines import EngineDidNotAnswer, Scan
from seg_bridge.engines.endpoints import LONGEST_ANSWER
from seg_bridge.engines.rspamd import LARGE_BYTES, RspamdEngine
from seg_bridge.engines.rspamd.mapping import load_rules
from tests.seg_bridge.engines.servers import (
    CLEAN,
    FakeRspamd,
    dead_place,
    http,
    result,
    symbols,
)
from tests.seg_bridge.engines.test_embedded import envelope, letter

RAW = letter().as_bytes()


class FixedNames:
    """The sending host's name as given; the resolver lives or does not."""

    def __init__(self, name: str = "mail.nordvent.example", *, lives: bool = True) -> None:
        self.name, self.is_living = name, lives

    async def of_client(self, address: str) -> str:
        return self.name

    async def lives(self) -> bool:
        return self.is_living


async def ask(
    place: Any, raw: bytes = RAW, *, names: FixedNames | None = None, **changes: Any
) -> Scan:
    options = {name: changes.pop(name) for name in ("needs_store", "timeout_s") if name in changes}
    engine = RspamdEngine(
        place, authserv_id="mx1.keep.example", names=names or FixedNames(), **options
    )
    return await engine.scan(raw, read_mail(raw), envelope(**changes))


async def scan(answer: dict[str, Any] | bytes = CLEAN, **options: Any) -> Scan:
    async with FakeRspamd(answer).place() as place:
        return await ask(place, **options)


async def refusal(answer: dict[str, Any] | bytes = CLEAN, **options: Any) -> str:
    with pytest.raises(EngineDidNotAnswer) as caught:
        await scan(answer, **options)
    return str(caught.value)


# What is no answer


async def test_a_dead_rspamd_gives_no_answer():
    with pytest.raises(EngineDidNotAnswer, match="the connection failed"):
        await ask(await dead_place())


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("hanging", "no answer within"),
        ("half_open", "no answer within"),
        ("hangs_up", "hung up in the middle"),
    ],
)
async def test_an_rspamd_that_hangs_gives_no_answer(fault, why):
    async with FakeRspamd(fault=fault).place() as place:
        with pytest.raises(EngineDidNotAnswer, match=why):
            await ask(place, timeout_s=1.0 if fault == "hangs_up" else 0.2)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (http(CLEAN, status=500), "it answered 500"),
        (http(b"{"), "its answer is no result"),
        (http(b"[]"), "its answer is no result"),
        (http(b"[" * 100_000), "its answer is no result"),
        (http(b""), "its answer is no result"),
        (b"220 smtp.example ESMTP\r\n\r\n", "its answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "does not say how long"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (LONGEST_ANSWER + 1), "too long"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", "too long"),
        (http({name: CLEAN[name] for name in CLEAN if name != "score"}), "is no result"),
        (result(score=None), "has no score"),
        (result(score=True), "has no score"),
        (http(json.dumps(result(score=float("nan"))).encode()), "has no score"),
        (result(symbols={}), "did not look"),
        (result(symbols={"X": {"score": float("inf")}}), "is no result"),
        (result(is_skipped=True), "did not look"),
        (
            result(action="soft reject", messages={"smtp_message": "timeout processing message"}),
            "it gave up: timeout processing message",
        ),
        (result(action="soft reject", messages=[]), "it gave up: soft reject"),
        (result(symbols={"R_SPF_ALLOW": {"score": -0.2}}), "store .* no sign of life"),
    ],
)
async def test_what_is_no_positive_answer_is_none(answer, why):
    async with FakeRspamd(answer).place() as place:
        with pytest.raises(EngineDidNotAnswer, match=why):
            await ask(place, timeout_s=5.0)


async def test_an_rspamd_that_just_lost_its_worker_is_asked_once_more():
    rspamd = FakeRspamd(fault="hangs_up")
    async with rspamd.place() as place:
        with pytest.raises(EngineDidNotAnswer):
            await ask(place)
        assert len(rspamd.asked) == 2
        rspamd.fault = "hangs_up_once"
        assert (await ask(place)).verdict is Verdict.CLEAN


async def test_a_mail_without_a_byte_is_not_looked_at():
    assert "empty" in await refusal(raw=b"\r\n")


@pytest.mark.parametrize("address", ["", "not-an-ip", "203.0.113"])
async def test_without_the_sending_hosts_address_there_is_no_answer(address):
    assert "address of the sending host" in await refusal(client_ip=address)


async def test_an_rspamd_without_a_store_is_believed_where_it_has_none():
    no_store = result(symbols={"R_SPF_ALLOW": {"score": -0.2}})
    assert (await scan(no_store, needs_store=False)).verdict is Verdict.CLEAN


# A resolver of ours that is dead, and a sender's that is broken


@pytest.mark.parametrize(
    "symbol", ["R_SPF_DNSFAIL", "R_DKIM_TEMPFAIL", "DMARC_DNSFAIL", "ARC_DNSFAIL", "RDNS_DNSFAIL"]
)
async def test_names_that_could_not_be_looked_up_are_no_answer_while_the_resolver_is_dead(symbol):
    failed = result(symbols=symbols(**{symbol: 0.0}))
    assert "resolver does not answer" in await refusal(failed, names=FixedNames(lives=False))


async def test_a_sender_with_broken_dns_does_not_keep_his_mail_from_being_judged():
    failed = result(score=9.0, symbols=symbols(R_SPF_DNSFAIL=0.0, PHISHING=9.0))
    found = await scan(failed)
    assert found.verdict is Verdict.PHISH
    assert found.auth[0].result == "temperror"
    assert "rspamd_r_spf_dnsfail" in {reason.code for reason in found.reasons}


# What it is told


async def test_rspamd_is_told_how_the_mail_came():
    rspamd = FakeRspamd()
    async with rspamd.place() as place:
        await ask(
            place,
            recipients=("info@acme.example", "ceo@acme.example"),
            mail_id="01J00000000000000000000001",
            tenant_id=7,
        )
    assert rspamd.asked[0][0][0] == "POST /checkv2 HTTP/1.1"
    told = {
        "IP": ["192.0.2.10"],
        "Helo": ["mail.nordvent.example"],
        "Hostname": ["mail.nordvent.example"],
        "From": ["tove@nordvent.example"],
        "Rcpt": ["info@acme.example", "ceo@acme.example"],
        "Queue-Id": ["01J00000000000000000000001"],
        "MTA-Name": ["mx1.keep.example"],
        "X-Tenant": ["7"],
        "Connection": ["close"],
        "User": [],
        "File": [],
        "Settings": [],
    }
    assert {name: rspamd.told(name) for name in told} == told


async def test_the_scan_sees_the_mail_below_a_received_line_of_this_hop():
    rspamd = FakeRspamd()
    async with rspamd.place() as place:
        await ask(place, tls="TLSv1.3", mail_id="01J1")
    body = rspamd.asked[0][1]
    hop, _, rest = body.partition(b"\r\n\tMon, 16 Nov 2026 09:00:00 +0000\r\n")
    assert rest == RAW
    assert hop == (
        b"Received: from mail.nordvent.example (mail.nordvent.example [192.0.2.10])\r\n"
        b"\t(using TLSv1.3)\r\n\tby mx1.keep.example (Bailey) with ESMTPS id 01J1;"
    )


async def test_somebody_who_logged_in_is_told_as_user():
    rspamd = FakeRspamd()
    async with rspamd.place() as place:
        await ask(place, authenticated_as="pia@acme.example")
    assert rspamd.told("User") == ["pia@acme.example"]


async def test_a_mail_for_several_clients_is_nobodys():
    rspamd = FakeRspamd()
    async with rspamd.place() as place:
        await ask(place, tenant_id=None)
    assert rspamd.told("X-Tenant") == []


@pytest.mark.parametrize(
    "field", ["helo", "mail_from", "client_name", "authenticated_as", "mail_id", "tls"]
)
async def test_no_value_of_a_mail_begins_a_line_of_the_request(field):
    rspamd = FakeRspamd()
    evil = "x\r\nFile: /etc/passwd\r\n\r\nSettings: {}\x00\u2028é"
    async with rspamd.place() as place:
        changes: dict[str, Any] = {field: evil}
        await ask(place, **changes)
    assert rspamd.told("File") == rspamd.told("Settings") == []
    head, body = rspamd.asked[0]
    assert all(line.isascii() and line.isprintable() for line in head)
    assert body.endswith(RAW)
    assert b"\r\nFile" not in body[: -len(RAW)]


async def test_a_host_whose_name_nobody_knows_is_not_blamed_for_it():
    unknown = result(score=8.5, symbols=symbols(HFILTER_HOSTNAME_UNKNOWN=2.5, PHISHING=6.0))
    assert (await scan(unknown, names=FixedNames(""))).score == 6.0
    assert (await scan(unknown, names=FixedNames("unknown"))).score == 8.5


async def test_of_large_mails_one_at_a_time_is_scanned():
    rspamd = FakeRspamd(fault="hanging")
    large = letter("word " * (LARGE_BYTES // 4)).as_bytes()
    async with rspamd.place() as place:
        engine = RspamdEngine(place, authserv_id="mx1", names=FixedNames(), large_timeout_s=0.5)
        facts = read_mail(RAW)
        first = asyncio.create_task(engine.scan(large, facts, envelope()))
        second = asyncio.create_task(engine.scan(large, facts, envelope()))
        await asyncio.sleep(0.3)
        assert len(rspamd.asked) == 1
        await asyncio.gather(first, second, return_exceptions=True)
    assert len(rspamd.asked) == 2


# What becomes of an answer


async def test_the_verdict_comes_from_score_and_symbols_never_from_the_action():
    for action in ("no action", "reject", "greylist", "add header", "quarantine"):
        assert (await scan(result(action=action))).verdict is Verdict.CLEAN
        bad = result(action=action, score=7.0, symbols=symbols(SUBJ_ALL_CAPS=7.0))
        assert (await scan(bad)).verdict is Verdict.SPAM


@pytest.mark.parametrize(
    ("policy", "points"), [("REJECT", 4.0), ("QUARANTINE", 2.5), ("SOFTFAIL", 0.8)]
)
async def test_what_a_failed_dmarc_weighs_is_ours_to_say(policy, points):
    name = f"DMARC_POLICY_{policy}"
    failed = result(
        score=3.0, symbols=symbols(**{name: (2.0, "bank.example : No valid SPF", "reject")})
    )
    found = await scan(failed)
    assert found.score == 1.0 + points
    assert [(each.result, each.detail) for each in found.auth] == [("fail", "p=reject")]
    (reason,) = [each for each in found.reasons if each.weight == points]
    assert reason.text.startswith("Neither SPF nor DKIM proves that the mail is from bank.example")
    assert f"(Rspamd: {name})" in reason.text


@pytest.mark.parametrize(
    ("fired", "verdict"),
    [
        ({"PHISHING": 4.0, "SUBJ_ALL_CAPS": 3.0}, Verdict.PHISH),
        ({"FREEMAIL_AFF": 4.0, "INTRODUCTION": 2.0}, Verdict.BEC),
        ({"MIME_BAD_EXTENSION": 2.0, "MIME_DOUBLE_BAD_EXTENSION": 3.0}, Verdict.MALWARE),
        ({"BAYES_SPAM": 5.1, "SUBJ_ALL_CAPS": 3.0}, Verdict.SPAM),
        ({"SUBJ_ALL_CAPS": 3.0, "R_WHITE_ON_WHITE": 4.0}, Verdict.SPAM),
    ],
)
async def test_the_kind_is_the_one_that_most_points_speak_for(fired, verdict):
    total = sum(fired.values())
    rest = max(0.0, 6.0 - total)
    found = await scan(result(score=total + rest, symbols=symbols(**fired, OTHER=rest)))
    assert found.verdict is verdict


async def test_what_bayes_holds_to_be_ham_takes_one_point_at_most():
    spared = result(score=4.0, symbols=symbols(PHISHING=7.0, BAYES_HAM=(-3.0, "99.00%")))
    assert (await scan(spared)).score == 6.0


async def test_a_hash_that_others_reported_does_not_condemn_alone():
    rules = load_rules()
    for name in ("GATE_FUZZY_SPAM", "GATE_FUZZY_PHISH"):
        most = rules.of_symbol[name].most
        assert most is not None
        assert most < rules.scale.limit


async def test_a_reason_says_what_was_found_and_names_the_symbol():
    found = await scan(result(symbols=symbols(PHISHING=(4.0, "bank.example->evil.example"))))
    (reason,) = found.reasons
    assert reason.code == "rspamd_phishing"
    assert reason.text == (
        "The text of a link shows another address than the one it opens: "
        "bank.example->evil.example (Rspamd: PHISHING)."
    )
    assert reason.weight == 4.0


async def test_symbols_that_weigh_nothing_are_not_told():
    found = await scan(result(symbols=symbols(MIME_TRACE=0.0, RCPT_COUNT_ONE=0.0)))
    assert found.reasons == ()


async def test_an_answer_with_thousands_of_symbols_gives_a_list_that_a_person_can_read():
    found = await scan(result(symbols=symbols(**{f"S{n}": 0.1 for n in range(3000)})))
    assert len(found.reasons) == 40


async def test_the_version_is_what_rspamd_calls_itself():
    assert (await scan()).version == "3.4"
