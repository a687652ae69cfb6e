"""What sender and gate said is on record, and each client reads its own part of it only."""

from typing import Any

from seg_bridge.gate.dialogue import MOST_CHARS, MOST_LINES, Said, exchange, told_to
from tests.seg_bridge.gate.parts import mail_bytes, tenant


def dialogue(seen: dict[str, Any]) -> list[str]:
    return [f"{by}: {line}" for by, line in seen["detail"]["dialogue"]]


async def test_the_dialogue_is_on_record_with_the_mail(gate_for, sink):
    async with gate_for() as gate:
        await gate.send(mail_bytes())
        (seen,) = gate.observations()
    assert dialogue(seen) == [
        "sender: EHLO mail.sender.example",
        "gate: 250 gate1.example",
        "sender: MAIL FROM:<ann@sender.example>",
        "gate: 250 2.1.0 Ok",
        "sender: RCPT TO:<info@acme.example>",
        "gate: 250 2.1.5 Ok",
        "sender: DATA",
        "gate: 354 End the mail with CR LF . CR LF",
    ]
    assert seen["detail"]["next_hop_tls"] == ""


async def test_a_client_does_not_read_who_else_got_the_mail(gate_for, sink):
    async with gate_for(tenant("globex", 2, sink.hop)) as gate:
        client = await gate.connect()
        names = ("info@acme.example", "info@globex.example", "x@globex.example", "x@other.example")
        await client.envelope(*names)
        await client.data(mail_bytes() + b"\r\n.\r\n")
        client.close()
        seen = {each["tenant_id"]: "\n".join(dialogue(each)) for each in gate.observations()}
    assert "globex" not in seen[1]
    assert "acme" not in seen[2]
    assert "sender: RCPT TO:<x@globex.example>\ngate: 550 5.1.1 No such mailbox here" in seen[2]
    assert not any("other.example" in text for text in seen.values())


async def test_what_is_kept_of_a_sender_who_repeats_himself_is_bounded(gate_for, sink):
    async with gate_for() as gate:
        client = await gate.connect()
        await client.envelope(*["info@acme.example"] * 600)
        await client.data(mail_bytes() + b"\r\n.\r\n")
        client.close()
        lines = dialogue(gate.observations()[0])
    assert len(lines) == MOST_LINES + 1
    assert lines[-1].startswith("gate: … and ")


def test_lines_are_printable_and_short():
    sender, gate = exchange("EHLO \x1b[31m" + "x" * 999, "250-one\r\n250 two", 7)
    assert sender == Said("sender", ("EHLO ?[31m" + "x" * 999)[:MOST_CHARS], 7)
    assert gate == Said("gate", "250-one", 7)
    assert told_to(8, (sender, gate)) == []
