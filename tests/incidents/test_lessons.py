"""Which decisions teach the gateway, and what: the whole table."""

import pytest

from incidents.lessons import Act, Lesson, lesson_of

SPAM, PHISH, HAM = Lesson(True, "spam"), Lesson(True, "phish"), Lesson(False)

# What was decided, the incident's kind, the gateway's verdicts, the others', what is taught.
TABLE = [
    ("true_positive", "spam", ["clean"], ["spam"], SPAM),
    ("true_positive", "spam", ["spam"], [], SPAM),
    ("true_positive", "phish", ["clean"], ["phish"], PHISH),
    ("true_positive", "suspicious", ["suspicious"], ["spam"], SPAM),
    ("true_positive", "suspicious", ["spam"], ["phish"], PHISH),
    ("true_positive", "suspicious", ["suspicious"], [], None),
    ("true_positive", "unscannable", ["unscannable"], [], None),
    ("true_positive", "account", ["clean"], [], None),
    ("true_positive", "health", [], [], None),
    ("false_positive", "spam", ["spam"], [], HAM),
    ("false_positive", "phish", ["phish", "clean"], ["phish"], HAM),
    ("false_positive", "suspicious", ["suspicious"], [], HAM),
    # The gateway had let it pass: it has nothing to unlearn.
    ("false_positive", "phish", ["clean"], ["phish"], None),
    ("false_positive", "spam", ["graymail"], ["spam"], None),
    ("false_positive", "phish", [""], ["phish"], None),
    ("false_positive", "unscannable", ["unscannable"], [], None),
    ("benign", "spam", ["spam"], ["spam"], None),
    ("benign", "phish", ["phish"], [], None),
    ("denied_as_spam", "", ["spam"], [], SPAM),
    ("denied_as_spam", "", ["graymail"], [], SPAM),
    ("denied_as_spam", "", ["suspicious"], ["phish"], PHISH),
    ("denied_as_spam", "", [""], [], SPAM),
    ("false_alarm", "", ["spam"], [], HAM),
    ("false_alarm", "", ["phish"], [], HAM),
    # Held by a block entry although it was clean: the filter had not said anything.
    ("false_alarm", "", ["clean"], [], None),
    ("false_alarm", "", [""], [], None),
    ("released", "", ["spam"], [], None),
    ("released", "", ["phish"], [], None),
]


@pytest.mark.parametrize(("act", "kind", "gateway", "others", "lesson"), TABLE)
def test_what_is_taught(act, kind, gateway, others, lesson):
    assert lesson_of(Act(act), kind=kind, gateway=gateway, others=others) == lesson


@pytest.mark.parametrize("never", ["bec", "malware"])
@pytest.mark.parametrize("act", list(Act))
def test_fraud_and_malware_teach_nothing_whoever_said_it(act, never):
    for kind, gateway, others in (
        (never, ["spam"], []),
        ("phish", [never, "spam"], []),
        ("phish", ["spam"], [never]),
        ("", ["spam"], [never]),
    ):
        assert lesson_of(act, kind=kind, gateway=gateway, others=others) is None


def test_every_decision_stands_in_the_table():
    assert {act for act, *_ in TABLE} == set(Act)
