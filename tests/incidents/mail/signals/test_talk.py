"""Topics of the text: enough different phrases, more of them in a long text."""

from __future__ import annotations

import pytest

from incidents.mail.signals import read
from incidents.mail.signals.talk import topics_of
from incidents.mail.signals.text import Phrases, fold, mixes_alphabets, unmask, words
from tests.incidents.mail.signals.facts import HARMLESS, codes_of, mail, reasons_of

SAID = {
    "credential": "Your account has been suspended. Verify your account and reset your password.",
    "parcel": "Your parcel could not be delivered. Pay the shipping fee for redelivery.",
    "prize": "Congratulations, you have been selected. Claim your gift card in a short survey.",
    "advance_fee": "My late client left an inheritance; as next of kin the beneficiary is you.",
    "loan": "Apply for a loan at a low interest rate; loan offer for bad credit.",
    "extortion": "I recorded you with your webcam. Send bitcoin to my wallet.",
    "callback": (
        "Your subscription has been renewed and 399 will be charged. Call our toll free help desk "
        "to cancel the order and get a refund."
    ),
    "payment": "Please process the payment of the overdue invoice by wire transfer.",
    "payment_change": "Our bank details have changed.",
    "gift_cards": "Buy gift cards, scratch the back and send me the codes.",
    "boss_task": "Are you available? I need a favor, keep it between us.",
    "quote_request": "Request for quotation: send your best price and payment terms.",
    "pharma": "Viagra and Cialis from a Canadian pharmacy.",
    "dating": "Meet sexy Russian girls.",
    "gambling": "100 free spins, no deposit, at our online casino.",
    "stock": "This penny stock is a strong buy, target price 5.",
    "wares": "Replica Rolex watches and weight loss.",
    "cold_offer": "We are a leading manufacturer; SEO services, web design and lead generation.",
    "hurry_offer": "Act now: limited time offer, risk free, money back guarantee.",
    "shared_file": "Dana has shared a document with you. Review and sign the secure document.",
    "contact_bait": "Dear friend, I got your email; kindly get back to me, await your reply.",
}


@pytest.mark.parametrize("topic", SAID)
def test_topic_is_told_with_the_phrases_that_show_it(topic):
    reason = next(one for one in reasons_of(mail(text=SAID[topic])) if one.code == f"talk_{topic}")
    assert "“" in reason.text
    assert reason.value


@pytest.mark.parametrize("topic", SAID)
def test_topic_is_not_read_into_a_harmless_mail(topic):
    assert f"talk_{topic}" not in codes_of(HARMLESS)


def test_every_topic_of_the_lexicon_has_a_text_that_shows_it():
    assert set(topics_of(read(mail(text=" ".join(SAID.values()))))) == set(SAID)


def test_long_text_needs_more_phrases_of_a_topic_than_a_short_one():
    said = "Verify your account and reset your password."
    assert "talk_credential" in codes_of(mail(text=said))
    assert "talk_credential" not in codes_of(mail(text=said + HARMLESS.text * 20))


def test_many_phrases_are_told_as_dominating():
    text = f"{SAID['credential']} Unusual activity: restore access, update your payment."
    assert "talk_credential_strongly" in codes_of(mail(text=text))
    assert "talk_credential_strongly" not in codes_of(mail(text="Verify your account, log in."))


def test_scripts_without_spaces_are_read_too():
    assert "talk_credential" in codes_of(
        mail(text="お客様のアカウントの利用制限についてご確認ください")
    )


@pytest.mark.parametrize(
    ("masked", "plain"),
    [
        ("Vеrify", "verify"),
        ("ver\u200bify", "verify"),
        ("Vérify", "verify"),
        ("ＶＥＲＩＦＹ", "verify"),
    ],
)
def test_masks_fall_off_words(masked, plain):
    assert words(masked) == [plain]


def test_foreign_words_keep_their_letters():
    assert unmask("привет") == "привет"
    assert not mixes_alphabets("привет")
    assert mixes_alphabets("рaypal")


def test_fold_reads_digits_and_lookalike_letters_as_latin():
    assert fold("ΡаyΡаl") == "paypal"
    assert fold("g00gle") == "google"


def test_phrases_are_found_as_whole_words_in_their_order():
    phrases = Phrases({"x": ["new bank account", "iban"]})
    assert [hit.phrase for hit in phrases.find(words("Our new bank account: IBAN"))] == [
        "new bank account",
        "iban",
    ]
    assert phrases.find(words("bank account new, ibanez")) == []


def test_what_is_said_of_a_text_is_true_of_it():
    bill = "Our bank account has changed; pay by bank transfer to the new account: details below."
    told = [reason.text for reason in reasons_of(mail(text=bill))]
    assert not any("offers a share" in text for text in told), "words alone are no offer"


def test_a_text_full_of_a_topic_names_the_topic():
    said = f"{SAID['prize']} You are a winner of the lottery jackpot; a free gift is your reward."
    told = {reason.code: reason.text for reason in reasons_of(mail(text=said))}
    assert "promises a prize or a present" in told["talk_prize_strongly"]
