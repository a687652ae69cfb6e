"""One mail, one fingerprint, whatever happens to it on its way."""

from urllib.parse import quote

import pytest

from incidents.mail import read_mail
from incidents.mail.fingerprint import (
    link_shape,
    minhash,
    normal_subject,
    normal_words,
    similarity,
)
from tests.incidents.mail.mails import mail_with, plain_mail

TEXT = (
    "Dear Bob,\r\n\r\nplease find the details of your order at"
    " https://shop.example/orders/8812/view?token=abc and pay the open amount until Friday.\r\n"
    "If you have any questions, my colleagues and I are there for you by phone.\r\n\r\n"
    "Kind regards\r\nAlice\r\n"
)
HTML = (
    "<html><body><p>Dear Bob,</p><p>please find the details of <b>your order</b> on"
    ' <a href="https://shop.example/orders/8812/view?token=abc">our page</a> and pay the open'
    " amount until Friday.</p><p>If you have any questions, call us.</p></body></html>"
)
SAFE_LINK = (
    "https://eur01.safelinks.protection.outlook.com/?url="
    + quote("https://shop.example/orders/8812/view?token=abc", safe="")
    + "&data=05%7C02%7Cbob%40acme.example%7C1&sdata=x%3D&reserved=0"
)
BANNERS = [
    "CAUTION: This email originated from outside of the organization. Do not click links or open"
    " attachments unless you recognize the sender and know the content is safe.",
    "You don't often get email from alice@sender.example. Learn why this is important",
    "EXTERNAL EMAIL: think before you click.",
    "ACHTUNG: Externe E-Mail von außerhalb der Organisation.",
]


def fingerprint(raw: bytes) -> str:
    found = read_mail(raw).fingerprint
    assert len(found) == 32
    return found


@pytest.mark.parametrize("cte", ["base64", "quoted-printable", "8bit"])
def test_reencoding_does_not_change_it(cte):
    assert fingerprint(mail_with(text=TEXT, cte=cte)) == fingerprint(plain_mail(TEXT))
    assert fingerprint(mail_with(html=HTML, cte=cte)) == fingerprint(mail_with(html=HTML))


@pytest.mark.parametrize("banner", BANNERS)
def test_a_banner_does_not_change_it(banner):
    assert fingerprint(plain_mail(banner + "\r\n\r\n" + TEXT)) == fingerprint(plain_mail(TEXT))
    marked = HTML.replace("<body>", f"<body><table><tr><td>{banner}</td></tr></table>")
    assert fingerprint(mail_with(html=marked)) == fingerprint(mail_with(html=HTML))


def test_a_tag_before_the_first_word_does_not_change_it():
    assert fingerprint(plain_mail("[EXTERNAL] " + TEXT)) == fingerprint(plain_mail(TEXT))
    assert fingerprint(plain_mail(TEXT, subject="[EXT] Tuesday")) == fingerprint(plain_mail(TEXT))


def test_a_footer_of_a_scanner_does_not_change_it():
    footer = "\r\n-- \r\nThis message has been scanned for viruses by MailGuard.\r\n"
    long = TEXT + "\r\n".join(f"Point {word}." for word in ("one", "two", "three", "four"))
    assert fingerprint(plain_mail(long + footer)) == fingerprint(plain_mail(long))


def test_rewritten_links_do_not_change_it():
    target = "https://shop.example/orders/8812/view?token=abc"
    wrapped_text, wrapped_html = TEXT.replace(target, SAFE_LINK), HTML.replace(target, SAFE_LINK)
    assert wrapped_text != TEXT
    assert fingerprint(plain_mail(wrapped_text)) == fingerprint(plain_mail(TEXT))
    assert fingerprint(mail_with(html=wrapped_html)) == fingerprint(mail_with(html=HTML))


def test_white_space_and_invisible_characters_do_not_change_it():
    spread = (
        TEXT.replace("order", "or\u200bd\u00ader")
        .replace("  ", " ")
        .replace(" and ", " \u00a0and\r\n")
    )
    assert fingerprint(plain_mail(spread)) == fingerprint(plain_mail(TEXT))
    flowed = HTML.replace("</p><p>", "</p>\n\n  <br>\n<p>").replace("open ", "&#8203;open&nbsp;")
    assert fingerprint(mail_with(html=flowed)) == fingerprint(mail_with(html=HTML))


def test_a_plain_reading_that_a_provider_adds_does_not_change_it():
    both = mail_with(text="Dear Bob, please find", html=HTML)
    assert fingerprint(both) == fingerprint(mail_with(html=HTML))


def test_headers_of_the_way_do_not_change_it():
    added = b"Received: from x by y; Mon, 2 Nov 2026 10:00:00 +0000\r\nX-Spam: no\r\n"
    assert fingerprint(added + plain_mail(TEXT)) == fingerprint(plain_mail(TEXT))


@pytest.mark.parametrize(
    "changed",
    [
        TEXT.replace("Friday", "Monday"),
        TEXT.replace("shop.example", "sh0p.example"),
        TEXT.replace("/orders/", "/login/"),
        TEXT + "P.S. Our account has changed.",
    ],
)
def test_another_text_changes_it(changed):
    assert fingerprint(plain_mail(changed)) != fingerprint(plain_mail(TEXT))


