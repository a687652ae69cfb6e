"""Domains without a list of recipients: the mail host is asked, in both fronts."""

from dataclasses import replace

import pytest

from seg_bridge.gate.known import CANNOT_ASK, KNOWN_FOR_S, NO_SUCH_MAILBOX, UNKNOWN_FOR_S, Known
from seg_bridge.gate.policy import Route
from seg_bridge.gate.relay import Relay
from tests.seg_bridge.gate.mta import ScriptedMta
from tests.seg_bridge.gate.parts import TIMEOUTS, mail_bytes, tenant

NEW = "new@acme.example"


def asking(next_hop, **changes):
    policy = tenant("acme", 1, next_hop, "info")
    (domain,) = policy.domains
    return replace(policy, domains=(replace(domain, asks_hop=True, **changes),))


@pytest.mark.parametrize(
    ("replies", "starts"),
    [({}, "250"), ({"RCPT TO:<new@": "550 no"}, "550 5.1.1"), ({"banner": "421 no"}, "451 4.4.1")],
)
async def test_the_embedded_front_gives_the_mail_hosts_answer(gate_for, sink, replies, starts):
    sink.replies.update(replies)
    async with gate_for(domains=asking(sink.hop).domains) as gate:
        assert (await gate.send(mail_bytes(), NEW)).startswith(starts)
        assert sink.recipients() == ([NEW] if starts == "250" else [])


@pytest.mark.parametrize(
    ("replies", "verdict"),
    [({}, "c"), ({"RCPT TO:<new@": "550 no"}, "550"), ({"banner": "421 no"}, "451")],
)
async def test_the_milter_front_too(gate_for, sink, tmp_path, replies, verdict):
    sink.replies.update(replies)
    async with gate_for(domains=asking(sink.hop).domains, milter=tmp_path / "m.sock") as gate:
        mta = await ScriptedMta.connect(gate.settings.milter)
        taken = await mta.envelope([NEW, "info@acme.example"])
        mta.close()
    assert ("info@acme.example" in taken, NEW in taken) == (True, verdict == "c")


async def test_a_host_is_asked_once_for_a_while(sink):
    policy = asking(sink.hop)
    route, now = Route(NEW, policy, policy.domains[0], is_listed=False), [0.0]
    relay = Relay(helo="gate1.example", timeouts=TIMEOUTS)
    known = Known(relay, clock=lambda: now[0])
    assert (await known.ask(route), await known.ask(route), sink.connections) == ("", "", 1)
    now[0] += KNOWN_FOR_S
    sink.replies["RCPT"] = "550 gone"
    assert (await known.ask(route), await known.ask(route)) == (NO_SUCH_MAILBOX,) * 2
    assert sink.connections == 2
    now[0] += UNKNOWN_FOR_S
    sink.replies["RCPT"] = "450 later"
    assert (await known.ask(route), await known.ask(route)) == (CANNOT_ASK,) * 2
    assert sink.connections == 4, "what is not known is not kept"
