"""What is read of a mail as a whole: body, hidden text, subject, dates, problems."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from incidents.mail import read_mail
from incidents.mail.encoded import decode_base64, decode_text, decode_words, parse_parameters
from incidents.mail.limits import LIMITS
from tests.incidents.mail.mails import mail_with, plain_mail


def test_a_plain_mail_is_read():
    raw = plain_mail(
        subject="=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
        in_reply_to="<0@acme.example>",
        references="<a@x.example>\r\n <b@x.example>",
        list_id="Team <team.acme.example>",
        x_bailey_trace="v1; k=1",
    )
    facts = read_mail(raw, envelope_from="bounce@sender.example")
    assert facts.is_readable
    assert facts.problems == ()
    assert facts.size_bytes == len(raw)
    assert facts.subject == "Grüße"
    assert facts.internet_message_id == "<1@sender.example>"
    assert facts.sent_at == datetime(2026, 11, 2, 9, tzinfo=UTC)
    assert facts.references == ("<a@x.example>", "<b@x.example>")
    assert (facts.in_reply_to, facts.list_id) == ("<0@acme.example>", "Team <team.acme.example>")
    assert (facts.trace, facts.envelope_from) == ("v1; k=1", "bounce@sender.example")
    assert facts.text == "Hello Bob,\nshall we meet on Tuesday at ten?"
    assert ("Subject", "Grüße") in facts.headers


def test_the_plain_part_is_the_text_and_the_html_is_kept_beside_it():
    facts = read_mail(mail_with(text="The plain part.", html="<p>The <b>HTML</b> part.</p>"))
    assert facts.text == "The plain part."
    assert facts.html_text == "The HTML part."
    assert "<b>HTML</b>" in facts.html
    assert facts.attachments == ()


def test_a_named_text_is_the_body_where_there_is_no_other():
    raw = plain_mail(
        "<p>Hello</p>", content_type='text/html; name="page.html"', content_disposition="inline"
    )
    facts = read_mail(raw)
    assert (facts.text, facts.attachments) == ("Hello", ())
    with_other = mail_with(text="Hello", notes_txt=b"the notes")
    facts = read_mail(with_other.replace(b"attachment;", b"inline;"))
    assert (facts.text, facts.attachments[0].name) == ("Hello", "notes.txt")


def test_without_a_plain_part_the_text_is_that_of_the_html():
    facts = read_mail(mail_with(html="<p>One</p><p>Two<br>Three</p><ul><li>Four</li></ul>"))
    assert facts.text == "One\nTwo\nThree\nFour"


@pytest.mark.parametrize(
    "markup",
    [
        '<div style="display:none">{}</div>',
        '<div style="color:red; DISPLAY : none !important">{}</div>',
        '<span style="visibility:hidden">{}</span>',
        '<span style="opacity:0">{}</span>',
        '<div style="font-size:0px">{}</div>',
        '<div style="font-size:1px;">{}</div>',
        '<div style="max-height:0;overflow:hidden">{}</div>',
        '<div style="position:absolute;left:-9999px">{}</div>',
        "<div hidden>{}</div>",
        '<div style="display:none"><p>{}</p></div>',
    ],
)
def test_hidden_text_is_kept_apart(markup):
    html = f"<p>Please pay.</p>{markup.format('garden tools')}<p>Thanks.</p>"
    facts = read_mail(mail_with(html=html))
    assert facts.html_text == "Please pay.\nThanks."
    assert facts.hidden_text == "garden tools"
    assert "hidden_text" in facts.problems
    assert facts.extra["hidden_characters"] == len("garden tools")


@pytest.mark.parametrize(
    "markup",
    [
        '<div style="font-size:0"><span style="font-size:14px">{}</span></div>',
        '<div style="max-height:100px">{}</div>',
        '<div style="opacity:0.9">{}</div>',
        '<div style="font-size:10px">{}</div>',
        "<noscript>{}</noscript>",
        '<div style="left:-10px">{}</div>',
    ],
)
def test_text_that_a_reader_sees_is_not_called_hidden(markup):
    facts = read_mail(mail_with(html=f"<p>{markup.format('garden tools')}</p>"))
    assert "garden tools" in facts.html_text
    assert facts.hidden_text == ""


def test_scripts_styles_and_comments_are_no_text():
    html = (
        "<style>p{}</style><script>x</script><!-- c --><title>t</title><p>Seen</p>"
        "<template>n</template>"
    )
    facts = read_mail(mail_with(html=html))
    assert (facts.html_text, facts.hidden_text) == ("Seen", "")


def test_pictures_and_forms_are_counted():
    html = (
        '<img src="cid:1"><img src="https://t.example/1"><form action="https://f.example"></form>'
    )
    extra = read_mail(mail_with(html=html)).extra
    assert (extra["images"], extra["remote_images"], extra["forms"]) == (2, 1, 1)


@pytest.mark.parametrize(("raw", "problem"), [(b"", "empty"), (b" \r\n\r\n", "empty")])
def test_nothing_is_unreadable(raw, problem):
    facts = read_mail(raw)
    assert (facts.is_readable, facts.problems) == (False, (problem,))


def test_bytes_without_a_header_are_unreadable_but_their_text_is_kept():
    facts = read_mail(b"Just some words without any header\r\n\r\nand more https://a.example/x")
    assert not facts.is_readable
    assert "https://a.example/x" in [link.url for link in facts.links]


def test_a_mail_over_the_size_limit_is_unreadable():
    facts = read_mail(b"x" * (LIMITS.raw_bytes + 1))
    assert (facts.is_readable, facts.problems) == (False, ("mail_too_big",))


def test_long_text_is_cut_and_said():
    facts = read_mail(plain_mail("word " * 100_000))
    assert len(facts.text) <= LIMITS.text_characters
    assert "text_cut" in facts.problems


def test_what_is_shipped_with_an_observation_has_no_content():
    facts = read_mail(mail_with(text="secret words", html="<p>more secret words</p>"))
    shipped = str(facts.as_json())
    assert "secret words" not in shipped
    assert facts.fingerprint in shipped


def test_a_part_after_the_end_of_the_mail_is_read_too():
    raw = (
        b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
        b"--x\r\n\r\nfirst\r\n--x--\r\n--x\r\nContent-Type: text/html\r\n\r\n<a href=https://late.example/>x</a>\r\n"
    )
    facts = read_mail(raw)
    assert "parts_after_end" in facts.problems
    assert [link.host for link in facts.links] == ["late.example"]


def test_an_inner_multipart_with_the_same_boundary_hides_nothing():
    raw = (
        b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
        b"Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n"
        b"Content-Type: text/html\r\n\r\n<a href=https://inner.example/>x</a>\r\n--x--\r\n"
    )
    facts = read_mail(raw)
    assert "duplicate_boundary" in facts.problems
    assert [link.host for link in facts.links] == ["inner.example"]


def test_carriage_returns_alone_are_line_ends():
    facts = read_mail(b"From: a@b.example\rSubject: x\r\rHello there")
    assert (facts.subject, facts.text) == ("x", "Hello there")
    assert "bare_cr" in facts.problems


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?a_b=C3=A4?=", "a bä"),
        ("=?utf-8?B?w6Q=?= =?utf-8?B?w7Y=?=", "äö"),
        ("=?utf-8?B?w6Q=?= and =?utf-8?B?w7Y=?=", "ä and ö"),
        ("=?utf-8?B?w?= =?utf-8?B?6Q=?=", decode_words("=?utf-8?B?w?= =?utf-8?B?6Q=?=")),
        ("=?iso-8859-1?q?=80?=", "€"),
        ("=?utf-8*en?q?x?=", "x"),
        ("=?x-none?q?a?=", "a"),
        ("=?utf-8?q?broken", "=?utf-8?q?broken"),
        ("a =?utf-8?q?b?= c", "a b c"),
        ("=?utf-8?b?4oI=?= =?utf-8?b?rA==?=", "€"),
    ],
)
def test_encoded_words_are_undone(value, decoded):
    assert decode_words(value) == decoded


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"gr\xc3\xbc\xc3\x9fe", "", "grüße"),
        (b"gr\xfc\xdfe", "", "grüße"),
        (b"gr\xfc\xdfe", "iso-8859-1", "grüße"),
        (b"\xff\xfea\x00", "utf-16", "a"),
        (b"a\x00b", "us-ascii", "a\ufffdb"),
        (b"+2AA-", "utf-7", "\ufffd"),
    ],
)
def test_bytes_become_text_that_can_be_stored(data, charset, text):
    assert decode_text(data, charset) == (text, True)


@pytest.mark.parametrize(
    "charset", ["zip", "hex", "rot13", "idna", "punycode", "x-none", "unicode_escape"]
)
def test_charsets_that_are_none_are_not_used(charset):
    assert decode_text(b"abc", charset) == ("abc", False)


@pytest.mark.parametrize(
    ("data", "decoded"),
    [
        (b"QUJD", (b"ABC", True)),
        (b"QU JD\r\n", (b"ABC", True)),
        (b"QUJDR", (b"ABC", False)),
        (b"!", (b"", True)),
    ],
)
def test_base64_gives_what_it_can(data, decoded):
    assert decode_base64(data) == decoded


def test_parameters_are_read_in_all_their_forms():
    value = (
        'Text/Plain; charset="utf-8"; NAME=a.txt; name=b.txt;'
        " title*0*=utf-8'en'%C3%A4; title*1=b;"
        ' note="a \\"quoted\\"; x=1"'
    )
    assert parse_parameters(value) == (
        "text/plain",
        {"charset": "utf-8", "name": "a.txt", "title": "äb", "note": 'a "quoted"; x=1'},
    )


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (
            "Please find the invoice attached and let us know if you have any questions for us.",
            "en",
        ),
        ("Bitte prüfen Sie die Rechnung und überweisen Sie den Betrag auf das neue Konto.", "de"),
        ("Пожалуйста, оплатите счёт до пятницы", "ru"),
        ("請在星期五之前付款", "zh"),
        ("Hi", ""),
        ("", ""),
    ],
)
def test_the_language_is_guessed(text, language):
    assert read_mail(plain_mail(text)).language == language
