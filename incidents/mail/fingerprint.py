"""The content of a mail as one value that survives what happens to mails on their way.

Gateways and mailbox providers put banners on a mail, mark its subject, wrap its links, encode its
parts anew and refold its lines.  The fingerprint is taken of what is left when all of that is
undone, so the same mail has the same one before and after; another text has another.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
import zlib
from collections.abc import Iterable
from itertools import islice

from incidents.mail.facts import Attachment, Link
from incidents.mail.filetypes import is_textual
from incidents.mail.headers import scan_block
from incidents.mail.limits import LIMITS
from incidents.mail.links import find_urls, unwrap
from incidents.mail.urls import split_url

_VERSION = b"bailey-content-1\n"
_HEX_CHARACTERS = 32
_LEAST_WORDS = 4
_SHINGLE_WORDS = 4
_LEAST_SHINGLES = 20
_MOST_WORDS = 5_000
_BINS = 64
_EMPTY = 2**31  # more than any value
_FACTOR, _TERM, _LAST_FACTOR = 0x9E3779B97F4A7C15, 0x632BE59BD9B4E019, 0xBF58476D1CE4E5B9
_64_BITS = 0xFFFFFFFFFFFFFFFF
_WORD = re.compile(r"\w+")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff\x00-\x08\x0e-\x1f\x7f-\x9f]"
)
_VARIABLE = re.compile(r"\d|%|[=~]")
_LONG_SEGMENT = 24
# Lines that providers and gateways add to the top or the foot of a mail.  Each names the warning
# itself, not only a word that a writer might use.
_BANNER = re.compile(
    r"originat\w+ (?:from )?outside (?:of )?(?:the|our|your)"
    r"|(?:from|by) (?:an? )?(?:external|outside) (?:sender|source|email|e-mail)"
    r"|(?:came|sent|received|comes) from (?:outside|an external|external)"
    r"|(?:this is an )?external (?:e-?mail|message|sender)\b"
    r"|do not click (?:on )?(?:any )?links? or open (?:any )?attachments?"
    r"|unless you recogni[sz]e the sender"
    r"|you don'?t often get email from|some people who received this message don'?t often"
    r"|learn why this is important"
    r"|(?:this|the) sender (?:is|was|could not be|might not be|may not be) "
    r"(?:unverified|not verified|verified|from outside)"
    r"|externe (?:e-?mail|nachricht|absender)|von au(?:ß|ss)erhalb (?:der|ihrer|unserer)"
    r"|(?:e-?mail|message|courriel) (?:externe|provenant de l.ext[eé]rieur|ext[eé]rieur)"
    r"|correo (?:externo|electr[oó]nico externo)|remitente externo"
    r"|mittente esterno|(?:e-?mail|messaggio) esterno|externe afzender|van buiten (?:de|uw|onze)"
    r"|remetente externo|e-?mail externo",
    re.IGNORECASE,
)
_FOOTER = re.compile(
    r"(?:e-?mail|message) (?:has been|was) (?:scanned|checked|verified) (?:by|for)"
    r"|virus-free\.? ?www\.|checked by avg"
    r"|scanned by (?:mailscanner|mimecast|barracuda|sophos|eset)"
    r"|report this (?:e-?mail|message) as (?:spam|phish)|click here to report this email",
    re.IGNORECASE,
)
# Each line that the expressions know has one of these words, which are found far faster.
_BANNER_WORDS = (
    *("outside", "extern", "click", "recogni", "often", "learn why", "sender", "erhalb", "rieur"),
    *("esterno", "buiten"),
)
_FOOTER_WORDS = ("scanned", "checked", "verified", "virus-free", "report")
_TAGS = r"external(?: (?:e-?mail|sender|mail))?|ext|extern|externe|externo|esterno|outside"
_TAG = re.compile(
    r"\A\s*(?:[\[({<*!#]{1,3}\s*(?:" + _TAGS + r"|caution|warning|suspicious|suspect(?:ed)? spam"
    r"|spam|possible spam|phish(?:ing)?|bulk|marketing|unverified)"
    r"[^\])}>*!#\n]{0,20}[\])}>*!#]{1,3}[:\s-]*)+",
    re.IGNORECASE,
)
_BANNER_LINES = 8
_BANNER_LENGTH = 500


def content_fingerprint(text: str, links: Iterable[Link] = (), files: Iterable[str] = ()) -> str:
    """32 hex characters, or "" where there is too little to tell one mail from another.

    ``text`` is what a reader sees: of the HTML body if there is one (providers add a plain reading
    to mails that had none, never the other way round), else the plain text.  ``files`` are the
    values that ``file_key`` gives for the attachments.
    """
    return fingerprint_of_words(normal_words(text), links, files)


def fingerprint_of_words(words: list[str], links: Iterable[Link], files: Iterable[str]) -> str:
    """As ``content_fingerprint`` for words that ``normal_words`` gave."""
    shapes = sorted({link_shape(each.url) for each in links if each.where in ("html", "form")})
    keys = sorted({each for each in files if each})
    if len(words) < _LEAST_WORDS and not shapes and not keys:
        return ""
    digest = hashlib.sha256(_VERSION)
    for group in (words, shapes, keys):
        digest.update("\x1f".join(group).encode("utf-8", "replace") + b"\x1e")
    return digest.hexdigest()[:_HEX_CHARACTERS]


def file_key(content: bytes, attachment: Attachment) -> str:
    """What an attachment adds to the fingerprint, "" for what hosts write on the way.

    Texts count without their blanks, because line ends change; an attached mail counts by its own
    subject and id, because providers build it anew (its files count by themselves).
    """
    if attachment.kind in ("signature", "report", "tnef"):
        return ""
    if attachment.kind == "message":
        block = scan_block(content)
        fields = [block.first(name) for name in ("subject", "message-id")]
        named = b"\n".join(b"".join(each.value.split()) if each else b"" for each in fields)
        return "message:" + hashlib.sha256(named).hexdigest()
    if is_textual(attachment.kind):
        return "text:" + hashlib.sha256(b"".join(content.split())).hexdigest()
    return attachment.sha256


def normal_words(text: str) -> list[str]:
    """The words of a text in lower case, without banners, invisible characters and link queries."""
    text = _without_invisible(unicodedata.normalize("NFKC", text))
    text = _shaped_urls("\n".join(_without_banners(text.split("\n"))))
    return _WORD.findall(text.casefold())


def _without_invisible(text: str) -> str:
    """Nothing to a reader: zero-width and direction characters, fillers, soft hyphens, controls."""
    return text if text.isascii() else _INVISIBLE.sub("", text)


def _without_banners(lines: list[str]) -> list[str]:
    kept = [line.strip() for line in lines if line.strip()]
    head, rest = kept[:_BANNER_LINES], kept[_BANNER_LINES:]
    foot_at = max(0, len(rest) - _BANNER_LINES)
    foot = rest[foot_at:]
    # All lines at once first: most mails have none of the words.
    if _has_one(head, _BANNER_WORDS):
        head = [line for line in head if not _is_banner(line)]
    if _has_one(foot, (*_BANNER_WORDS, *_FOOTER_WORDS)):
        rest[foot_at:] = [line for line in foot if not _is_banner(line) and not _is_footer(line)]
    kept = head + rest
    if kept:
        kept[0] = _TAG.sub("", kept[0], count=1) if _TAG.match(kept[0]) else kept[0]
    return kept


def _has_one(lines: list[str], words: tuple[str, ...]) -> bool:
    folded = "\n".join(lines).casefold()
    return any(word in folded for word in words)


def _is_banner(line: str) -> bool:
    return _is_added(line, _BANNER_WORDS, _BANNER)


def _is_footer(line: str) -> bool:
    return _is_added(line, _FOOTER_WORDS, _FOOTER)


def _is_added(line: str, words: tuple[str, ...], pattern: re.Pattern[str]) -> bool:
    if len(line) > _BANNER_LENGTH:
        return False
    folded = line.casefold()
    return any(word in folded for word in words) and pattern.search(line) is not None


def _shaped_urls(text: str) -> str:
    pieces: list[str] = []
    position = 0
    for start, end in islice(find_urls(text), LIMITS.links):
        pieces += [text[position:start], " ", link_shape(unwrap(text[start:end])[0]), " "]
        position = end
    pieces.append(text[position:])
    return "".join(pieces)


def link_shape(url: str) -> str:
    """Host and the path with its variable segments blanked: ``a.example/track/#``."""
    parts = split_url(url)
    segments = [
        "#" if len(each) > _LONG_SEGMENT or _VARIABLE.search(each) else each.lower()
        for each in parts.path.split("/")
        if each
    ]
    return "/".join([parts.host or parts.scheme, *segments[:20]])