def test_another_target_behind_the_same_words_changes_it():
    other = HTML.replace("https://shop.example", "https://shop-example.top")
    assert fingerprint(mail_with(html=other)) != fingerprint(mail_with(html=HTML))


def test_another_attachment_changes_it():
    one = mail_with(text=TEXT, invoice_pdf=b"%PDF-1.4 one")
    two = mail_with(text=TEXT, invoice_pdf=b"%PDF-1.4 two")
    assert len({fingerprint(one), fingerprint(two), fingerprint(plain_mail(TEXT))}) == 3


def test_a_banner_on_a_body_of_pictures_does_not_change_it():
    pictures = '<body><a href="https://shop.example/offer"><img src="cid:1"></a>'
    marked = pictures.replace("<body>", f"<body><p>{BANNERS[0]}</p>")
    assert fingerprint(mail_with(html=marked)) == fingerprint(mail_with(html=pictures))


def test_line_ends_of_an_attached_text_do_not_change_it():
    unix = mail_with(text=TEXT, invite_ics=b"BEGIN:VCALENDAR\nSUMMARY:x\nEND:VCALENDAR\n")
    network = mail_with(text=TEXT, invite_ics=b"BEGIN:VCALENDAR\r\nSUMMARY:x\r\nEND:VCALENDAR\r\n")
    other = mail_with(text=TEXT, invite_ics=b"BEGIN:VCALENDAR\nSUMMARY:y\nEND:VCALENDAR\n")
    assert fingerprint(unix) == fingerprint(network) != fingerprint(other)


def forwarded(inner: bytes) -> bytes:
    return (
        b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\n--out\r\n\r\n"
        b"Please see the mail below, what do you think of it?\r\n--out\r\n"
        b"Content-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--out--\r\n"
    )


def test_an_attached_mail_that_was_built_anew_does_not_change_it():
    inner, anew = mail_with(html=HTML), mail_with(html=HTML, cte="base64")
    other = inner.replace(b"The invoice", b"The reminder")
    assert fingerprint(forwarded(inner)) == fingerprint(forwarded(anew))
    assert fingerprint(forwarded(inner)) != fingerprint(forwarded(other))


def test_too_little_has_none():
    assert read_mail(plain_mail("Thanks!\r\n")).fingerprint == ""
    assert read_mail(plain_mail("\r\n")).fingerprint == ""


def test_link_shapes_keep_host_and_words_only():
    assert link_shape("https://A.example/Track/8f2c91/click?u=1#x") == "a.example/track/#/click"
    assert link_shape("https://a.example/") == link_shape("https://a.example")


def test_subjects_lose_the_marks_of_gateways():
    assert normal_subject("[EXTERNAL] Re: ***SPAM*** Fwd: Your  Invoice") == "your invoice"
    assert normal_subject("[Project] External audit") == "[project] external audit"


def test_near_duplicates_are_similar_and_others_are_not():
    words = [f"word{number}" for number in range(200)]
    base = minhash(" ".join(words))
    near = minhash(" ".join([*words[:190], "other", *words[191:]]))
    far = minhash(" ".join(f"else{number}" for number in range(200)))
    assert len(base) == 64
    assert similarity(base, base) == 1.0
    assert similarity(base, near) > 0.8
    assert similarity(base, far) < 0.1


def test_short_texts_have_no_shingles():
    assert minhash("one two three four five") == ()
    assert similarity((), ()) == 0.0


def test_minhash_estimates_jaccard():
    words = [f"w{number}" for number in range(400)]
    for kept in (380, 320, 200):
        other = words[:kept] + [f"v{number}" for number in range(400 - kept)]
        a = {tuple(words[i : i + 4]) for i in range(397)}
        b = {tuple(other[i : i + 4]) for i in range(397)}
        true = len(a & b) / len(a | b)
        estimate = similarity(minhash(" ".join(words)), minhash(" ".join(other)))
        assert abs(estimate - true) < 0.2


@pytest.mark.parametrize(
    "line",
    [
        "This message originated from outside of our organisation.",
        "From an external source",
        "It was sent from outside",
        "EXTERNAL EMAIL",
        "Do not click on any links or open any attachments",
        "Unless you recognise the sender",
        "You don't often get email from ann@b.example",
        "Some people who received this message don't often get it",
        "Learn why this is important",
        "The sender could not be verified",
        "Externe Nachricht",
        "Sie kommt von außerhalb unserer Organisation",
        "Von AUSSERHALB der Firma",
        "Courriel provenant de l'extérieur",
        "Message exterieur",
        "Correo electrónico externo",
        "Mittente esterno",
        "Een bericht van buiten uw organisatie",
        "This e-mail was scanned for viruses",
        "Message has been verified by the gate",
        "Virus-free www.b.example",
        "Checked by AVG",
        "Scanned by Sophos",
        "Report this message as spam",
        "Click here to report this email",
    ],
)
def test_each_line_that_hosts_add_is_left_out(line):
    """At the foot, where both kinds count; a quick look for words must miss none of them."""
    text = "\n".join(f"Sentence {word} of the mail." for word in "abcdefghij")
    assert normal_words(f"{text}\n{line}") == normal_words(text)
