"""Who the mail says it is from: names, brands, replies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from incidents.mail.signals import lists
from incidents.mail.signals.domains import (
    Likeness,
    belongs_to,
    has_suspicious_tld,
    is_bulk_sender,
    is_free_mailer,
    likeness,
    registered_domain,
    same_owner,
)
from incidents.mail.signals.lists import Brand
from incidents.mail.signals.reading import Reading, Signal
from incidents.mail.signals.text import (
    Phrases,
    fold,
    has_struck_letters,
    mixes_alphabets,
    without_invisible,
    words,
)
from incidents.observations import Reason

_NUMBER = re.compile(r"(?<![\w@.])[A-Z]{0,3}\d{5,}")
_ADDRESS = re.compile(r"[\w.+-]{1,64}@([\w-]{1,63}(?:\.[\w-]{1,63}){1,6})")


@cache
def _brand_phrases() -> tuple[Phrases, Phrases, dict[str, Brand]]:
    """Phrases for names (careful ones too), phrases for running text, and brands by name."""
    every = {brand.name: brand for brand in lists.brands()}
    anywhere = {name: brand.names for name, brand in every.items()}
    in_names = {name: (*brand.names, *brand.careful) for name, brand in every.items()}
    return Phrases(in_names), Phrases(anywhere), every


@dataclass(frozen=True, slots=True)
class Named:
    """A brand and the words that name it."""

    brand: Brand
    words: str


def brands_named_in(text: str, *, is_name: bool = False) -> list[Named]:
    in_names, anywhere, every = _brand_phrases()
    phrases = in_names if is_name else anywhere
    return [Named(every[hit.topic], hit.phrase) for hit in phrases.find(words(text))]


def brand_in_name(reading: Reading) -> Iterator[Reason]:
    """A brand in the display name (or the local part) while the domain is somebody else's."""
    sender, domain = reading.facts.sender, reading.sender_domain
    if sender is None or not domain:
        return
    shown = reading.sender_name or sender.address.partition("@")[0]
    named = brands_named_in(shown, is_name=True) or brands_named_in(fold(shown), is_name=True)
    if named and not _speaks_for(domain, named[0].brand):
        brand = named[0].brand.name
        yield Reason(
            "brand_in_name",
            f"The sender's name is “{shown}”, but {domain} does not belong to {brand}.",
            brand,
        )


def _speaks_for(domain: str, brand: Brand) -> bool:
    """The brand's own domain, or one that carries its whole name with another country's ending."""
    if belongs_to(domain, brand.domains):
        return True
    first = registered_domain(domain).partition(".")[0]
    return any(first == own.partition(".")[0] for own in brand.domains) and not has_suspicious_tld(
        domain
    )


def brand_in_subject(reading: Reading) -> Iterator[Reason]:
    if not reading.sender_domain or _is_answer(reading):
        return
    named = brands_named_in(reading.facts.subject)
    if named and not _speaks_for(reading.sender_domain, named[0].brand):
        yield Reason(
            "brand_in_subject",
            f"The subject names “{named[0].words}”, but the mail comes from "
            f"{reading.sender_domain}.",
            named[0].brand.name,
        )


def _is_answer(reading: Reading) -> bool:
    return bool(reading.facts.in_reply_to or reading.facts.references)


def brand_lookalike_domain(reading: Reading) -> Iterator[Reason]:
    """A sender's domain that imitates a brand's."""
    like = _brand_imitated_by(reading.sender_owner) if reading.sender_owner else None
    if like:
        yield Reason(
            "brand_and_word_domain" if like.code == "added_word" else "brand_lookalike_domain",
            f"The sender's domain {like.domain} imitates {like.original}; it differs by "
            f"{like.how}.",
            like.domain,
        )


@lru_cache(maxsize=20_000)
def _brand_imitated_by(owner: str) -> Likeness | None:
    """Endings are not compared: a brand has more of them than any list holds."""
    if is_free_mailer(owner) or any(belongs_to(owner, brand.domains) for brand in lists.brands()):
        return None
    label = owner.partition(".")[0]
    for own, name in _long_brand_names():
        if abs(len(label) - len(name)) <= 2 or name in label or label.startswith("xn--"):
            like = likeness(owner, own)
            if like and like.code != "other_ending":
                return like
    return None


@cache
def _long_brand_names() -> tuple[tuple[str, str], ...]:
    """(domain, its first label) of every brand whose name is long enough to be imitated."""
    domains = (own for brand in lists.brands() for own in brand.domains)
    return tuple((own, name) for own in domains if len(name := own.partition(".")[0]) >= 5)


def address_in_name(reading: Reading) -> Iterator[Reason]:
    """The display name is itself an address, of another domain than the real one."""
    match, sender = _ADDRESS.search(reading.sender_name), reading.facts.sender
    if match is None or sender is None or not sender.domain:
        return
    shown = match.group(1).lower()
    if registered_domain(shown) and not same_owner(shown, sender.domain):
        yield Reason(
            "address_in_name",
            f"The sender's name shows {match.group(0)}, but the mail comes from {sender.address}.",
            match.group(0),
        )


