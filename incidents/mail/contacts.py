"""Where a mail asks the reader to pay or to call: facts that outlive a change of the wording."""

from __future__ import annotations

import re
from collections.abc import Iterator

from incidents.mail.signals.money import TEXT_READ, accounts_in

MOST = 5
_INTERNATIONAL = re.compile(r"(?<![\w+])(?<!\d[ .-])(?:\+|00)[1-9](?:[\s().-]{0,2}\d){7,13}(?!\d)")
_AMERICAN = re.compile(
    r"(?<![\w+])(?<!\d[ .-])(?:1[\s.-])?\(?[2-9]\d{2}\)?[\s.-]{1,2}\d{3}[\s.-]{1,2}\d{4}(?!\d)"
)
_AMERICAN_END = re.compile(r"\d{3}[\s.-]{1,2}\d{4}")


def payment_facts(text: str) -> dict[str, list[list[str]] | list[str]]:
    """``accounts``: pairs of kind and number; ``phones``: digits only, American ones with their 1.

    At most ``MOST`` of each, and no key for what the text does not name.
    """
    found: dict[str, list[list[str]] | list[str]] = {}
    accounts = [[each.kind, each.number] for each in accounts_in(text)[:MOST]]
    phones = list(dict.fromkeys(_phones(text[:TEXT_READ])))[:MOST]
    if accounts:
        found["accounts"] = accounts
    if phones:
        found["phones"] = phones
    return found


def _phones(text: str) -> Iterator[str]:
    # What every number has is looked for first: most texts have none, and that is found fast.
    if "+" in text or "00" in text:
        for match in _INTERNATIONAL.finditer(text):
            yield re.sub(r"\D", "", match[0]).removeprefix("00")
    for match in _AMERICAN.finditer(text) if _AMERICAN_END.search(text) else ():
        digits = re.sub(r"\D", "", match[0])
        yield digits if len(digits) == 11 else f"1{digits}"
