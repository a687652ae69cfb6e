"""Address headers, and whether the one From of a mail reads the same everywhere.

A tokenizer of our own, linear and never raising.  The rule for the sender is strict: whenever
mail programs are known to show different addresses for the same bytes (the cases that espoofer
collects, RFC 5322 section 3.4), the sender is *ambiguous* and nobody's name is put on the mail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from incidents.mail.encoded import decode_words
from incidents.mail.facts import Address
from incidents.mail.headers import Field, HeaderBlock
from incidents.mail.limits import LIMITS, Limits
from incidents.mail.urls import ascii_host

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|\\.|[()<>,:;]|[^"\\()<>,:;]+|\\', re.DOTALL)
_ADDRESS = re.compile(r"[^\s@<>(),;:\"\[\]\\]{1,128}@[^\s@<>(),;:\"\\]{1,255}\Z")
_QUOTED_ADDRESS = re.compile(r"\"((?:[^\"\\]|\\.){0,128})\"@([^\s@<>(),;:\"\\]{1,255})\Z")
_ANY_ADDRESS = re.compile(r"[^\s@<>(),;:\"]{1,128}@[^\s@<>(),;:\"]{1,255}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_CR_FROM = re.compile(rb"\r[ \t]*from[ \t]*:", re.IGNORECASE)
_ENCODED = re.compile(r"=\?[^?\s]+\?[bBqQ]\?[^?]*\?=")
_SPLITTING = frozenset("<>,;\x00\r\n")


@dataclass(slots=True)
class _Mailbox:
    """One mailbox as it is collected: words before, inside and behind the angle brackets."""

    words: list[str] = field(default_factory=list)
    angle: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    angles: int = 0
    is_odd: bool = False


@dataclass(slots=True)
class AddressList:
    """``is_odd``: programs are known to read these bytes differently."""

    addresses: list[Address] = field(default_factory=list)
    is_odd: bool = False
    is_cut: bool = False


def parse_addresses(value: str, *, limits: Limits = LIMITS) -> AddressList:
    """The mailboxes of an unfolded header value, names decoded; groups are opened up."""
    result = AddressList(is_odd=_CONTROL.search(value) is not None)
    for box in _mailboxes(value, result):
        if len(result.addresses) >= limits.addresses:
            result.is_cut = True
            break
        address = _finished(box, limits)
        result.is_odd = result.is_odd or box.is_odd
        if address is not None:
            result.addresses.append(address)
    return result


def _mailboxes(value: str, result: AddressList) -> list[_Mailbox]:
    boxes: list[_Mailbox] = []
    box = _Mailbox()
    comment_depth, in_angle = 0, False
    for match in _TOKEN.finditer(value):
        piece = match[0]
        if piece not in ",;:" or comment_depth or in_angle:
            box.raw.append(piece)
        if comment_depth:
            comment_depth += (piece == "(") - (piece == ")")
            box.comments.append(piece if comment_depth else " ")
        elif piece == "(":
            comment_depth = 1
        elif piece == ")":
            result.is_odd = True
        elif in_angle:
            if piece == ">":
                in_angle = False
            elif piece in "<,;":
                result.is_odd = True
                box.angle.append(piece)
            else:
                box.angle.append(piece)
        elif piece == "<":
            in_angle = True
            box.angles += 1
        elif piece == ">":
            result.is_odd = True
        elif piece in ",;":
            boxes.append(box)
            box = _Mailbox()
        elif piece == ":":
            box.words, box.raw = [], []  # the name of a group
            result.is_odd = True
        else:
            box.words.append(piece)
    result.is_odd = result.is_odd or comment_depth > 0 or in_angle
    boxes.append(box)
    return boxes


def _finished(box: _Mailbox, limits: Limits) -> Address | None:
    raw = "".join(box.raw).strip()
    if not raw:
        return None
    before = "".join(box.words).strip()
    comment = decode_words("".join(box.comments).strip())
    if box.angles:
        inside, name = "".join(box.angle), before
        box.is_odd |= box.angles > 1
        if inside.lstrip().startswith("@") or ":" in inside:
            box.is_odd = True  # a source route; some take the last address, some the first
            inside = inside.rpartition(":")[2]
        outside = _ANY_ADDRESS.search(_unquoted_only(before))
        if outside and normal_address(outside[0]) != normal_address(inside):
            box.is_odd = True
    else:
        inside, name = before, comment
    box.is_odd |= _ANY_ADDRESS.search(comment) is not None and box.angles == 0
    address = normal_address(inside)
    if not address and not name:
        name = before
    box.is_odd |= (
        not address or address.startswith('"') or _hides_structure(before if box.angles else inside)
    )
    shown = _display_name(name or comment)
    return Address(
        address=address,
        name=shown[: limits.name_characters],
        raw=decode_words(raw)[: 2 * limits.name_characters],
    )


def _unquoted_only(words: str) -> str:
    return re.sub(r'"(?:[^"\\]|\\.)*"?', " ", words)


def _hides_structure(words: str) -> bool:
    """Encoded words that decode to the very characters that separate addresses."""
    return any(
        "@" in decoded and _SPLITTING & set(decoded)
        for decoded in map(decode_words, _ENCODED.findall(words))
    )


def _display_name(name: str) -> str:
    name = re.sub(r"\s+", " ", name.strip())
    if name.startswith('"') and name.endswith('"') and len(name) > 1:
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return decode_words(name).replace("\r", " ").replace("\n", " ").strip()


def normal_address(text: str) -> str:
    """``Bob@EXÄMPLE.com`` → ``bob@xn--…``; "" if it is no single mailbox."""
    text = text.strip()
    if text.startswith('"'):
        quoted = _QUOTED_ADDRESS.match(text)
        if quoted is None:
            return ""
        local, host = quoted[1].replace("\\", ""), ascii_host(quoted[2])
        local = local if _ADDRESS.match(local + "@x.example") else f'"{quoted[1]}"'
    else:
        if not _ADDRESS.match(text):
            return ""
        local, _, domain = text.rpartition("@")
        host = domain.lower() if domain.startswith("[") else ascii_host(domain)
    return f"{local}@{host}".lower() if host else ""


def sender_of(
    block: HeaderBlock, raw: bytes, *, limits: Limits = LIMITS
) -> tuple[Address | None, tuple[Address, ...], str]:
    """The one sender or None, all addresses of all From headers, and a problem code or ""."""
    fields = [each for each in block.fields if _reads_as_from(each)]
    if not fields:
        return None, (), "no_from"
    found: list[Address] = []
    is_odd = len(fields) > 1 or any(each.name.lower() != "from" for each in fields)
    for each in fields:
        parsed = parse_addresses(each.text(), limits=limits)
        found += parsed.addresses
        is_odd |= parsed.is_odd or parsed.is_cut or b"\x00" in each.value
    head = raw[: block.body_start]
    is_odd |= raw[:1] in (b" ", b"\t") and b"from" in head[:200].lower()
    is_odd |= _CR_FROM.search(head) is not None
    if is_odd or len(found) != 1 or not found[0].address:
        return None, tuple(found[: limits.addresses]), "ambiguous_sender"
    return found[0], (found[0],), ""


def _reads_as_from(header: Field) -> bool:
    """Also names that some programs take for From: blanks before the colon, control characters."""
    if header.name.isascii() and header.name.isprintable():
        return header.key == "from"
    return "".join(c for c in header.name if "!" <= c <= "~").lower() == "from"


def addresses_of(
    block: HeaderBlock, key: str, *, limits: Limits = LIMITS
) -> tuple[tuple[Address, ...], bool]:
    """The addresses of all headers of that name, and whether the list was cut."""
    found: list[Address] = []
    is_cut = False
    for each in block.all(key):
        parsed = parse_addresses(each.text(), limits=limits)
        found += parsed.addresses
        is_cut |= parsed.is_cut or len(found) > limits.addresses
        if is_cut:
            break
    return tuple(found[: limits.addresses]), is_cut
