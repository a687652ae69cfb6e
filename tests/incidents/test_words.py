"""The groups of verdicts that everything else is built on."""

import pytest

from incidents.words import GRAVE, HARMLESS, THREATS, Verdict, differ, is_threat


def test_every_verdict_is_a_threat_or_harmless_and_what_is_grave_is_a_threat():
    assert sorted((*HARMLESS, *THREATS)) == sorted(Verdict)
    assert set(GRAVE) < set(THREATS)


@pytest.mark.parametrize("word", ["", None, "blind", "not_seen", *HARMLESS])
def test_who_said_nothing_condemned_nothing(word):
    assert not is_threat(word)


@pytest.mark.parametrize(
    ("gateway", "mailbox", "quarrel"),
    [
        ("clean", "phish", True),
        ("malware", "graymail", True),
        ("spam", "bec", False),
        ("clean", "graymail", False),
        ("", "phish", False),
        ("phish", "not_seen", False),
        ("phish", "blind", False),
        ("", "not_seen", False),
    ],
)
def test_layers_differ_where_one_condemns_what_the_other_calls_harmless(gateway, mailbox, quarrel):
    assert differ(gateway, mailbox) == quarrel
    assert differ(mailbox, gateway) == quarrel
