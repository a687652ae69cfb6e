"""Accounts and wallets written in a mail, checked by their check digits."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from incidents.mail.signals import lists
from incidents.mail.signals.reading import Reading, Signal
from incidents.observations import Reason

TEXT_READ = 50_000
"""Characters of a text that are searched for accounts."""

_IBAN = re.compile(r"\b([A-Z]{2}\d{2}(?:[ \u00a0-]?[A-Z0-9]){11,30})(?![A-Za-z0-9])")
_US_ACCOUNT = re.compile(
    r"\b(?:routing|aba)\b[^0-9\n]{0,30}(\d{9})\b.{0,120}?\bacc(?:oun)?t\b[^0-9\n]{0,30}(\d{6,17})\b",
    re.I | re.S,
)
_UK_ACCOUNT = re.compile(
    r"\bsort\s*code\b[^0-9\n]{0,20}(\d{2}[- ]?\d{2}[- ]?\d{2})\b.{0,120}?\b(\d{8})\b", re.I | re.S
)
_BITCOIN = re.compile(r"\b((?:[13][1-9A-HJ-NP-Za-km-z]{25,34})|(?:bc1[02-9ac-hj-np-z]{11,71}))\b")
_ETHEREUM = re.compile(r"\b(0x[0-9a-fA-F]{40})\b")
# What every account or wallet of a kind has: a text without it need not be read for them.
_IBAN_BEGIN = re.compile(r"[A-Z]{2}\d{2}")
# It begins with a set of letters, so the search skips all others.
_BITCOIN_BEGIN = re.compile(
    r"[13b](?:(?<=[13])[1-9A-HJ-NP-Za-km-z]{25}|(?<=b)c1[02-9ac-hj-np-z]{11})"
)
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Account:
    """``kind``: ``iban us uk bitcoin ethereum``; ``number`` has no spaces."""

    kind: str
    number: str

    @property
    def ending(self) -> str:
        return self.number[-4:]


def is_iban(candidate: str) -> bool:
    """Length of the country and the check digits of ISO 13616 (mod 97)."""
    if lists.iban_lengths().get(candidate[:2]) != len(candidate) or not candidate.isalnum():
        return False
    turned = candidate[4:] + candidate[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def is_routing_number(number: str) -> bool:
    """The check digit of an American routing number (weights 3, 7, 1)."""
    digits = [int(char) for char in number]
    total = 3 * sum(digits[0::3]) + 7 * sum(digits[1::3]) + sum(digits[2::3])
    return len(digits) == 9 and total > 0 and total % 10 == 0


def is_bitcoin_address(address: str) -> bool:
    """Base58 with its checksum; for bech32 the alphabet and prefix only."""
    if address.startswith("bc1"):
        return len(address) in (42, 62)
    value = 0
    for char in address:
        value = value * 58 + _BASE58.index(char)
    try:
        data = value.to_bytes(25, "big")
    except OverflowError:
        return False
    return hashlib.sha256(hashlib.sha256(data[:21]).digest()).digest()[:4] == data[21:]


def accounts_in(text: str) -> tuple[Account, ...]:
    """Every account written in ``text``, each once, in order of kind.

    An IBAN may be cut short by what follows it, so the country's length decides where it ends.
    """
    text = text[:TEXT_READ]
    found: dict[Account, None] = {}
    folded = text.casefold()
    for match in _IBAN.finditer(text) if _IBAN_BEGIN.search(text) else ():
        packed = re.sub(r"[ \u00a0-]", "", match.group(1))
        candidate = packed[: lists.iban_lengths().get(packed[:2], 0)]
        if is_iban(candidate):
            found[Account("iban", candidate)] = None
    for match in _US_ACCOUNT.finditer(text) if "acc" in folded else ():
        if is_routing_number(match.group(1)):
            found[Account("us", f"{match.group(1)}/{match.group(2)}")] = None
    for match in _UK_ACCOUNT.finditer(text) if "code" in folded else ():
        sort_code = re.sub(r"\D", "", match.group(1))
        found[Account("uk", f"{sort_code}/{match.group(2)}")] = None
    for match in _BITCOIN.finditer(text) if _BITCOIN_BEGIN.search(text) else ():
        if is_bitcoin_address(match.group(1)):
            found[Account("bitcoin", match.group(1))] = None
    for match in _ETHEREUM.finditer(text) if "0x" in text else ():
        found[Account("ethereum", match.group(1))] = None
    return tuple(found)


def bank_accounts(reading: Reading) -> Iterator[Reason]:
    """Bank accounts and wallets; their numbers are the value, to be compared with known ones."""
    for account in accounts_in(reading.shown_text):
        if account.kind in ("bitcoin", "ethereum"):
            text = f"The text names a {account.kind} wallet ending {account.ending}."
            yield Reason("wallet_in_text", text, account.number)
        else:
            text = f"The text names a bank account ending {account.ending}."
            yield Reason("account_in_text", text, account.number)


_FORTUNE = re.compile(
    r"(?:(?:usd?|us\$|eur|gbp|[$€£])\s?\d[\d.,]{0,20}\s?(?:m|million|mio|billion)\b)"
    r"|(?:[$€£]\s?\d{1,3}(?:[.,]\d{3}){2,5})"
    r"|(?:(?<![\d.,])\d[\d.,]{0,20}\s?(?:million|billion)\s(?:us|usd|euro|pound|dollar|united))",
    re.I,
)


def fortune(reading: Reading) -> Iterator[Reason]:
    match = _FORTUNE.search(reading.shown_text[:TEXT_READ])
    if match:
        yield Reason(
            "fortune_named", f"The text names a fortune: {match.group(0).strip()}.", match.group(0)
        )


_PHONE = re.compile(
    r"(?:\+?1[\s.()-]{0,3})?\(?8(?:00|33|44|55|66|77|88|08|05|10|20)\)?[\s.()-]{1,3}\d{3}[\s.()-]{1,3}\d{4}\b"
)


def toll_free_number(reading: Reading) -> Iterator[Reason]:
    match = _PHONE.search(reading.shown_text[:TEXT_READ])
    if match:
        yield Reason(
            "toll_free_number",
            f"The text gives a toll-free number to call: {match.group(0).strip()}.",
            re.sub(r"\D", "", match.group(0)),
        )


SIGNALS: tuple[Signal, ...] = (bank_accounts, fortune, toll_free_number)
