"""Each verdict has one word, whoever says it: pages, paper, mails and files, in each language."""

from __future__ import annotations

import pytest
from django.utils.translation import gettext, override

from api_bridge.scanback.figures import KINDS
from api_bridge.scanback.wording import kind_label
from console.lib.words import NOT_SCANNED, VERDICTS
from console.queries.portal_told import told_title
from incidents.models import Delivery, Incident
from incidents.models.mail import Verdict as StoredVerdict
from incidents.reported import SAYABLE
from incidents.titles import KIND_WORDS
from incidents.words import NOT_SCANNED_WORD, VERDICT_WORDS, VERDICT_WORDS_WITHIN, Verdict
from seg_bridge.learning.models import Lesson
from seg_bridge.policies.keys import ROW_WORDS


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_list_and_page_says_the_same_word(verdict: Verdict):
    word = VERDICT_WORDS[verdict]
    copy = Delivery(gateway_verdict=verdict, mailbox_verdict=verdict, person_verdict=verdict)
    said = {
        "badge": VERDICTS[verdict].text,
        "choice": StoredVerdict(verdict).label,
        "release page": copy.get_gateway_verdict_display(),
        "digest": copy.get_person_verdict_display(),
        "policy": ROW_WORDS[verdict],
        "report form": SAYABLE.get(verdict, word),
        "lesson": dict(Lesson.Hashes.choices).get(str(verdict), word),
        "kind of incident": dict(Incident.Kind.choices).get(str(verdict), word),
        "title": KIND_WORDS.get(str(verdict), word).removesuffix(" mail"),
        "look back": kind_label(verdict) if verdict in KINDS else word,
    }
    assert set(said.values()) == {word}, said
    assert VERDICT_WORDS_WITHIN[verdict] == word.lower()


@pytest.mark.parametrize("language", ["de", "fr"])
def test_a_word_within_a_sentence_is_the_same_word_in_the_language(language: str):
    with override(language):
        pairs = {
            gettext(VERDICT_WORDS[one]).lower(): gettext(VERDICT_WORDS_WITHIN[one]).lower()
            for one in Verdict
        }
        title = told_title("Unscannable mail to 2 people")
        assert title == told_title("Unreadable mail to 2 people")  # as it was stored earlier
    assert len(pairs) == len(Verdict)
    assert [*pairs] == [*pairs.values()]
    assert "mail to" not in title


def test_of_no_verdict_too():
    assert (NOT_SCANNED.text, ROW_WORDS["not_scanned"]) == (NOT_SCANNED_WORD,) * 2
