import hashlib

import pytest

from incidents.mail.headers import header_values
from incidents.mail.trace import TRACE_HEADER, check_trace
from incidents.observations import Observation
from incidents.words import MatrixAction, Verdict
from tests.seg_bridge.gate.parts import TRACE_KEY, allow, block, mail_bytes, tenant


async def test_clean_mail_is_relayed_and_on_record_before_the_250(gate_for, sink):
    async with gate_for() as gate:
        reply = await gate.send(mail_bytes())
        assert reply.startswith("250")
        assert sink.recipients() == ["info@acme.example"]
        assert [record["kind"] for record in gate.records()] == ["begun", "done"]
        (seen,) = gate.observations()
        observation = Observation.from_json(seen)
        assert observation.action == "delivered"
        assert observation.verdict is Verdict.CLEAN
        assert observation.detail["next_hop_reply"] == "250 taken"
        assert observation.detail["sent_smtp_code"] == 250
        assert observation.mail["subject"] == "Hello"
        assert observation.mail["auth"][0]["result"] == "pass"
        assert gate.originals() == []


async def test_the_mail_goes_on_with_trace_and_authentication_and_its_body_untouched(
    gate_for, sink
):
    raw = mail_bytes(body="One\r\n.dot\r\n..two\r\n\xe4\r\n")
    async with gate_for() as gate:
        await gate.send(raw)
    sent = sink.mails[0].data
    assert sent.endswith(raw)
    (value,) = header_values(sent, TRACE_HEADER)
    trace = check_trace(value, {"k1": TRACE_KEY})
    assert trace is not None
    assert trace.tenant_id == 1
    assert trace.ulid == gate.observations()[0]["trace_ulid"]
    assert header_values(sent, "Authentication-Results") == [
        "gate1.example; spf=pass smtp.mailfrom=sender.example"
    ]
    assert "mail.sender.example ([127.0.0.1])" in header_values(sent, "Received")[0]


async def test_words_that_only_we_may_say_are_taken_out(gate_for, sink):
    forged = (
        b"X-Bailey-Trace: forged\r\nx-bailey-verdict : clean\r\n"
        b"Authentication-Results: gate1.example; dmarc=pass\r\n"
        b'Authentication-Results: (c) "GATE1.example" 1; dmarc=pass\r\n'
        b"Authentication-Results: other.example; spf=pass\r\n"
    )
    async with gate_for() as gate:
        await gate.send(forged + mail_bytes())
    sent = sink.mails[0].data
    assert len(header_values(sent, TRACE_HEADER)) == 1
    assert header_values(sent, "X-Bailey-Verdict") == []
    assert header_values(sent, "Authentication-Results") == [
        "gate1.example; spf=pass smtp.mailfrom=sender.example",
        "other.example; spf=pass",
    ]


async def test_held_mail_is_kept_with_its_bytes_and_not_relayed(gate_for, sink):
    raw = mail_bytes("phish 9")
    async with gate_for() as gate:
        reply = await gate.send(raw)
        assert reply.startswith("250")
        assert sink.mails == []
        (seen,) = gate.observations()
        assert (seen["action"], seen["place"]) == ("held", "hold")
        assert seen["rule"] == "policy of Acme: phish is held"
        assert seen["evidence"] == hashlib.sha256(raw).hexdigest()
        assert [path.read_bytes() for path in gate.originals()] == [raw]


async def test_refused_mail_gets_550_and_is_on_record(gate_for, sink):
    async with gate_for(matrix={Verdict.SPAM: MatrixAction.REJECT}) as gate:
        reply = await gate.send(mail_bytes("spam 9"))
        assert reply.startswith("550 5.7.1")
        assert gate.outcomes() == {"info@acme.example": "rejected"}
        assert sink.mails == []


async def test_tagged_mail_carries_the_clients_mark_and_the_verdict(gate_for, sink):
    async with gate_for(mark_subject="[check]") as gate:
        await gate.send(mail_bytes("suspicious 7"))
        assert gate.outcomes() == {"info@acme.example": "delivered"}
    sent = sink.mails[0].data
    assert header_values(sent, "Subject") == ["[check] suspicious 7"]
    assert header_values(sent, "X-Bailey-Verdict") == ["suspicious"]


@pytest.mark.parametrize(
    ("policy", "code", "outcome"),
    [("defer", "451", "deferred"), ("deliver", "250", "delivered"), ("hold", "250", "held")],
)
async def test_mail_that_was_not_scanned_follows_the_policy_for_it(
    gate_for, sink, policy, code, outcome
):
    async with gate_for(on_not_scanned=MatrixAction(policy)) as gate:
        assert (await gate.send(mail_bytes("silent"))).startswith(code)
        (seen,) = gate.observations()
        assert seen["action"] == outcome
        assert seen["verdict"] is None
        assert seen["score"] is None
        assert "not scanned (subject did not answer)" in seen["rule"]


