"""A health incident about access or records: what is wrong, and where it is put right."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from incidents.findings import findings_of
from incidents.models import Finding, Incident

# Code → what to do, its effect, and the page where it is done, with its question.
_WAYS = {
    "consent": (
        "Have consent given again",
        "Send the client's admin the link, or consent yourself. It is proven by a token; then the"
        " gap is read and what waits goes on.",
        "access",
    ),
    "permission": (
        "Have consent given again",
        "An application that asks for more than was granted needs a new consent. What is off"
        " without it stands below.",
        "access",
    ),
    "secret": (
        "Enter a new secret or certificate",
        "For all clients that granted this registration. Both are good at Microsoft until the old"
        " one ends.",
        "registrations",
    ),
    "gdap": (
        "See the relationships",
        "A new relationship is requested in Partner Center and accepted by the client's admin.",
        "registrations",
    ),
    "push": (
        "See the mailbox layer",
        "Can the mail host reach Bailey's address for notifications? Mail is found by asking"
        " meanwhile.",
        "access",
    ),
    "refused": (
        "See the mailbox layer",
        "At the mail host an access policy or a role scope leaves them out, or their password is"
        " another. Once they can be read, the gap is read too.",
        "access",
    ),
    "lost": (
        "See what was not seen",
        "A rule of the mailbox or the mail host took it away, or it was overlooked: what nobody"
        " looks at may hold a threat.",
        "client_blindspots",
    ),
    "unaccounted": (
        "See what has no outcome",
        "Each copy is named there. Is the work of intake behind, or a worker failing? What a gate"
        " died over, look for at the mail host.",
        "client_blindspots?days=7",
    ),
    "mx": (
        "See the MX records",
        "Who changed them, and on purpose? Mail that goes past the gates is not filtered there.",
        "onboard",
    ),
    "dkim": (
        "See the signing keys",
        "Publish the record again: receivers distrust mail whose signature they cannot check.",
        "client_outbound",
    ),
}


@dataclass(frozen=True, slots=True)
class Way:
    text: str
    effect: str
    href: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong, and where it is put right."""

    rows: list[Finding]
    way: Way

    @property
    def standing(self) -> int:
        return sum(row.settled_at is None for row in self.rows)

    @property
    def sentence(self) -> str:
        n = self.standing
        if not n:
            return "Nothing of it stands any more."
        if n == 1:
            [only] = [row for row in self.rows if row.settled_at is None]
            return only.words.partition(". ")[0].rstrip(".") + "."
        return f"{n} things are wrong."


def next_step_of(code: str) -> str:
    """In a few words, for a row of a list."""
    return _WAYS[code][0]


def wrong_with(incident: Incident) -> Wrong | None:
    """None: the incident is about mail."""
    if not incident.finding:
        return None
    text, effect, where = _WAYS[incident.finding]
    page, mark, query = where.partition("?")
    arguments = [] if page == "registrations" else [incident.tenant.slug]
    href = reverse(page, args=arguments) + mark + query
    return Wrong(findings_of(incident), Way(text, effect, href))
