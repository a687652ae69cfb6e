"""What the gate answers for when hop, disk or engine fail."""

import errno
import os

import pytest

from incidents.words import MatrixAction, Verdict
from seg_bridge.gate.policy import sign_snapshot
from seg_bridge.gate.spool import SpoolTimes
from tests.seg_bridge.gate.parts import SECRET, block, mail_bytes, snapshot_of, tenant, until

INFO, CEO = "info@acme.example", "ceo@acme.example"
SOON = SpoolTimes(first_retry_s=0.2)


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("replies", "code", "outcome"),
    [
        ({".": "451 busy"}, "451", "deferred"),
        ({".": "554 spam"}, "550", "rejected"),
        ({"RCPT": "550 5.1.1 unknown"}, "550", "rejected"),
        ({"MAIL": "421 going down"}, "451", "deferred"),
        ({".": ""}, "451", "unknown"),
    ],
)
async def test_what_the_next_hop_says_is_what_the_sender_hears(
    gate_for, sink, replies, code, outcome
):
    sink.replies.update(replies)
    async with gate_for() as gate:
        reply = await gate.send(mail_bytes())
        assert reply.startswith(code)
        assert reply.split()[2] == gate.observations()[0]["trace_ulid"]
        assert gate.outcomes() == {INFO: outcome}
        assert gate.originals() == []


async def test_a_next_hop_that_is_down_is_a_deferral_on_record(gate_for, sink):
    sink._server.close()
    async with gate_for() as gate:
        assert (await gate.send(mail_bytes())).startswith("451 4.4.0")
        (seen,) = gate.observations()
        assert (seen["action"], seen["place"]) == ("deferred", "nowhere")
        assert seen["detail"]["sent_smtp_code"] == 451


async def test_recipients_that_the_hop_puts_off_are_spooled_before_the_250(gate_for, sink):
    sink.replies[f"RCPT TO:<{CEO}"] = "450 later"
    async with gate_for(spool_times=SOON) as gate:
        assert (await gate.send(mail_bytes(), INFO, CEO)).startswith("250")
        assert gate.outcomes() == {INFO: "delivered", CEO: "deferred"}
        assert len(left_in(gate.settings.spool_folder)) == 2
        del sink.replies[f"RCPT TO:<{CEO}"]
        await until(lambda: gate.outcomes()[CEO] == "delivered")
        await until(lambda: left_in(gate.settings.spool_folder) == [])
    assert sink.recipients() == [CEO, INFO]
    bodies = {mail.data for mail in sink.mails}
    assert len(bodies) == 1, "the spooled copy is the mail that the others got"


async def test_spooled_copies_survive_a_restart(gate_for, sink):
    sink.replies[f"RCPT TO:<{CEO}"] = "450 later"
    async with gate_for() as gate:
        assert (await gate.send(mail_bytes(), INFO, CEO)).startswith("250")
    del sink.replies[f"RCPT TO:<{CEO}"]
    async with gate_for() as gate:
        await until(lambda: gate.outcomes()[CEO] == "delivered")
    assert sink.recipients() == [CEO, INFO]


async def test_a_recipient_that_the_hop_refuses_beside_others_is_held_not_lost(gate_for, sink):
    sink.replies[f"RCPT TO:<{CEO}"] = "550 5.1.1 unknown"
    async with gate_for() as gate:
        assert (await gate.send(mail_bytes(), INFO, CEO)).startswith("250")
        assert gate.outcomes() == {INFO: "delivered", CEO: "held"}
        assert [path.read_bytes() for path in gate.originals()] == [mail_bytes()]
        rule = next(each["rule"] for each in gate.observations() if each["recipient"] == CEO)
        assert "the next hop refused this recipient" in rule


async def test_a_spooled_copy_that_the_hop_refuses_at_last_is_held(gate_for, sink):
    sink.replies[f"RCPT TO:<{CEO}"] = "450 later"
    async with gate_for(spool_times=SOON) as gate:
        await gate.send(mail_bytes(), INFO, CEO)
        sink.replies[f"RCPT TO:<{CEO}"] = "550 never"
        await until(lambda: gate.outcomes()[CEO] == "held")
        last = gate.observations()[-1]
        assert last["place"] == "hold"
        assert last["evidence"] != ""


async def test_a_spooled_copy_is_not_tried_for_ever(gate_for, sink):
    sink.replies[f"RCPT TO:<{CEO}"] = "450 later"
    times = SpoolTimes(first_retry_s=0.1, give_up_after_s=0.2)
    async with gate_for(spool_times=times) as gate:
        await gate.send(mail_bytes(), INFO, CEO)
        await until(lambda: gate.outcomes()[CEO] == "held")
        assert "within five days" in gate.observations()[-1]["rule"]


async def test_a_client_whose_host_fails_does_not_cost_another_client_its_mail(gate_for, sink):
    sink.replies["RCPT TO:<info@globex.example"] = "450 later"
    async with gate_for(tenant("globex", 2, sink.hop)) as gate:
        reply = await gate.send(mail_bytes(), INFO, "info@globex.example")
        assert reply.startswith("250")
        assert gate.outcomes() == {INFO: "delivered", "info@globex.example": "deferred"}


async def test_a_held_copy_beside_a_hop_that_is_down_leaves_all_with_the_sender(gate_for, sink):
    sink.replies["MAIL"] = "421 down"
    async with gate_for(rules=(block("ann@sender.example", recipient=CEO),)) as gate:
        assert (await gate.send(mail_bytes(), INFO, CEO)).startswith("451")
        assert gate.outcomes() == {INFO: "deferred", CEO: "deferred"}
        assert gate.originals() == []


