import asyncio

import pytest

from seg_bridge.gate.hop import OutgoingMail, dot_stuff
from seg_bridge.gate.relay import Relay
from seg_bridge.gate.ways import Way
from tests.seg_bridge.gate.parts import TIMEOUTS, Sink, mail_bytes


@pytest.fixture
async def relay():
    relay = Relay(helo="gate1.example", timeouts=TIMEOUTS)
    yield relay
    await relay.close()


def mail(*recipients, **changes):
    values = {
        "mail_from": "ann@sender.example",
        "recipients": recipients or ("info@acme.example",),
        "data": mail_bytes(),
    }
    return OutgoingMail(**{**values, **changes})


async def states(relay, sink, outgoing=None):
    answers = await relay.send(Way.of(sink.hop), outgoing or mail())
    return {name: answer.state for name, answer in answers.items()}


@pytest.mark.parametrize(
    ("replies", "state"),
    [
        ({}, "accepted"),
        ({".": "550 no"}, "refused"),
        ({".": "451 later"}, "deferred"),
        ({".": ""}, "unknown"),
        ({".": None}, "unknown"),
        ({"DATA": "554 no"}, "refused"),
        ({"DATA": "451 later"}, "deferred"),
        ({"DATA": ""}, "deferred"),
        ({"RCPT": "550 no"}, "refused"),
        ({"RCPT": "450 later"}, "deferred"),
        ({"MAIL": "550 no"}, "refused"),
        ({"MAIL": "421 going down"}, "deferred"),
        ({"MAIL": None}, "deferred"),
        ({"banner": "554 no"}, "deferred"),
        ({"banner": "nonsense"}, "deferred"),
    ],
)
async def test_what_the_hop_did_is_never_guessed(relay, replies, state):
    async with Sink(replies=replies) as sink:
        assert set((await states(relay, sink)).values()) == {state}


async def test_each_recipient_has_his_own_answer(relay, sink):
    sink.replies["RCPT TO:<ceo@"] = "550 5.1.1 unknown"
    found = await states(relay, sink, mail("info@acme.example", "ceo@acme.example"))
    assert found == {"info@acme.example": "accepted", "ceo@acme.example": "refused"}
    assert sink.recipients() == ["info@acme.example"]


async def test_a_hop_that_is_down_is_a_deferral_with_words(relay, sink):
    answers = await relay.send(Way.of("127.0.0.1:1"), mail())
    (answer,) = answers.values()
    assert answer.state == "deferred"
    assert "127.0.0.1:1" in answer.text


async def test_one_connection_serves_many_mails(relay, sink):
    for _ in range(5):
        await relay.send(Way.of(sink.hop), mail())
    assert (len(sink.mails), sink.connections) == (5, 1)


async def test_a_connection_that_went_stale_costs_nothing(relay):
    async with Sink(idle_s=0.05) as sink:
        await relay.send(Way.of(sink.hop), mail())
        await asyncio.sleep(0.2)
        assert set((await states(relay, sink)).values()) == {"accepted"}
        assert (len(sink.mails), sink.connections) == (2, 2)


async def test_a_421_on_a_kept_connection_is_tried_once_more_and_not_without_end(relay, sink):
    await relay.send(Way.of(sink.hop), mail())
    sink.replies["MAIL"] = "421 going down"
    assert set((await states(relay, sink)).values()) == {"deferred"}
    assert sink.connections == 2


async def test_nothing_is_repeated_after_the_end_of_the_mail(relay, sink):
    await relay.send(Way.of(sink.hop), mail())
    sink.replies["."] = ""
    assert set((await states(relay, sink)).values()) == {"unknown"}
    assert (len(sink.mails), sink.connections) == (1, 1)


async def test_the_null_sender_and_the_parameters_go_on(relay, sink):
    await relay.send(Way.of(sink.hop), mail(mail_from="", is_8bit=True, is_smtputf8=True))
    assert sink.mails[0].mail_from == ""
    assert sink.mails[0].options.split()[:2] == ["SMTPUTF8", "BODY=8BITMIME"]


async def test_a_hop_without_smtputf8_refuses_such_mail(relay):
    async with Sink(extensions=("8BITMIME",)) as sink:
        found = await states(relay, sink, mail(is_smtputf8=True))
        assert set(found.values()) == {"refused"}
        assert sink.mails == []


async def test_starttls_that_fails_falls_back_to_plain_text(relay):
    async with Sink(extensions=("STARTTLS", "8BITMIME"), replies={"STARTTLS": "454 no"}) as sink:
        assert set((await states(relay, sink)).values()) == {"accepted"}


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        (b"a\r\n", b"a\r\n"),
        (b"a", b"a\r\n"),
        (b".\r\n", b"..\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"", b"\r\n"),
    ],
)
def test_dots_are_stuffed(data, sent):
    assert dot_stuff(data) == sent


async def test_the_backup_host_gets_what_the_first_one_does_not_take(relay, sink):
    answers = await relay.send(Way.of("127.0.0.1:1", sink.hop), mail())
    (answer,) = answers.values()
    assert (answer.state, answer.hop) == ("accepted", sink.hop)


@pytest.mark.parametrize("replies", [{"RCPT": "550 no"}, {".": "451 later"}, {".": ""}])
async def test_what_the_first_host_has_answered_for_goes_to_no_other(relay, sink, replies):
    async with Sink(replies=replies) as first:
        (answer,) = (await relay.send(Way.of(first.hop, sink.hop), mail())).values()
    assert answer.hop == first.hop
    assert sink.mails == []


@pytest.mark.parametrize("tls", ["must", "verify"])
async def test_a_host_without_tls_gets_no_mail_that_must_have_it(relay, sink, tls):
    (answer,) = (await relay.send(Way.of(sink.hop, tls=tls), mail())).values()
    assert answer.state == "deferred"
    assert "offers no TLS" in answer.text
    assert sink.mails == []


@pytest.mark.parametrize(
    ("replies", "state"),
    [({}, "accepted"), ({"RCPT": "550 5.1.1 no"}, "refused"), ({"MAIL": "451 later"}, "deferred")],
)
async def test_a_host_is_asked_for_a_recipient_and_gets_no_mail(relay, replies, state):
    async with Sink(replies=replies) as host:
        answer = await relay.ask_for(Way.of(host.hop), "new@acme.example")
        assert (answer.state, host.mails) == (state, [])
