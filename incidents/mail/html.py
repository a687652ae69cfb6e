"""The HTML body: what a reader sees, what is hidden from him, and where its links lead.

HTML is parsed by lexbor.  Two shapes make it quadratic (tens of thousands of nested elements, or
of attributes in one tag), so both are looked for first; then text and links are cut out roughly
instead, so that hostile HTML does not hide from the detectors.
"""

from __future__ import annotations

import html as html_entities
import re
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from incidents.mail.limits import LIMITS, Limits

_BLOCKS = frozenset(
    str.split(
        "address article aside blockquote body br center dd div dl dt fieldset footer form h1 h2 h3"
        " h4 h5 h6 header hr li main nav ol option p pre section table tbody td tfoot th thead tr"
        " ul"
    )
)
_VOID_OR_IMPLIED = frozenset(
    str.split(
        "area base br col embed hr img input link meta param source track wbr p li td th tr dt dd"
        " tbody thead tfoot body html head"
    )
)
_NO_TEXT = frozenset(str.split("script style title template noembed noframes head -comment"))
_HIDDEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0?\.?0+\s*(?:;|!|\Z)"
    r"|max-height\s*:\s*0(?:px|pt|em)?\s*(?:;|!|\Z)"
    r"|text-indent\s*:\s*-\d{4,}|(?:left|top)\s*:\s*-\d{4,}",
    re.IGNORECASE,
)
# What hides has one of these words, which are found far faster.
_HIDING_WORDS = ("none", "hidden", "opacity", "max-height", "text-indent", "left", "top")
_TINY_FONT = re.compile(
    r"font-size\s*:\s*(?:0|0?\.\d+|[01])(?:px|pt|em|%)?\s*(?:;|!|\Z)", re.IGNORECASE
)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,15})")
_REFRESH = re.compile(r"url\s*=\s*['\"]?([^'\"\s>]+)", re.IGNORECASE)
_HREF = re.compile(r"\b(?:href|action)\s*=\s*[\"']?([^\"'\s>]{1,4096})", re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_BLANKS = re.compile(r"[ \t\f\v\xa0]+")
_EMPTY_LINES = re.compile(r"\n\s*\n+")
# Below this many tags neither shape can cost more than some milliseconds.
_HARMLESS_TAGS = 4_000
_LONG_TAG = 16_384
_MANY_ATTRIBUTES = 2_000
_MANY_OPTIONS = 3_000


@dataclass(slots=True)
class HtmlLink:
    """``where``: ``html`` for what is clicked, ``form`` for where a form is sent."""

    seen: str
    text: str
    where: str = "html"


@dataclass(slots=True)
class HtmlFacts:
    """``hidden`` is text in the HTML that no reader sees."""

    text: str = ""
    hidden: str = ""
    links: list[HtmlLink] = field(default_factory=list)
    images: int = 0
    remote_images: int = 0
    forms: int = 0
    problems: list[str] = field(default_factory=list)


def read_html(html: str, *, limits: Limits = LIMITS) -> HtmlFacts:
    """Never raises; codes of crossed limits are in ``problems``."""
    facts = HtmlFacts()
    if len(html) > limits.html_characters:
        facts.problems.append("html_too_big")
        html = html[: limits.html_characters]
    problem = find_bomb(html, limits=limits)
    if problem:
        facts.problems.append(problem)
        return _read_roughly(html, facts)
    try:
        tree = LexborHTMLParser(html)
        _read_tree(tree, facts, limits)
    except (SelectolaxError, ValueError, RuntimeError):
        facts.problems.append("html_too_deep")
        return _read_roughly(html, facts)
    return facts


def find_bomb(html: str, *, limits: Limits = LIMITS) -> str:
    """The problem code of HTML that must not be given to a parser, "" for all other."""
    tags = html.count("<")
    if tags > limits.html_tags:
        return "html_too_big"
    if any(
        len(piece) > _LONG_TAG
        and len(_QUOTED.sub("", piece.partition("<")[2]).split()) > _MANY_ATTRIBUTES
        for piece in html.split(">")
    ):
        return "html_too_big"
    if tags < _HARMLESS_TAGS:
        return ""
    depth = options = 0
    for match in _TAG.finditer(html):
        tag = match[2].lower()
        if tag in _VOID_OR_IMPLIED:
            continue
        options += tag == "option"
        depth += -1 if match[1] else 1
        if depth > limits.html_depth or options > _MANY_OPTIONS:
            return "html_too_deep"
    return ""


def _read_roughly(html: str, facts: HtmlFacts) -> HtmlFacts:
    pieces = [piece.partition(">")[2] for piece in html.split("<")]
    facts.text = _tidy(html_entities.unescape("\n".join(pieces)))
    for match in _HREF.finditer(html):
        facts.links.append(HtmlLink(html_entities.unescape(match[1]), ""))
        if len(facts.links) > LIMITS.links:
            break
    return facts


def _read_tree(tree: LexborHTMLParser, facts: HtmlFacts, limits: Limits) -> None:
    base = _base_of(tree)
    _read_links(tree, facts, base, limits)
    for image in tree.css("img"):
        facts.images += 1
        source = (image.attributes.get("src") or "").lstrip()[:10].lower()
        facts.remote_images += source.startswith(("http:", "https:", "//"))
    root = tree.body or tree.root
    if root is not None:
        reader = _TextReader({node.mem_id for node in tree.css("[style],[hidden]")})
        reader.walk(root)
        facts.text = _tidy("".join(reader.shown))
        facts.hidden = _tidy("\n".join(reader.hidden))


def _base_of(tree: LexborHTMLParser) -> str:
    node = tree.css_first("base[href]")
    return (node.attributes.get("href") or "").strip() if node is not None else ""


def _read_links(tree: LexborHTMLParser, facts: HtmlFacts, base: str, limits: Limits) -> None:
    for node in tree.css("a[href],area[href]"):
        seen = _resolved(node.attributes.get("href") or "", base)
        if seen:
            facts.links.append(HtmlLink(seen, _tidy(node.text()[: limits.url_characters])))
        if len(facts.links) > limits.links:
            facts.problems.append("too_many_links")
            return
    for node in tree.css("form[action],button[formaction],input[formaction]"):
        attributes = node.attributes
        seen = _resolved(attributes.get("action") or attributes.get("formaction") or "", base)
        facts.forms += 1
        if seen:
            facts.links.append(HtmlLink(seen, "", "form"))
    for node in tree.css("meta[http-equiv][content]"):
        found = _REFRESH.search(node.attributes.get("content") or "")
        if found and (node.attributes.get("http-equiv") or "").lower() == "refresh":
            facts.links.append(HtmlLink(_resolved(found[1], base), ""))
    for node in tree.css("iframe[src],embed[src],object[data]"):
        seen = node.attributes.get("src") or node.attributes.get("data") or ""
        if seen.startswith(("http:", "https:", "//")):
            facts.links.append(HtmlLink(_resolved(seen, base), ""))


def _resolved(href: str, base: str) -> str:
    href = href.strip()
    if not href or href.startswith("#"):
        return ""
    if href.startswith("//"):
        return "https:" + href
    if base and not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", href):
        return base.rstrip("/") + "/" + href.lstrip("/")
    return href


class _TextReader:
    """Goes once over the tree, keeping apart what is shown and what is hidden.

    Nodes are only looked at: taking one out frees its children, which may still be in a list.
    ``styled``: those that may hide something; to ask each for its attributes takes long.
    """

    def __init__(self, styled: set[int]) -> None:
        self.styled = styled
        self.shown: list[str] = []
        self.hidden: list[str] = []

    def walk(self, root: LexborNode) -> None:
        node: LexborNode | None = root.child
        parents: list[tuple[LexborNode, bool, bool]] = []
        is_hidden = is_tiny = False
        while node is not None:
            tag = node.tag or ""
            if node.is_text_node:
                self._take(node, is_hidden or is_tiny)
            elif tag not in _NO_TEXT:
                if tag in _BLOCKS:
                    self.shown.append("\n")
                inner = node.child
                if inner is not None:
                    parents.append((node, is_hidden, is_tiny))
                    if node.mem_id in self.styled:
                        is_hidden, is_tiny = _style_of(node, is_hidden, is_tiny)
                    node = inner
                    continue
            following = node.next
            while following is None and parents:
                node, is_hidden, is_tiny = parents.pop()
                if node.tag in _BLOCKS:
                    self.shown.append("\n")
                following = node.next
            node = following

    def _take(self, node: LexborNode, is_hidden: bool) -> None:
        text = node.text_content or ""
        if not is_hidden:
            self.shown.append(text.replace("\n", " "))
        elif text.strip():
            self.hidden.append(text)


def hides_its_text(node: LexborNode) -> bool:
    """Whether this element by itself keeps its text from the reader."""
    return _hides_text(node.attributes)


def _hides_text(attributes: dict[str, str | None]) -> bool:
    if "hidden" in attributes:
        return True
    style = (attributes.get("style") or "").lower()
    return any(word in style for word in _HIDING_WORDS) and _HIDDEN_STYLE.search(style) is not None


def _style_of(node: LexborNode, is_hidden: bool, is_tiny: bool) -> tuple[bool, bool]:
    """Whether what stands in ``node`` is hidden, and whether its letters are too small to read.

    A font size is inherited but can be set again further in, as newsletters do.
    """
    attributes = node.attributes
    style = attributes.get("style") or ""
    if style and "font-size" in style.lower():
        is_tiny = _TINY_FONT.search(style) is not None
    if not is_hidden:
        is_hidden = bool(attributes) and _hides_text(attributes)
    return is_hidden, is_tiny


def _tidy(text: str) -> str:
    text = _BLANKS.sub(" ", text.replace("\r", "\n").replace("\x00", "\ufffd"))
    return _EMPTY_LINES.sub("\n", text.replace(" \n", "\n").replace("\n ", "\n")).strip()
