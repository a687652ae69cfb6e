"""A real Rspamd and a real clamd, started as the launcher starts them: what they find, what they
learn, and what they answer while a dependency of theirs is sick."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import dkim
import pytest

from incidents.mail import read_mail
from incidents.words import Verdict
from seg_bridge.engines import EngineDidNotAnswer, Scan
from seg_bridge.engines.clamav import ClamavEngine
from seg_bridge.engines.rspamd.learning import Flag, NotTaught, Teacher
from tests.real_engines import RealClamd, RealRspamd, paused
from tests.seg_bridge.engines.test_auth import keys
from tests.seg_bridge.engines.test_embedded import (
    EICAR,
    envelope,
    letter,
    with_attachment,
    zipped,
)

SENDER = ("192.0.2.10", "mail.nordvent.example")
WORDS = [f"{first}{last}" for first in ("gal", "tor", "min", "sev") for last in ("an", "is", "ob")]


def sender_zone(name: str, policy: str) -> dict[tuple[str, str], tuple[str, ...]]:
    return {
        (name, "TXT"): ('"v=spf1 ip4:192.0.2.10 -all"',),
        (name, "A"): ("192.0.2.10",),
        (name, "MX"): (f"10 mail.{name}.",),
        (f"mail.{name}", "A"): ("192.0.2.10",),
        (f"_dmarc.{name}", "TXT"): (f'"v=DMARC1; p={policy}"',),
    }


def from_domain(name: str, text: str = "The drawings for Thursday are done.") -> bytes:
    mail = letter(text, From=f"Tove <tove@{name}>", Message_ID=f"<{random.random()}@{name}>")
    return mail.as_bytes().replace(b"\n", b"\r\n")


async def scan(rspamd: RealRspamd, raw: bytes, name: str, **changes: Any) -> Scan:
    fields = {
        "helo": f"mail.{name}",
        "client_name": f"mail.{name}",
        "mail_from": f"tove@{name}",
        "mail_id": "01J00000000000000000000001",
    }
    return await rspamd.engine().scan(raw, read_mail(raw), envelope(**(fields | changes)))


def auth(found: Scan) -> dict[str, str]:
    return {each.method: each.result for each in found.auth}


def codes(found: Scan) -> set[str]:
    return {reason.code for reason in found.reasons}


# What it finds


async def test_a_signed_mail_from_its_own_host_passes_all_three(real_rspamd):
    name = "signed.example"
    private, record = keys()
    real_rspamd.zone.update(sender_zone(name, "reject"))
    real_rspamd.zone["s1._domainkey.signed.example", "TXT"] = (f'"{record}"',)
    raw = from_domain(name)
    signed = dkim.sign(raw, b"s1", name.encode(), private) + raw
    found = await scan(real_rspamd, signed, name)
    assert auth(found) == {"spf": "pass", "dkim": "pass", "dmarc": "pass"}
    assert found.verdict is Verdict.CLEAN
    assert [each.domain for each in found.auth] == [name] * 3
    changed = signed.replace(b"Thursday", b"Friday!!")
    assert auth(await scan(real_rspamd, changed, name))["dkim"] == "fail"


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ("reject", "rspamd_dmarc_policy_reject"),
        ("quarantine", "rspamd_dmarc_policy_quarantine"),
        ("none", "rspamd_dmarc_policy_softfail"),
    ],
)
async def test_a_forged_sender_fails_with_what_his_domain_asks_for(real_rspamd, policy, code):
    name = f"forged-{policy}.example"
    real_rspamd.zone.update(sender_zone(name, policy))
    found = await scan(real_rspamd, from_domain(name), name, client_ip="203.0.113.66")
    assert auth(found)["spf"] == "fail"
    assert ("dmarc", "fail", f"p={policy}") in {
        (each.method, each.result, each.detail) for each in found.auth
    }
    assert code in codes(found)


async def test_a_link_that_shows_another_address_is_phishing(real_rspamd):
    name = "deceives.example"
    real_rspamd.zone.update(sender_zone(name, "reject"))
    mail = letter(From=f"Tove <tove@{name}>")
    mail.set_content(
        '<p>Please confirm: <a href="http://evil-host.com/login">https://www.bank.example/login'
        "</a> before the end of the day.</p>",
        subtype="html",
    )
    raw = mail.as_bytes().replace(b"\n", b"\r\n")
    found = await scan(real_rspamd, raw, name, client_ip="203.0.113.66")
    assert found.verdict is Verdict.PHISH
    assert "rspamd_phishing" in codes(found)


async def test_a_private_address_is_checked_like_any_other(real_rspamd):
    name = "forged-inside.example"
    real_rspamd.zone.update(sender_zone(name, "reject"))
    found = await scan(real_rspamd, from_domain(name), name, client_ip="10.1.2.3")
    assert auth(found)["spf"] == "fail"


async def test_a_sender_with_broken_dns_is_judged_while_the_resolver_lives(real_rspamd):
    name = "broken.example"
    real_rspamd.zone[name, "TXT"] = ("SERVFAIL",)
    found = await scan(real_rspamd, from_domain(name), name)
    assert auth(found)["spf"] == "temperror"


# What it learns


def babble(seed: int, kind: str) -> str:
    """Text of one kind that is never the same."""
    source = random.Random(f"{kind}{seed}")
    return " ".join(f"{kind}{source.choice(WORDS)}" for _ in range(80))


async def test_each_client_has_a_filter_of_his_own(real_rspamd):
    name = "learned.example"
    teacher = real_rspamd.teacher()
    for seed in range(22):
        spam, ham = (from_domain(name, babble(seed, kind)) for kind in ("buy", "plan"))
        assert await teacher.teach(spam, tenant_id=1, as_spam=True)
        assert await teacher.teach(ham, tenant_id=1, as_spam=False)
    new = from_domain(name, babble(99, "buy"))
    taught = await scan(real_rspamd, new, name, tenant_id=1)
    assert "rspamd_bayes_spam" in codes(taught)
    (reason,) = (each for each in taught.reasons if each.code == "rspamd_bayes_spam")
    assert "this client reported as spam" in reason.text
    for other in (2, None):
        found = await scan(real_rspamd, new, name, tenant_id=other)
        assert not codes(found) & {"rspamd_bayes_spam", "rspamd_bayes_ham"}
    wanted = await scan(real_rspamd, from_domain(name, babble(98, "plan")), name, tenant_id=1)
    (reason,) = (each for each in wanted.reasons if each.code == "rspamd_bayes_ham")
    assert reason.weight == -1.0


async def test_teaching_twice_changes_nothing_and_changing_ones_mind_does(real_rspamd):
    teacher = real_rspamd.teacher()
    raw = from_domain("twice.example", babble(7, "twice"))
    said = [await teacher.teach(raw, tenant_id=5, as_spam=True) for _ in range(2)]
    assert said == ["learned", "known before"]
    assert await teacher.teach(raw, tenant_id=5, as_spam=False) == "learned"
    assert await teacher.teach(raw, tenant_id=6, as_spam=True) == "learned"
    short = letter("Yes.").as_bytes()
    assert (await teacher.teach(short, tenant_id=5, as_spam=False)).startswith("not needed")


async def test_without_the_password_nothing_is_learned(real_rspamd):
    stranger = Teacher(real_rspamd.learn, "guess")
    with pytest.raises(NotTaught, match="401"):
        await stranger.teach(from_domain("x.example"), tenant_id=1, as_spam=False)


async def test_what_one_client_reported_is_known_to_all_without_saying_whose_it_was(real_rspamd):
    name = "wave.example"
    text = babble(3, "wave")
    teacher = real_rspamd.teacher()
    reported = from_domain(name, text).replace(b"info@acme.example", b"info@globex.example")
    assert await teacher.share(reported, Flag.SPAM) == "shared"
    again = from_domain(name, text + " and one word more")
    for _ in range(40):
        found = await scan(real_rspamd, again, name, tenant_id=2)
        if "rspamd_gate_fuzzy_spam" in codes(found):
            break
        await asyncio.sleep(0.1)
    (reason,) = (each for each in found.reasons if each.code == "rspamd_gate_fuzzy_spam")
    assert "Nearly the same mail was reported as spam before" in reason.text
    told = f"{reason.text} {reason.value}".lower()
    assert not any(word in told for word in ("globex", "acme", name))
    other = await scan(real_rspamd, from_domain(name, babble(4, "calm")), name)
    assert "rspamd_gate_fuzzy_spam" not in codes(other)
    assert await teacher.unshare(reported, Flag.SPAM) == "taken back"
    assert await teacher.share(letter("Yes.").as_bytes(), Flag.SPAM) == "too short for a hash"


# What it answers while something is sick


async def refusal(rspamd: RealRspamd, name: str) -> str:
    with pytest.raises(EngineDidNotAnswer) as caught:
        await scan(rspamd, from_domain(name), name)
    return str(caught.value)


async def test_a_store_that_hangs_means_not_scanned(real_rspamd):
    with paused(real_rspamd.store):
        assert "store" in await refusal(real_rspamd, "nostore.example")
    assert (await scan(real_rspamd, from_domain("y.example"), "y.example")).engine == "rspamd"


async def test_a_store_that_is_dead_means_not_scanned(real_rspamd):
    real_rspamd.store.stop()
    try:
        assert "store" in await refusal(real_rspamd, "nostore.example")
    finally:
        real_rspamd.restart_store()


async def test_an_rspamd_that_hangs_means_not_scanned(real_rspamd):
    with paused(real_rspamd.process):
        engine = real_rspamd.engine(timeout_s=0.5)
        raw = from_domain("z.example")
        with pytest.raises(EngineDidNotAnswer, match="no answer within"):
            await engine.scan(raw, read_mail(raw), envelope())


# clamd


async def clamd_says(clamd: RealClamd, raw: bytes, **options: float) -> Scan:
    engine = ClamavEngine(clamd.endpoint, **options)
    return await engine.scan(raw, read_mail(raw), envelope())


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        (b"The drawings.", Verdict.CLEAN),
        (EICAR, Verdict.MALWARE),
        (zipped("e.com", EICAR), Verdict.MALWARE),
        (zipped("inner.zip", zipped("deep.zip", zipped("e.com", EICAR))), Verdict.MALWARE),
        (zipped("zeros", bytes(60_000_000)), Verdict.UNSCANNABLE),
    ],
    ids=["clean", "plain", "zip", "zip in zip in zip", "bomb"],
)
async def test_clamd_finds_it_also_in_archives(real_clamd, content, verdict):
    found = await clamd_says(real_clamd, with_attachment(content))
    assert found.verdict is verdict
    assert found.version.startswith("1.")


async def test_a_clamd_that_hangs_means_not_scanned(real_clamd):
    with paused(real_clamd.process), pytest.raises(EngineDidNotAnswer, match="no answer within"):
        await clamd_says(real_clamd, letter().as_bytes(), timeout_s=0.5)
    assert (await clamd_says(real_clamd, letter().as_bytes())).verdict is Verdict.CLEAN
