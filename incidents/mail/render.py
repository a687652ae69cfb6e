"""Showing mail to people: HTML that does nothing, text that hides nothing.

``safe_html`` changes the tree first (images, links and forms become words) and sanitises last;
nothing touches its result again, because what is put together after sanitising is where mail
programs were broken.  It still belongs into a frame with a policy of its own.
"""

from __future__ import annotations

import html as html_entities
import re
import unicodedata

import nh3
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from incidents.mail.html import find_bomb, hides_its_text, read_html
from incidents.mail.limits import LIMITS
from incidents.mail.links import defang

_TAGS = frozenset(
    str.split(
        "p div span br hr b strong i em u s strike sub sup small big tt blockquote pre code ul ol"
        " li dl dt dd table thead tbody tfoot tr td th caption h1 h2 h3 h4 h5 h6 center address"
    )
)
_ATTRIBUTES: dict[str, set[str]] = {
    "*": set(),  # unless said so, nh3 allows lang and title on all
    "td": {"colspan", "rowspan", "align"},
    "th": {"colspan", "rowspan", "align"},
    "p": {"align"},
    "div": {"align"},
}
# Removed with what is in them.  All other unknown elements leave their text behind: an unclosed
# <svg> must not keep the rest of the mail from the one who judges it.
_DROPPED = frozenset(str.split("script style title template iframe noembed noframes head"))
_LONGEST_TARGET = 300
# Characters that turn the direction of what follows: shown, because they lie about the order.
_TURNING = "\u202a-\u202e\u2066-\u2069"
_TURNERS = re.compile(f"[{_TURNING}]")
_SILENT = re.compile("[\u00ad\u034f\u061c\u200b-\u200f\u2060-\u2064\u206a-\u206f\ufeff]")
_UNSEEN = re.compile(
    f"([{_TURNING}\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2028\u2029\u2060-\u2064"
    "\u206a-\u206f\u3164\ufeff\uffa0\U000e0000-\U000e0fff\x00-\x08\x0b-\x1f\x7f-\x9f])\\1*"
)
_JOINER = "\u200d"


def safe_html(html: str) -> str:
    """An HTML fragment of text and tables alone: no link, image, form, style, script, id or name.

    Images and links are replaced by words in brackets (links with their defanged target), hidden
    text is shown and said to be hidden.  HTML that would be too costly to parse comes back as
    plain text.  Never raises.
    """
    html = html[: LIMITS.html_characters]
    if find_bomb(html):
        return _as_text(html)
    try:
        tree = LexborHTMLParser(html)
        if tree.body is None:
            return _as_text(html)
        _replace_images(tree)
        _disarm_links(tree)
        _mark_hidden(tree.body)
        _unwrap_unknown(tree)
        changed = _without_unseen(tree.body.html or "")
    except (SelectolaxError, ValueError, RuntimeError):
        return _as_text(html)
    return _sanitised(changed)


def _unwrap_unknown(tree: LexborHTMLParser) -> None:
    """The sanitiser drops elements of drawings and formulas together with their text."""
    if tree.root is not None:
        known = _TAGS | _DROPPED | {"html", "body", "-text", "-comment", "-document"}
        tags = {node.tag or "" for node in tree.root.traverse()} - known
        tree.unwrap_tags([tag for tag in tags if re.fullmatch(r"[a-z][a-z0-9]*", tag)])


def _sanitised(html: str) -> str:
    return nh3.clean(
        html,
        tags=set(_TAGS),
        clean_content_tags=set(_DROPPED),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        url_schemes=set(),
        url_relative="deny",
        link_rel=None,
        strip_comments=True,
    )


def _as_text(html: str) -> str:
    text = read_html(html).text[: LIMITS.text_characters]
    return _sanitised(f"<pre>{html_entities.escape(_without_unseen(text))}</pre>")


def _without_unseen(text: str) -> str:
    return _SILENT.sub("", _TURNERS.sub(lambda match: _mark(match[0], 1), text))


def _replace_images(tree: LexborHTMLParser) -> None:
    for image in tree.css("img,input[type=image]"):
        attributes = image.attributes
        words = " ".join((attributes.get("alt") or "").split())[:100]
        is_pixel = (attributes.get("width") or "").strip() in ("0", "1", "1px")
        shown = "tracking image" if is_pixel else "image"
        image.replace_with(f"[{shown}: {words}]" if words else f"[{shown}]")


def _disarm_links(tree: LexborHTMLParser) -> None:
    for node in tree.css("a[href],area[href]"):
        target = (node.attributes.get("href") or "").strip()
        if target and not target.startswith("#"):
            node.insert_child(f" ⟨{_target(target)}⟩")
    for node in tree.css("form[action]"):
        target = (node.attributes.get("action") or "").strip()
        node.insert_child(f" ⟦form that is sent to {_target(target)}⟧")


def _target(url: str) -> str:
    return visible_text(defang(url)).replace("\n", " ")[:_LONGEST_TARGET]


def _mark_hidden(body: LexborNode) -> None:
    for node in body.css("[style],[hidden]"):
        if node.tag != "body" and hides_its_text(node) and (node.text() or "").strip():
            node.insert_before("⟦hidden text: ")
            node.insert_after("⟧")


def visible_text(text: str) -> str:
    """The text with every character that is not seen, or that turns what is seen, shown as a mark.

    ``invoice_exe\u202efdp.`` becomes ``invoice_exe⟦U+202E⟧fdp.``; runs become one mark with their
    number.  Line ends and tabs stay; a joiner between two symbols of one emoji stays.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(lambda match: _shown(text, match), text)


def _shown(text: str, match: re.Match[str]) -> str:
    character, count = match[1], match.end() - match.start()
    is_in_emoji = (
        character == _JOINER
        and count == 1
        and match.start() > 0
        and match.end() < len(text)
        and _is_symbol(text[match.start() - 1])
        and _is_symbol(text[match.end()])
    )
    return character if is_in_emoji else _mark(character, count)


def _is_symbol(character: str) -> bool:
    return character == "\ufe0f" or unicodedata.category(character) in ("So", "Sk")


def _mark(character: str, count: int) -> str:
    number = f"×{count}" if count > 1 else ""
    return f"⟦U+{ord(character):04X}{number}⟧"