def reply_elsewhere(reading: Reading) -> Iterator[Reason]:
    """Answers go to another firm, or to a free mailer while the sender has a domain of his own."""
    sender = reading.facts.sender
    if not sender or not sender.address or reading.is_from_its_list:
        return
    for reply in reading.facts.reply_to[:3]:
        if not reply.domain or reply.address in (sender.address, *reading.recipients):
            continue
        to_free = is_free_mailer(reply.domain)
        if to_free and not is_free_mailer(sender.domain):
            code, what = "reply_to_free_mailer", f"the free mailer address {reply.address}"
        elif to_free:
            code, what = "reply_to_other_free_mailer", f"another address, {reply.address}"
        elif same_owner(reply.domain, sender.domain):
            continue
        else:
            code, what = "reply_to_differs", f"{reply.address}, another domain"
        yield Reason(
            code, f"The mail is from {sender.address}, but answers go to {what}.", reply.address
        )
        return


def free_mailer(reading: Reading) -> Iterator[Reason]:
    if is_free_mailer(reading.sender_domain):
        yield Reason(
            "from_free_mailer",
            f"The sender writes from {reading.sender_domain}, where anybody gets an address.",
            reading.sender_domain,
        )


def office_on_free_mailer(reading: Reading) -> Iterator[Reason]:
    """A title or department as the sender's name on a free mailer."""
    if not is_free_mailer(reading.sender_domain):
        return
    named = [word for word in words(reading.sender_name) if word in lists.office_words()]
    if named:
        yield Reason(
            "office_on_free_mailer",
            f"“{reading.sender_name}” sounds like an office, but writes from "
            f"{reading.sender_domain}.",
            named[0],
        )


def numbered_name(reading: Reading) -> Iterator[Reason]:
    """A long number as part of the sender's name, as notices of false banks carry it."""
    if _NUMBER.search(reading.sender_name):
        yield Reason(
            "name_with_number",
            f"The sender's name carries a long number: “{reading.sender_name[:80]}”.",
            reading.sender_name[:80],
        )


def suspicious_ending(reading: Reading) -> Iterator[Reason]:
    if has_suspicious_tld(reading.sender_domain):
        ending = reading.sender_domain.rpartition(".")[2]
        yield Reason(
            "sender_suspicious_tld",
            f"The sender's domain {reading.sender_domain} has the ending .{ending}, "
            "which is cheap and much abused.",
            reading.sender_domain,
        )


def looks_random(label: str) -> bool:
    """Whether a name looks thrown by dice: many digits among letters, or hardly a vowel."""
    letters = [char for char in label if char.isalpha()]
    digits = sum(char.isdigit() for char in label)
    if len(label) >= 8 and digits >= 4 and len(letters) >= 3:
        switches = sum(a.isdigit() != b.isdigit() for a, b in pairwise(label))
        if switches >= 3:
            return True
    if len(letters) < 7:
        return False
    vowels = sum(char in "aeiouy" for char in letters)
    longest = max((len(run) for run in re.findall(r"[bcdfghjklmnpqrstvwxz]+", label)), default=0)
    return vowels / len(letters) < 0.17 or longest >= 6


def random_sender(reading: Reading) -> Iterator[Reason]:
    domain = reading.sender_domain
    if not domain or is_free_mailer(domain) or is_bulk_sender(domain):
        return
    label = reading.sender_owner.partition(".")[0]
    if looks_random(label):
        yield Reason(
            "sender_domain_random", f"The sender's domain {domain} looks made by chance.", domain
        )
    local = reading.facts.sender.address.partition("@")[0] if reading.facts.sender else ""
    if looks_random(local) and local.isalnum() and len(local) <= 24:
        yield Reason(
            "sender_local_random",
            f"The sender's address {local}@… looks made by chance.",
            local,
        )


def masked_letters(reading: Reading) -> Iterator[Reason]:
    """Invisible characters, or foreign letters inside Latin words, in the name or the subject."""
    for place, shown in (
        ("sender's name", reading.sender_name),
        ("subject", reading.facts.subject),
    ):
        if shown.isascii():
            continue
        if without_invisible(shown) != shown:
            code, what = "invisible_letters", "holds invisible characters"
        elif any(mixes_alphabets(word) for word in shown.split()):
            code, what = "mixed_alphabets", "mixes letters of several alphabets in one word"
        elif has_struck_letters(shown):
            code, what = "struck_letters", "is written with marks through its letters"
        elif _is_styled(shown):
            code, what = "styled_letters", "is written with styled Unicode letters"
        else:
            continue
        yield Reason(code, f"The {place} {what}: “{without_invisible(shown)[:80]}”.", shown[:80])
        return


def _is_styled(shown: str) -> bool:
    return any(0x1D400 <= ord(char) <= 0x1D7FF or 0x1F100 <= ord(char) <= 0x1F1AF for char in shown)


def no_one_sender(reading: Reading) -> Iterator[Reason]:
    if "ambiguous_sender" in reading.facts.problems:
        yield Reason("sender_ambiguous", "The From line can be read in more than one way.")
    elif reading.facts.sender is None or not reading.facts.sender.address:
        yield Reason("sender_missing", "The mail has no readable From address.")


def from_is_to(reading: Reading) -> Iterator[Reason]:
    """The recipient's own address stands as the sender."""
    sender = reading.facts.sender
    if sender and reading.recipients == (sender.address,) and not reading.is_from_its_list:
        yield Reason(
            "from_is_to",
            f"The mail to {sender.address} says that it comes from the same address.",
            sender.address,
        )


SIGNALS: tuple[Signal, ...] = (
    brand_in_name,
    brand_in_subject,
    brand_lookalike_domain,
    address_in_name,
    reply_elsewhere,
    free_mailer,
    office_on_free_mailer,
    numbered_name,
    suspicious_ending,
    random_sender,
    masked_letters,
    no_one_sender,
    from_is_to,
)