async def test_bytes_are_kept_where_the_policy_says_so(gate_for, sink):
    changes = {"act_from": 20.0, "keep_original": frozenset({Verdict.SPAM})}
    async with gate_for(**changes) as gate:
        await gate.send(mail_bytes("spam 9"))
        await gate.send(mail_bytes("phish 9"))
        assert len(sink.mails) == 2
        assert len(gate.originals()) == 1


async def test_an_unreadable_mail_is_unscannable_and_its_bytes_are_kept(gate_for, sink):
    class NoReader:
        async def read_async(self, raw, *, envelope_from=""):
            from incidents.mail.facts import MailFacts

            return MailFacts(
                size_bytes=len(raw), raw_sha256="", is_readable=False, problems=("parser_killed",)
            )

    gate = gate_for(matrix={Verdict.UNSCANNABLE: MatrixAction.DELIVER})
    async with gate:
        gate.gate._reader = NoReader()
        await gate.gate.stop()
        gate.gate = type(gate.gate)(
            gate.settings, engines=gate.engines, reader=NoReader(), client=gate.client
        )
        await gate.gate.start()
        assert (await gate.send(mail_bytes())).startswith("250")
        (seen,) = gate.observations()
        assert seen["verdict"] == "unscannable"
        assert len(gate.originals()) == 1


async def test_each_recipient_gets_his_own_decision(gate_for, sink):
    rules = (block("ann@sender.example", recipient="ceo@acme.example"),)
    async with gate_for(rules=rules) as gate:
        reply = await gate.send(mail_bytes(), "info@acme.example", "ceo@acme.example")
        assert reply.startswith("250")
        assert gate.outcomes() == {"info@acme.example": "delivered", "ceo@acme.example": "held"}
        assert sink.recipients() == ["info@acme.example"]


async def test_a_refusal_for_some_recipients_only_becomes_a_hold(gate_for, sink):
    rules = (block("ann@sender.example", recipient="ceo@acme.example", action=MatrixAction.REJECT),)
    async with gate_for(rules=rules) as gate:
        reply = await gate.send(mail_bytes(), "info@acme.example", "ceo@acme.example")
        assert reply.startswith("250")
        assert gate.outcomes()["ceo@acme.example"] == "held"


async def test_clients_behind_the_same_host_get_their_own_copies(gate_for, sink):
    globex = tenant("globex", 2, sink.hop, rules=(block("ann@sender.example"),))
    initech = tenant("initech", 3, sink.hop)
    async with gate_for(globex, initech) as gate:
        names = ("info@acme.example", "info@globex.example", "info@initech.example")
        assert (await gate.send(mail_bytes(), *names)).startswith("250")
        assert gate.outcomes() == dict(zip(names, ("delivered", "held", "delivered"), strict=True))
        traces = [header_values(mail.data, TRACE_HEADER)[0] for mail in sink.mails]
        assert [trace.split("; ")[2] for trace in traces] == ["t=1", "t=3"]
        assert {each["tenant_id"] for each in gate.observations()} == {1, 2, 3}
        assert [path.parent.name for path in gate.originals()] == ["2"]


async def test_a_rule_made_while_the_mail_comes_in_counts(gate_for, sink):
    from seg_bridge.gate.policy import sign_snapshot
    from tests.seg_bridge.gate.parts import SECRET, snapshot_of

    async with gate_for() as gate:
        client = await gate.connect()
        await client.envelope("info@acme.example")
        blocked = tenant("acme", 1, sink.hop, rules=(block("ann@sender.example"),))
        newer = snapshot_of(blocked, version="v2")
        gate.gate.keeper.replace(sign_snapshot(newer.as_json(), SECRET))
        await client.data(mail_bytes() + b".\r\n")
        client.close()
        assert gate.outcomes() == {"info@acme.example": "held"}
        assert gate.observations()[0]["policy_version"] == "v2"


async def test_an_allowed_sender_goes_through_where_spam_would_be_held(gate_for, sink):
    async with gate_for(rules=(allow("ann@sender.example"),)) as gate:
        await gate.send(mail_bytes("spam 9"))
        assert gate.outcomes() == {"info@acme.example": "delivered"}
        decided = gate.observations()[0]["detail"]["decided"]
        assert (decided["by"], decided["rule_id"], decided["owner"]) == ("allow", "a1", "Ana")


async def test_mail_that_goes_in_a_circle_is_refused(gate_for, sink):
    hops = b"Received: from a by b; Sun, 22 Nov 2026 12:00:00 +0000\r\n" * 51
    async with gate_for() as gate:
        assert (await gate.send(hops + mail_bytes())).startswith("554 5.4.6")
        assert gate.outcomes() == {"info@acme.example": "rejected"}
        assert sink.mails == []


async def test_two_gates_never_share_a_folder(gate_for):
    from seg_bridge.gate.server import FolderTaken, take_folder

    async with gate_for() as gate:
        with pytest.raises(FolderTaken):
            take_folder(gate.folder)
