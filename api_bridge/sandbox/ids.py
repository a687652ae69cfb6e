"""Ids as Exchange Online shows them, made from row numbers.

The digits of the counter go ``A a B b``, so that neighbours in one mailbox differ by case alone
(``…AAAB…`` and ``…AAAb…``): a caller that folds case loses mail at once.
Microsoft, "Get immutable identifiers for Outlook resources": ids are case-sensitive.
"""

import hashlib
import re

DIGITS = "AaBbCcDdEeFfGgHhIiJjKkLlMmNnOoPpQqRrSsTtUuVvWwXxYyZz0123456789-_"
IMMUTABLE_HEAD = "AAkALgAAAAAAHYQDEapm"
NORMAL_HEAD = "AAMkADAwATM0MDAAMS1h"
FOLDER_HEAD = "AQMkADAwATM0MDAAMS1h"
_PATTERN = re.compile(r"(?P<head>[\w-]{20})(?P<tag>[\w-]{10})(?P<digits>[\w-]{7})AAA=", re.ASCII)


def mailbox_tag(mailbox: int) -> str:
    """Ten letters that every id of a mailbox carries; another mailbox never has them."""
    return hashlib.sha256(f"mailbox {mailbox}".encode()).hexdigest()[:10]


def immutable_id(mailbox: int, number: int) -> str:
    return f"{IMMUTABLE_HEAD}{mailbox_tag(mailbox)}{_digits(number)}AAA="


def normal_id(mailbox: int, serial: int) -> str:
    return f"{NORMAL_HEAD}{mailbox_tag(mailbox)}{_digits(serial)}AAA="


def folder_id(mailbox: int, number: int) -> str:
    return f"{FOLDER_HEAD}{mailbox_tag(mailbox)}{_digits(number)}AAA="


def read_id(text: str, mailbox: int, *heads: str) -> tuple[str, int] | None:
    """The head and number of an id of this mailbox.  None: not an id, or another mailbox's."""
    found = _PATTERN.fullmatch(text)
    if found is None or found["tag"] != mailbox_tag(mailbox) or found["head"] not in heads:
        return None
    number = 0
    for digit in found["digits"]:
        number = number * 64 + DIGITS.index(digit)
    return found["head"], number


def looks_like_id(text: str) -> bool:
    return _PATTERN.fullmatch(text) is not None


def _digits(number: int) -> str:
    letters = []
    for _ in range(7):
        number, rest = divmod(number, 64)
        letters.append(DIGITS[rest])
    return "".join(reversed(letters))
