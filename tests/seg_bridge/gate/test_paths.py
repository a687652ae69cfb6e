"""MAIL and RCPT, read strictly: what two servers could read differently is no address."""

from __future__ import annotations

import pytest

from seg_bridge.gate.paths import BadCommand, MailCommand, read_mail, read_rcpt

# Line ends and halves of letters that some servers see and others do not.
UNSEEN = ["\x85", "\x9f", "\u2028", "\u2029", "\udc80", "\x7f", "\x0b", "\r", "\n", "\0"]


@pytest.mark.parametrize("letter", UNSEEN)
@pytest.mark.parametrize(
    "form", ["<a{}b@x.example>", "<ab@x{}.example>", "<ab@x.example> SIZE=1{}"]
)
def test_unseen_letters_are_refused_wherever_they_stand(letter: str, form: str):
    argument = form.format(letter)
    with pytest.raises(BadCommand, match=r"^501 5\.5\.2 Control"):
        read_mail(f"FROM:{argument} SMTPUTF8")
    with pytest.raises(BadCommand, match=r"^501 5\.5\.2 Control"):
        read_rcpt(f"TO:{argument}", is_smtputf8=True)


@pytest.mark.parametrize(
    ("local", "reply"),
    [
        *(("a%b", "550 5.1.3"), ("a!b", "550 5.1.3"), ('"a"', "550 5.1.3"), ("a..b", "550 5.1.3")),
        *(
            (".a", "550 5.1.3"),
            ("a.", "550 5.1.3"),
            ("a(b)", "550 5.1.3"),
            ("x" * 129, "550 5.1.3"),
        ),
    ],
)
def test_a_recipient_is_a_plain_name_of_bounded_length(local: str, reply: str):
    with pytest.raises(BadCommand) as refused:
        read_rcpt(f"TO:<{local}@x.example>", is_smtputf8=True)
    assert str(refused.value).startswith(reply)
    assert read_rcpt(f"TO:<{'x' * 128}@x.example>", is_smtputf8=False)


@pytest.mark.parametrize(
    ("argument", "command"),
    [
        ("FROM:<>", MailCommand("")),
        ("from: <a@b.example>", MailCommand("a@b.example")),
        ("FROM:a@b.example SIZE=7", MailCommand("a@b.example", 7)),
        ('FROM:<"a b"@b.example>', MailCommand('"a b"@b.example')),
        ("FROM:<a@[192.0.2.1]> BODY=8bitmime", MailCommand("a@[192.0.2.1]", is_8bit=True)),
        ("FROM:<å@b.example> SMTPUTF8", MailCommand("å@b.example", is_smtputf8=True)),
    ],
)
def test_what_a_sender_may_be(argument: str, command: MailCommand):
    assert read_mail(argument) == command


@pytest.mark.parametrize(
    "argument",
    [
        *(
            "FROM:",
            "FROM:<",
            "FROM:<a@b.example>SIZE=1",
            "FROM:<<a@b.example>>",
            "TO:<a@b.example>",
        ),
        *(
            "FROM:<a@b.example> SIZE=-1",
            "FROM:<a@b.example> SIZE=" + "9" * 16,
            "FROM:<å@b.example>",
        ),
        *(
            "FROM:<" + "x" * 129 + "@b.example>",
            "FROM:<a@" + "b" * 320 + ">",
            "FROM:<@a:b@c.example>",
        ),
    ],
)
def test_what_no_sender_is(argument: str):
    with pytest.raises(BadCommand, match=r"^5"):
        read_mail(argument)
