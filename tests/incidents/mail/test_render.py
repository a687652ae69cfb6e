"""Shown mail does nothing and hides nothing."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from incidents.mail.read import read_mail
from incidents.mail.render import _sanitised, safe_html, visible_text
from tests.hostile.generate import hostile_mails
from tests.hostile.vectors import SCRIPTS

ALLOWED = set(
    str.split(
        "p div span br hr b strong i em u s strike sub sup small big tt blockquote pre code ul ol"
        " li dl dt dd table thead tbody tfoot tr td th caption h1 h2 h3 h4 h5 h6 center address"
    )
)
VECTORS = [
    *SCRIPTS,
    "<svg><script>alert(1)</script></svg><p>after",
    "<svg></p><style><a id='</style><img src=1 onerror=alert(1)>'>",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    "<form id=x><form id=y><input form=x>",
    "<p id=csrf name=token class=modal style='position:fixed;top:0'>x</p>",
    "<a href='/incidents/1/close?confirm=1'>x</a>",
    "<a href='\u2028javascript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<table background='https://evil.example/x'><td background=x>y",
    "<body background='https://evil.example/x'>y",
    "<div><!--[if gte mso 9]><script>alert(1)</script><![endif]-->x</div>",
    "<img srcset='https://evil.example/x 1x' src=''>",
    "<link rel=stylesheet href=https://evil.example/x><meta charset=utf-7>",
    "<video><source onerror=alert(1)></video><audio src=x onerror=alert(1)>",
    "<details open ontoggle=alert(1)>x</details><marquee onstart=alert(1)>y</marquee>",
    "<textarea></textarea><script>alert(1)</script></textarea>",
    "<title><img src=x onerror=alert(1)></title>x",
    "<select><template><img src=x onerror=alert(1)></template></select>",
    "<plaintext><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<p title='\"><script>alert(1)</script>'>x</p>",
    "\x00<scr\x00ipt>alert(1)</script>",
    "<div>" * 3_000 + "<script>alert(1)</script>",
    "<div>" * 50_000 + "<script>alert(1)</script>",
]


class Reading(HTMLParser):
    """Every tag and attribute that is left."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.odd: list[str] = []
        self.feed(html)
        self.close()

    @override
    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= set(attrs)

    @override
    def handle_comment(self, data):
        self.odd.append(data)

    handle_decl = unknown_decl = handle_pi = handle_comment


def check_inert(html: str) -> None:
    shown = safe_html(html)
    reading = Reading(shown)
    assert reading.tags <= ALLOWED
    assert {name for name, _ in reading.attributes} <= {"colspan", "rowspan", "align"}
    assert not reading.odd
    assert _sanitised(shown) == shown


@pytest.mark.parametrize("vector", VECTORS)
def test_nothing_that_acts_is_left(vector):
    check_inert(vector)
    check_inert(f"<table><tr><td>{vector}</td></tr></table><p>end")


@given(
    st.lists(st.sampled_from([*SCRIPTS, "<p>", "</p>", "<table>", "<td>", "'", '"', "--", "&lt;"]))
)
def test_no_mixture_of_the_pieces_acts(pieces):
    check_inert("".join(pieces))


def test_generated_hostile_mail_is_inert():
    for mail in hostile_mails(18, 150):
        facts = read_mail(mail.raw)
        check_inert(facts.html)
        check_inert(facts.subject)


def test_links_become_words_with_their_target():
    shown = safe_html('<a href="https://evil.example/x?a=1&amp;b=2">https://bank.example</a>')
    assert shown == "https://bank.example ⟨hxxps://evil[.]example/x?a=1&amp;b=2⟩"


def test_images_become_words():
    shown = safe_html(
        '<img src=https://t.example/1.gif width=1><img alt="Our <b>logo</b>" src=cid:1>'
    )
    assert shown == "[tracking image][image: Our &lt;b&gt;logo&lt;/b&gt;]"


def test_hidden_text_is_shown_and_said_to_be_hidden():
    shown = safe_html('<p>Hello</p><div style="DISPLAY : none">garden tools</div>')
    assert "⟦hidden text: <div>garden tools</div>⟧" in shown


def test_an_unclosed_drawing_does_not_swallow_the_mail():
    assert "the account has changed" in safe_html("<svg><desc><p>the account has changed")


def test_forms_say_where_they_are_sent():
    shown = safe_html("<form action=https://evil.example/login>Password <input></form>")
    assert "form that is sent to hxxps://evil[.]example/login" in shown


def test_direction_tricks_are_marked_in_html():
    assert safe_html("<p>exe&#x202e;fdp &#x200b;x</p>") == "<p>exe⟦U+202E⟧fdp x</p>"


def test_tables_and_lists_keep_their_form():
    html = '<table><tbody><tr><td colspan="2">a</td></tr></tbody></table><ul><li>b</li></ul>'
    assert safe_html(html) == html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("invoice_exe\u202efdp.", "invoice_exe⟦U+202E⟧fdp."),
        ("pay\u200bpal", "pay⟦U+200B⟧pal"),
        ("a\u200b\u200b\u200bb", "a⟦U+200B×3⟧b"),
        ("a\x00b\x1b[31m", "a⟦U+0000⟧b⟦U+001B⟧[31m"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("a\rb", "a⟦U+000D⟧b"),
        ("family 👩\u200d👧", "family 👩\u200d👧"),
        ("a\u200db", "a⟦U+200D⟧b"),
        ("Grüße, 你好, שלום", "Grüße, 你好, שלום"),
        ("line\u2028end", "line⟦U+2028⟧end"),
        ("\U000e0041tag", "⟦U+E0041⟧tag"),
    ],
)
def test_unseen_characters_are_shown_as_marks(text, shown):
    assert visible_text(text) == shown


@given(st.text())
def test_visible_text_leaves_nothing_unseen(text):
    shown = visible_text(text)
    assert not set(shown) & set(
        "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\x00\x1b"
    )
