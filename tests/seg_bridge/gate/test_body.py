"""One mail in is one mail out, for every sequence of the bytes that matter."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from seg_bridge.gate.body import MailBody
from seg_bridge.gate.hop import dot_stuff
from seg_bridge.gate.outgoing import normalise

TRICKY = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"\0", b"a"]), max_size=14)
ANY_END = re.compile(rb"[\r\n]\.[\r\n]")


@given(TRICKY)
@settings(max_examples=400, deadline=None)
def test_no_server_however_lax_finds_an_end_inside_what_we_send(pieces):
    sent = dot_stuff(normalise(b"".join(pieces)))
    assert not ANY_END.search(b"\r\n" + sent)
    assert sent.count(b"\r") == sent.count(b"\n") == sent.count(b"\r\n")
    assert b"\0" not in sent


@given(TRICKY)
@settings(max_examples=200, deadline=None)
def test_normalising_twice_changes_nothing_more(pieces):
    once = normalise(b"".join(pieces))
    assert normalise(once) == once


@given(TRICKY, st.lists(st.integers(1, 9), min_size=1, max_size=20))
@settings(max_examples=400, deadline=None)
def test_the_end_does_not_depend_on_how_the_bytes_arrive(pieces, sizes):
    wire = b"".join(pieces) + b"\r\n.\r\nNOOP\r\n"
    whole = MailBody(1000)
    expected_rest = whole.feed(wire)
    body = MailBody(1000)
    position, turn, rest = 0, 0, None
    while rest is None:
        size = sizes[turn % len(sizes)]
        rest = body.feed(wire[position : position + size])
        position, turn = position + size, turn + 1
    assert body.mail() == whole.mail()
    assert rest + wire[position:] == expected_rest


@given(TRICKY)
@settings(max_examples=200, deadline=None)
def test_what_a_client_stuffs_comes_out_as_it_was(pieces):
    mail = normalise(b"".join(pieces)) + b"\r\n"
    body = MailBody(1000)
    assert body.feed(dot_stuff(mail) + b".\r\n") == b""
    assert body.mail() == mail


@given(st.integers(1, 60), st.integers(1, 25))
@settings(max_examples=100, deadline=None)
def test_a_mail_is_too_big_at_one_byte_over_the_limit_however_it_arrives(length, size):
    wire = b"x" * length + b"\r\n.\r\nREST"
    body = MailBody(30)
    position, rest = 0, None
    while rest is None:
        rest = body.feed(wire[position : position + size])
        position += size
    assert body.is_too_big == (length + 2 > 30)
    assert rest + wire[position:] == b"REST"