async def test_a_held_copy_beside_a_hop_that_refuses_keeps_both(gate_for, sink):
    sink.replies["RCPT"] = "550 unknown"
    async with gate_for(rules=(block("ann@sender.example", recipient=CEO),)) as gate:
        assert (await gate.send(mail_bytes(), INFO, CEO)).startswith("250")
        assert gate.outcomes() == {INFO: "held", CEO: "held"}


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("call", ["write", "fdatasync", "fsync"])
@pytest.mark.parametrize("subject", ["Hello", "phish 9", "spam 9"])
async def test_a_disk_that_fails_means_4xx_and_never_250(
    gate_for, sink, monkeypatch, code, call, subject
):
    real = getattr(os, call)

    def fail(*args):
        raise OSError(code, os.strerror(code))

    async with gate_for(matrix={Verdict.SPAM: MatrixAction.REJECT}) as gate:
        assert (await gate.send(mail_bytes())).startswith("250")
        delivered = len(sink.mails)
        monkeypatch.setattr(os, call, fail)
        reply = await gate.send(mail_bytes(subject))
        monkeypatch.setattr(os, call, real)
        if call == "fsync" and subject != "phish 9":
            # The journal's open segment needs only fdatasync: the disk has not failed it.
            assert not reply.startswith("4")
        else:
            assert reply.startswith("451 4.3.0")
            assert len(sink.mails) == delivered
            assert gate.originals() == []
        assert (await gate.send(mail_bytes(subject)))[0] in "25"


async def test_held_bytes_whose_name_is_not_durable_are_not_answered_for(
    gate_for, sink, monkeypatch
):
    def fail(folder):
        raise OSError(errno.EIO, "no")

    async with gate_for() as gate:
        assert (await gate.send(mail_bytes("phish 9"))).startswith("250")
        monkeypatch.setattr("seg_bridge.gate.originals.sync_folder", fail)
        assert (await gate.send(mail_bytes("phish 8"))).startswith("451")
        assert len(gate.originals()) == 1


async def test_a_policy_whose_name_is_not_durable_is_not_followed(gate_for, sink, monkeypatch):
    def fail(folder):
        raise OSError(errno.EIO, "no")

    async with gate_for() as gate:
        monkeypatch.setattr("seg_bridge.gate.files.sync_folder", fail)
        newer = snapshot_of(tenant("acme", 1, sink.hop), version="v2").as_json()
        with pytest.raises(OSError, match="no"):
            gate.gate.keeper.replace(sign_snapshot(newer, SECRET))
        assert gate.gate.keeper.current.version == "v1"


async def test_a_disk_that_fails_after_the_relay_is_on_record_once_it_is_well(
    gate_for, sink, monkeypatch
):
    real = os.fdatasync
    syncs = []

    def fail_second(fd):
        syncs.append(fd)
        if len(syncs) == 2:
            raise OSError(errno.EIO, "once")
        real(fd)

    async with gate_for() as gate:
        monkeypatch.setattr(os, "fdatasync", fail_second)
        assert (await gate.send(mail_bytes("first"))).startswith("451")
        assert len(sink.mails) == 1
        assert (await gate.send(mail_bytes("second"))).startswith("250")
        first = next(each for each in gate.observations() if each["mail"]["subject"] == "first")
        assert first["action"] == "delivered"
        assert "told to repeat" in first["rule"]
        kinds = [record["kind"] for record in gate.records()]
        assert kinds.count("begun") == kinds.count("done") == 2


async def test_a_begin_without_outcome_is_unknown_after_a_restart(gate_for, sink):
    async with gate_for() as gate:
        await gate.send(mail_bytes(), INFO)
        (path,) = gate.settings.journal_folder.glob("*.log")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:40])
    async with gate_for() as gate:
        (seen,) = gate.observations()
        assert (seen["action"], seen["place"]) == ("unknown", "unknown")
        assert seen["mail"]["subject"] == "Hello"
        assert "before the next hop's answer was on record" in seen["rule"]
    async with gate_for() as gate:
        assert len(gate.observations()) == 1, "it is settled once"


async def test_a_held_copy_of_an_unfinished_mail_was_never_answered_for(gate_for, sink):
    async with gate_for(rules=(block("ann@sender.example", recipient=CEO),)) as gate:
        await gate.send(mail_bytes(), INFO, CEO)
        (path,) = gate.settings.journal_folder.glob("*.log")
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    async with gate_for() as gate:
        assert gate.outcomes() == {INFO: "unknown", CEO: "deferred"}
        assert gate.originals() == [], "its sender has kept it"


async def test_rules_are_in_force_after_a_restart_without_any_console(gate_for, sink):
    async with gate_for(rules=(block("ann@sender.example"),)):
        pass
    gate = gate_for()
    gate.tenants = ()
    gate.ingest.fail_with = [503] * 1000
    async with gate:
        assert (await gate.send(mail_bytes())).startswith("250")
        assert gate.outcomes() == {INFO: "held"}


async def test_a_bug_in_the_gate_leaves_the_mail_with_its_sender(gate_for, sink, monkeypatch):
    def broken(**_):
        raise RuntimeError("bug")

    monkeypatch.setattr("seg_bridge.gate.core.decide", broken)
    async with gate_for() as gate:
        assert (await gate.send(mail_bytes())).startswith("451")
        assert sink.mails == []
