"""Each signal speaks where its fact is in the mail, and is silent in the mail beside it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from incidents.mail.facts import Address, Hop
from tests.incidents.mail.signals.facts import (
    HARMLESS,
    attached,
    codes_of,
    link,
    mail,
    reasons_of,
    sent_by,
)

OWN_LINK = link("https://www.nordvent.example/sheet", "www.nordvent.example")
LIST = "Builders <builders.lists.nordvent.example>"
ACCOUNT_WORDS = (
    "Your account has been suspended. Verify your account within 24 hours and log in below."
)
LONG = HARMLESS.text * 3

# code → (a mail that has it, the nearest mail that has not)
SENDER = {
    "brand_in_name": (
        sent_by("desk@mail-host.example", "PayPal Service"),
        sent_by("service@paypal.de", "PayPal Service"),
    ),
    "brand_in_subject": (
        mail(subject="Your Netflix membership"),
        mail(subject="Re: Netflix night", in_reply_to="<1@acme.example>"),
    ),
    "brand_lookalike_domain": (
        sent_by("info@paypa1.com"),
        sent_by("info@paypal.com"),
    ),
    "brand_and_word_domain": (
        sent_by("info@netflix-billing.example"),
        sent_by("info@billing.example"),
    ),
    "address_in_name": (
        sent_by("x@mail-host.example", "ceo@acme.example"),
        sent_by("tove@nordvent.example", "tove@nordvent.example"),
    ),
    "reply_to_free_mailer": (
        mail(reply_to=(Address("tove.holm@gmail.com"),)),
        mail(reply_to=(Address("office@nordvent.example"),)),
    ),
    "reply_to_other_free_mailer": (
        sent_by("a@gmail.com", reply_to=(Address("b@gmail.com"),)),
        sent_by("a@gmail.com", reply_to=(Address("a@gmail.com"),)),
    ),
    "reply_to_differs": (
        mail(reply_to=(Address("desk@other.example"),)),
        mail(reply_to=(Address("info@acme.example"),)),
    ),
    "from_free_mailer": (sent_by("tove@yahoo.co.uk"), sent_by("tove@yahoo-fans.example")),
    "office_on_free_mailer": (
        sent_by("x@outlook.com", "Finance Department"),
        sent_by("x@outlook.com", "Greta Lang"),
    ),
    "sender_suspicious_tld": (sent_by("a@deals.click"), sent_by("a@deals.example")),
    "sender_domain_random": (sent_by("a@xkqzrtvbw.example"), sent_by("a@rhythmic.example")),
    "sender_local_random": (sent_by("x7k2p9q4@shop.example"), sent_by("team2026@shop.example")),
    "invisible_letters": (
        mail(subject="Pay\u200bment"),
        mail(subject="Zahlung für März"),
    ),
    "mixed_alphabets": (mail(subject="Раypal"), mail(subject="Привет из Москвы")),
    "struck_letters": (mail(subject="Co\u0337rreio\u0337s"), mail(subject="Crème brûlée")),
    "name_with_number": (
        sent_by("x@desk.example", "Notice 4471882"),
        sent_by("x@desk.example", "Studio 54"),
    ),
    "styled_letters": (mail(subject="𝗖𝗹𝗮𝗶𝗺 𝗻𝗼𝘄"), mail(subject="Claim now")),
    "sender_ambiguous": (mail(sender=None, problems=("ambiguous_sender",)), mail()),
    "sender_missing": (mail(sender=None), mail()),
    "from_is_to": (
        sent_by("info@acme.example"),
        sent_by("info@acme.example", list_id="<all.acme.example>"),
    ),
}
LINKS = {
    "link_text_differs": (
        mail(links=(link("https://evil.example/x", "www.paypal.com/signin"),)),
        mail(links=(link("https://login.paypal.com/x", "www.paypal.com/signin"),)),
    ),
    "link_to_ip": (
        mail(links=(link("http://192.0.2.7/pay"),)),
        mail(links=(link("http://pay.example/192.0.2.7"),)),
    ),
    "link_shortener": (
        mail(links=(link("https://bit.ly/3x"),)),
        mail(links=(link("https://orbit.ly/3x"),)),
    ),
    "link_free_host": (
        mail(links=(link("https://team-files.pages.dev/x"),)),
        mail(links=(OWN_LINK,)),
    ),
    "link_suspicious_tld": (
        mail(links=(link("https://win.click/x"),)),
        sent_by("a@win.click", links=(link("https://win.click/x"),)),
    ),
    "link_carries_recipient": (
        mail(links=(link("https://forms.example/?u=info%40acme.example"),)),
        mail(links=(link("https://forms.example/unsubscribe?u=info%40acme.example"),)),
    ),
    "link_disguised": (
        mail(links=(link("https://paypal.com@evil.example/"),)),
        mail(links=(link("https://evil.example/paypal.com@home"),)),
    ),
    "link_redirects": (
        mail(links=(link("https://ads.example/r?to=https://evil.example/"),)),
        mail(links=(link("https://ads.example/r?to=https://www.ads.example/"),)),
    ),
    "link_to_program": (
        mail(links=(link("https://cdn.example/invoice.iso"),)),
        mail(links=(link("https://cdn.example/invoice.html"),)),
    ),
    "link_into_site_innards": (
        mail(links=(link("https://shop.example/wp-includes/js/a.php"),)),
        mail(links=(link("https://shop.example/wp-content/uploads/plan.pdf"),)),
    ),
    "brand_in_link_host": (
        mail(links=(link("https://paypal.secure-desk.example/x"),)),
        mail(links=(link("https://secure.paypal.com/x"),)),
    ),
    "link_host_random": (
        mail(links=(link("https://xkqzrtvbw.example/"),)),
        mail(links=(link("https://harbour.example/"),)),
    ),
    "links_all_to_one_stranger": (
        mail(links=tuple(link(f"https://other.example/{n}") for n in range(3))),
        mail(links=tuple(link(f"https://www.nordvent.example/{n}") for n in range(3))),
    ),
    "links_unencrypted": (
        mail(links=(link("http://other.example/"),)),
        mail(
            links=(link("http://other.example/"),),
            sent_at=datetime(2009, 1, 1, tzinfo=UTC),
        ),
    ),
    "link_to_script": (
        mail(links=(link("https://other.example/go.php"),)),
        mail(links=(link("https://www.nordvent.example/go.php"),)),
    ),
    "link_path_random": (
        mail(links=(link("https://other.example/9aXk2395PyQ8w612r3s9g28Idd5Zz"),)),
        mail(links=(link("https://other.example/a-very-long-title-of-some-article"),)),
    ),
    "cheap_domain_of_its_own": (
        sent_by("a@win.click", links=(link("https://win.click/x"),)),
        mail(links=(OWN_LINK,)),
    ),
    "links_to_own_domain": (mail(links=(OWN_LINK,)), mail(links=(link("https://b.example/"),))),
    "links_to_strangers": (mail(links=(link("https://b.example/"),)), mail(links=(OWN_LINK,))),
    "links_only_shared_hosts": (
        mail(links=(link("https://www.youtube.com/watch"),)),
        mail(links=(link("https://www.youtube.com/watch"), OWN_LINK)),
    ),
    "brand_without_its_links": (
        mail(text="PayPal customer, see below.", links=(link("https://b.example/"),)),
        mail(text="PayPal customer, see below.", links=(link("https://www.paypal.com/"),)),
    ),
}
BODY = {
    "image_only": (
        mail(text="", html_text="Hi", extra={"images": 1}, links=(link("https://b.example/"),)),
        mail(html_text=LONG, extra={"images": 1}, links=(link("https://b.example/"),)),
    ),
    "short_with_link": (
        mail(text="See this", links=(link("https://b.example/"),)),
        mail(text=LONG, links=(link("https://b.example/"),)),
    ),
    "almost_empty": (mail(text="Hi", subject="x"), mail()),
    "greets_by_address": (
        mail(text="Dear info@acme.example, please look."),
        mail(text="Dear Ines, please look."),
    ),
    "text_holds_address": (
        mail(text="This notice was sent to info@acme.example today."),
        mail(),
    ),
    "password_field": (
        mail(html='<input name=p type="password">'),
        mail(html='<input name=p type="text">'),
    ),
    "form_in_mail": (mail(extra={"forms": 1}), mail(extra={"forms": 0})),
    "script_in_mail": (mail(html="<script>x()</script>"), mail(html="<p>script</p>")),
    "much_hidden_text": (mail(hidden_text="lorem " * 200), mail(hidden_text="Preview text")),
    "invisible_in_text": (
        mail(text="".join(f"{char}\u200b" for char in HARMLESS.text)),
        mail(text=f"{HARMLESS.text}\u200b"),
    ),
    "mixed_alphabets_in_text": (
        mail(text="Yоur аccоunt is lоcked, сlick"),
        mail(text="Привет, это обычное русское письмо"),
    ),
    "text_as_numbers": (mail(html="&#72;&#101;" * 8), mail(html="&#228;rger &#252;ber")),
    "html_only": (
        mail(headers={"Content-Type": "text/html; charset=utf-8"}),
        mail(headers={"Content-Type": "multipart/alternative; boundary=x"}),
    ),
    "subject_in_capitals": (mail(subject="ACT ON THIS TODAY"), mail(subject="BMW and SAP talk")),
    "subject_exclaims": (mail(subject="Now!!"), mail(subject="Now!")),
    "subject_with_emoji": (mail(subject="🎁 for you"), mail(subject="For you")),
    "subject_names_money": (mail(subject="$500 waits"), mail(subject="500 wait")),
    "subject_missing": (mail(subject=" "), mail()),
    "subject_spaced": (mail(subject="f r e e b i e s"), mail(subject="free now")),
    "subject_with_number": (mail(subject="Order 8837201"), mail(subject="Order 12")),
    "subject_names_recipient": (mail(subject="info, look"), mail(subject="Ines, look")),
    "subject_holds_address": (
        mail(subject="For info@acme.example"),
        mail(subject="For you @ noon"),
    ),
    "false_answer": (
        mail(subject="Re: our talk"),
        mail(subject="Re: our talk", in_reply_to="<1@acme.example>"),
    ),
    "masked_words": (
        mail(text="T0R0NT0 and fr0m p@yments"),
        mail(text="Write to a@b.example about R2D2 and H2O."),
    ),
    "template_left_open": (mail(text="Dear {{Citizen}},"), mail(text="Dear {all},")),
    "subject_with_code": (mail(subject="Notice o4M278sTaWC4"), mail(subject="Covid2019 in 2021")),
    "answer_with_quote": (
        mail(text="Yes.\n> Can you come?", in_reply_to="<1@acme.example>"),
        mail(text="Yes.\n> Can you come?"),
    ),
    "quotes_earlier_mail": (mail(text="Yes.\n> Can you come?"), mail()),
    "answers_earlier_mail": (mail(in_reply_to="<1@acme.example>"), mail()),
    "holds_code": (mail(text="diff --git a/x b/x\n@@ -1 +1 @@"), mail()),
    "signature_mark": (mail(text="Hello\n-- \nTove"), mail(text="Hello -- Tove")),
    "only_words": (mail(), mail(links=(OWN_LINK,))),
    "plain_text": (mail(links=(OWN_LINK,)), mail(html="<p>x</p>", links=(OWN_LINK,))),
}
ATTACHMENTS = {
    "attached_program": (
        mail(attachments=(attached("a.exe", "exe", flags=("executable",)),)),
        mail(attachments=(attached("plot.py", "script", flags=("executable",)),)),
    ),
    "program_in_archive": (
        mail(attachments=(attached("a.zip", "zip", members=("b/invoice.js",)),)),
        mail(attachments=(attached("a.zip", "zip", members=("b/invoice.pdf",)),)),
    ),
    "attached_disk_image": (
        mail(attachments=(attached("order.img"),)),
        mail(attachments=(attached("order.png", "png"),)),
    ),
    "attached_macro": (
        mail(attachments=(attached("a.doc", "ole", flags=("macro",)),)),
        mail(attachments=(attached("a.docx", "docx"),)),
    ),
    "attached_page": (
        mail(attachments=(attached("voice.htm", "html"),)),
        mail(attachments=(attached("", "html", is_inline=True),)),
    ),
    "locked_archive": (
        mail(attachments=(attached("a.zip", "zip", flags=("encrypted",)),)),
        mail(attachments=(attached("a.zip", "zip"),)),
    ),
    "locked_document": (
        mail(attachments=(attached("a.pdf", "pdf", flags=("encrypted",)),)),
        mail(attachments=(attached("a.pdf", "pdf"),)),
    ),
    "password_told": (
        mail(text="The password is 1234", attachments=(attached("a.pdf", flags=("encrypted",)),)),
        mail(text="Open it at home", attachments=(attached("a.pdf", flags=("encrypted",)),)),
    ),
    "disguised_name": (
        mail(attachments=(attached("invoice.pdf.exe", "exe", flags=("double_extension",)),)),
        mail(attachments=(attached("invoice.v2.pdf", "pdf"),)),
    ),
    "archive_bomb": (
        mail(attachments=(attached("a.zip", "zip", flags=("bomb",)),)),
        mail(attachments=(attached("a.zip", "zip"),)),
    ),
    "type_mismatch": (
        mail(attachments=(attached("a.pdf", "exe", flags=("type_mismatch",)),)),
        mail(attachments=(attached("a.pdf", "pdf"),)),
    ),
    "attached_archive": (
        mail(attachments=(attached("a.rar", "rar"),)),
        mail(attachments=(attached("a.docx", "docx"),)),
    ),
    "attached_pdf": (
        mail(attachments=(attached("a.pdf", "pdf"),)),
        mail(attachments=(attached("a.png", "png"),)),
    ),
    "pdf_and_few_words": (
        mail(text="See attached", attachments=(attached("a.pdf", "pdf"),)),
        mail(attachments=(attached("a.pdf", "pdf"),)),
    ),
    "calendar_invite": (mail(has_calendar=True), mail()),
}
ENVELOPE = {
    "envelope_differs": (
        mail(envelope_from="x@bounces.example"),
        mail(envelope_from="x@bounces.nordvent.example"),
    ),
    "message_id_missing": (mail(internet_message_id=""), mail()),
    "message_id_malformed": (mail(internet_message_id="<4711>"), mail()),
    "message_id_local": (mail(internet_message_id="<1@localhost>"), mail()),
    "message_id_of_sender": (mail(), mail(internet_message_id="<1@other.example>")),
    "message_id_foreign": (
        sent_by("a@hotmail.com") and mail(sender=Address("a@hotmail.com")),
        mail(sender=Address("a@hotmail.com"), internet_message_id="<1@mail.hotmail.com>"),
    ),
    "date_missing": (mail(sent_at=None), mail()),
    "date_in_future": (
        mail(hops=(Hop(received_at=datetime(2026, 11, 14, tzinfo=UTC)),)),
        mail(hops=(Hop(received_at=datetime(2026, 11, 16, 9, 1, tzinfo=UTC)),)),
    ),
    "date_long_ago": (
        mail(hops=(Hop(received_at=datetime(2026, 12, 14, tzinfo=UTC)),)),
        mail(hops=(Hop(received_at=datetime(2026, 11, 17, tzinfo=UTC)),)),
    ),
    "recipients_hidden": (mail(to=()), mail()),
    "many_recipients": (
        mail(to=tuple(Address(f"u{n}@acme.example") for n in range(20))),
        mail(to=tuple(Address(f"u{n}@acme.example") for n in range(20)), list_id=LIST),
    ),
    "sent_by_web_script": (mail(headers={"X-PHP-Originating-Script": "48:mail.php"}), mail()),
    "mass_mailer": (
        mail(headers={"X-Mailer": "PHPMailer 5.2"}),
        mail(headers={"X-Mailer": "Microsoft Outlook 16.0"}),
    ),
    "outdated_mailer": (
        mail(headers={"X-Mailer": "Microsoft Outlook Express 6.00"}),
        mail(
            headers={"X-Mailer": "Microsoft Outlook Express 6.00"},
            sent_at=datetime(2003, 1, 1, tzinfo=UTC),
        ),
    ),
    "marked_urgent": (
        mail(headers={"X-Priority": "1 (Highest)"}),
        mail(headers={"X-Priority": "3"}),
    ),
    "unsubscribe_at_sender": (
        mail(headers={"List-Unsubscribe": "<https://news.nordvent.example/u>"}),
        mail(headers={"List-Unsubscribe": "<https://other.example/u>"}),
    ),
    "unsubscribe_elsewhere": (
        mail(headers={"List-Unsubscribe": "<https://other.example/u>"}),
        mail(headers={"List-Unsubscribe": "<https://u.sendgrid.net/u>"}),
    ),
}
MONEY = {
    "account_in_text": (
        mail(text="Pay to DE89 3704 0044 0532 0130 00."),
        mail(text="Pay to DE88 3704 0044 0532 0130 00."),
    ),
    "wallet_in_text": (
        mail(text="Send it to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa now"),
        mail(text="Send it to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb now"),
    ),
    "fortune_named": (mail(text="the sum of $4,500,000.00"), mail(text="the sum of $4,500.00")),
    "toll_free_number": (mail(text="Call 1-888-555-0199"), mail(text="Call 040-555-0199")),
}
TOGETHER = {
    "brand_with_lure": (
        sent_by("x@b.example", "PayPal", text=ACCOUNT_WORDS),
        sent_by("x@paypal.com", "PayPal", text=ACCOUNT_WORDS),
    ),
    "lure_to_cheap_place": (
        mail(text=ACCOUNT_WORDS, links=(link("https://x.pages.dev/"),)),
        mail(text=ACCOUNT_WORDS, links=(OWN_LINK,)),
    ),
    "letter_with_reply_switch": (
        mail(text="the sum of $4,500,000.00", reply_to=(Address("b@gmail.com"),)),
        mail(text="the sum of $4,500,000.00"),
    ),
}
CASES = TOGETHER | SENDER | LINKS | BODY | ATTACHMENTS | ENVELOPE | MONEY


@pytest.mark.parametrize("code", CASES)
def test_signal_speaks_where_its_fact_is(code):
    assert code in codes_of(CASES[code][0])


@pytest.mark.parametrize("code", CASES)
def test_signal_is_silent_in_the_mail_beside_it(code):
    assert code not in codes_of(CASES[code][1])


@pytest.mark.parametrize("code", CASES)
def test_reason_is_a_sentence_without_weight_of_its_own(code):
    reason = next(one for one in reasons_of(CASES[code][0]) if one.code == code)
    assert reason.text[0].isupper() or reason.text[0] in "“{"
    assert reason.text.endswith(".")
    assert reason.weight == 0.0


def test_harmless_mail_gives_nothing_that_speaks_against_it():
    assert codes_of(HARMLESS) == {"message_id_of_sender", "only_words"}


def test_link_to_the_mailing_list_s_own_host_is_no_link_of_the_mail():
    footer = link("https://lists.nordvent.example/info")
    facts = sent_by("a@other.example", list_id=LIST, links=(footer,))
    assert "links_to_strangers" not in codes_of(facts)


@pytest.mark.parametrize("name", ["Chase Miller", "Paul Hoover", "Anna Hilton", "Ines Apfel"])
def test_people_are_not_taken_for_brands(name):
    assert "brand_in_name" not in codes_of(sent_by("x@firm.example", name))


def test_list_that_rewrites_the_sender_is_not_taken_for_a_reply_switch():
    facts = sent_by(
        "builders@lists.nordvent.example", list_id=LIST, reply_to=(Address("author@gmail.com"),)
    )
    assert "reply_to_free_mailer" not in codes_of(facts)
