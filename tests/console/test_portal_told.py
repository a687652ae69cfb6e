"""Titles and places of shared incidents in the reader's language: every sentence that is made."""

import pytest
from django.utils.translation import override

from console.queries.portal_told import _HOW, told_exposure, told_title
from incidents.story import exposure
from incidents.titles import _TELLING, KIND_WORDS, Clues, title_of

COUNTS = {"recipients": 2, "messages": 1, "delivered": 2}
CLUES = [
    Clues(),
    *(Clues(codes={code}) for code, _ in _TELLING),
    Clues(codes={"impersonates_vip"}),
    Clues(codes={"impersonates_vip"}, person="CFO"),
    Clues(codes={"impersonates_vip"}, person="Karla Berg"),
    Clues(codes={"poses_as_own_firm"}),
    Clues(codes={"lookalike_vendor_domain"}),
    Clues(brand="Microsoft"),
    Clues(domain="evil.example"),
]
TITLES = {
    title_of(kind, layers, counts, clues)
    for kind in KIND_WORDS
    for layers in ((), ("internal_only",))
    for counts in (COUNTS, COUNTS | {"was_exposed": 1}, {"recipients": 1, "held": 1})
    for clues in CLUES
}


@pytest.mark.parametrize("language", ["de", "fr"])
def test_every_title_that_can_be_made_is_said_in_the_language(language):
    with override(language):
        left = [each for each in TITLES if told_title(each) == each]
    assert not left
    assert len(TITLES) > 200


def test_in_english_nothing_changes():
    with override("en"):
        assert {told_title(title) for title in TITLES} == TITLES


@pytest.mark.parametrize(
    ("title", "german"),
    [
        ("Fraud in the CFO's name to 2 people", "Betrug im Namen von CFO an 2 Personen"),
        (
            "Phishing that poses as Microsoft, 14 inboxes",
            "Phishing im Gewand von Microsoft, 14 Posteingänge",
        ),
        ("Mail around the gateway, 1 mail", "1 E-Mail am Gateway vorbei"),
        ("A title of somebody's own", "A title of somebody's own"),
    ],
)
def test_titles(title, german):
    with override("de"):
        assert told_title(title) == german


def test_every_way_of_saying_how_is_known():
    assert {words for _, words in _TELLING} <= set(_HOW)


def test_where_copies_are():
    counts = {"in_inbox": 2, "read": 1, "held": 0}
    with override("en"):
        assert told_exposure(counts, is_blind=False) == exposure(counts)
        assert told_exposure({}, is_blind=True) == exposure({}, is_blind=True)
    with override("de"):
        assert told_exposure(counts, is_blind=False) == "2 im Posteingang · 1 gelesen"