def normal_subject(subject: str) -> str:
    """The subject without the marks of gateways and without ``Re:`` and ``Fwd:``, lower case."""
    text = _without_invisible(unicodedata.normalize("NFKC", subject))
    for _ in range(5):
        shorter = re.sub(
            r"^\s*(?:re|aw|antw|sv|fwd?|wg|tr|rv)\s*(?:\[\d+\])?:", "", text, flags=re.I
        )
        shorter = _TAG.sub("", shorter, count=1) if _TAG.match(shorter) else shorter
        if shorter == text:
            break
        text = shorter
    return " ".join(text.casefold().split())


def minhash(text: str) -> tuple[int, ...]:
    """64 values of 31 bits for near-duplicates, () under 20 shingles of four words.

    One hash a shingle, its low bits choose the bin that keeps the smallest; empty bins borrow from
    others in a fixed order (densified one-permutation hashing, Shrivastava 2017).
    """
    return minhash_of_words(normal_words(text))


def minhash_of_words(words: list[str]) -> tuple[int, ...]:
    """As ``minhash`` for words that ``normal_words`` gave; only the first 5,000 count."""
    coded = [word.encode("utf-8", "replace") for word in words[:_MOST_WORDS]]
    following = (coded[at:] for at in range(_SHINGLE_WORDS))
    shingles = set(map(zlib.crc32, map(b" ".join, zip(*following, strict=False))))
    if len(shingles) < _LEAST_SHINGLES:
        return ()
    bins = [_EMPTY] * _BINS
    for each in shingles:  # ``_mixed``, written out: it is the innermost loop of all reading
        mixed = (each * _FACTOR + _TERM) & _64_BITS
        mixed ^= mixed >> 29
        mixed = (mixed * _LAST_FACTOR) & _64_BITS ^ mixed >> 32
        at, value = mixed & (_BINS - 1), mixed >> 33
        if value < bins[at]:
            bins[at] = value
    return tuple(each if each != _EMPTY else _borrowed(bins, at) for at, each in enumerate(bins))


def _mixed(value: int) -> int:
    value = (value * _FACTOR + _TERM) & _64_BITS
    value ^= value >> 29
    return (value * _LAST_FACTOR) & _64_BITS ^ value >> 32


def _borrowed(bins: list[int], at: int) -> int:
    for attempt in range(1, 10_000):
        other = _mixed(at * 10_007 + attempt) >> 20 & (_BINS - 1)
        if bins[other] != _EMPTY:
            return bins[other]
    return 0


def similarity(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    """The estimated Jaccard similarity 0..1 of two texts; 0 if either has no values."""
    if not a or len(a) != len(b):
        return 0.0
    return sum(x == y for x, y in zip(a, b, strict=True)) / len(a)


def mail_key(internet_message_id: str, sender: str, fingerprint: str) -> str:
    """One mail by its name, its visible sender and its content: 64 hex characters, the same in both
    layers.  "" where one of them is missing: then nothing tells this mail from others.
    """
    parts = (internet_message_id.strip(), sender.strip().lower(), fingerprint)
    if not all(parts):
        return ""
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()
