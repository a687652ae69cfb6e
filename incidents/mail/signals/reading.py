"""One walk over a mail's facts, so that every signal looks at the same prepared view."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from incidents.mail.facts import Link, MailFacts
from incidents.mail.signals.domains import owner_domain, registered_domain
from incidents.mail.signals.text import plain, words
from incidents.observations import Reason

HTML_READ: Final = 200_000
"""Characters of HTML that are looked at."""

_OPENABLE = ("http", "https", "ftp")


@dataclass(frozen=True)
class Reading:
    """``facts`` and what signals need of them; computed once, on first use."""

    facts: MailFacts
    headers: dict[str, list[str]] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """The first value of a header (name in lower case), "" where it is missing."""
        values = self.headers.get(name)
        return values[0].strip() if values else ""

    @cached_property
    def sender_domain(self) -> str:
        return self.facts.sender.domain if self.facts.sender else ""

    @cached_property
    def sender_owner(self) -> str:
        return registered_domain(self.sender_domain)

    @cached_property
    def list_domain(self) -> str:
        """Who runs the mailing list that the mail came over, "" without one."""
        return owner_domain(self.facts.list_id.rpartition("<")[2].strip("<> \t"))

    @property
    def is_from_its_list(self) -> bool:
        """Whether the list put its own address in place of the author's."""
        return bool(self.list_domain) and self.list_domain == owner_domain(self.sender_domain)

    @cached_property
    def sender_name(self) -> str:
        return self.facts.sender.name if self.facts.sender else ""

    @cached_property
    def html(self) -> str:
        return self.facts.html[:HTML_READ]

    @cached_property
    def shown_text(self) -> str:
        """What the reader sees: the HTML's visible text, else the plain text."""
        return self.facts.html_text or self.facts.text

    @cached_property
    def words(self) -> list[str]:
        return words(f"{self.facts.subject}\n{self.shown_text}")

    @cached_property
    def subject_plain(self) -> str:
        return plain(self.facts.subject)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Links of the body that a reader can follow, each address once.

        Not those to the mailing list's own host: the list put them below every mail.
        """
        seen: dict[str, Link] = {}
        list_domain = self.list_domain
        for link in self.facts.links:
            scheme = link.url.partition(":")[0].lower()
            if link.where not in ("html", "text") or not link.host or scheme not in _OPENABLE:
                continue
            if not list_domain or owner_domain(link.host) != list_domain:
                known = seen.get(link.url)
                if known is None or (link.text and not known.text):
                    seen[link.url] = link
        return tuple(seen.values())

    @cached_property
    def link_hosts(self) -> Counter[str]:
        return Counter(link.host for link in self.links)

    @property
    def image_count(self) -> int:
        return int(self.facts.extra.get("images", 0))

    @cached_property
    def content_type(self) -> str:
        return self.header("content-type").partition(";")[0].strip().lower()

    @cached_property
    def recipients(self) -> tuple[str, ...]:
        return tuple(entry.address for entry in (*self.facts.to, *self.facts.cc) if entry.address)


Signal = Callable[[Reading], Iterator[Reason]]


def read(facts: MailFacts) -> Reading:
    headers: dict[str, list[str]] = {}
    for name, value in facts.headers:
        headers.setdefault(name.lower(), []).append(value)
    return Reading(facts, headers)
