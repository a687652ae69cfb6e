"""The sentence above the story: what it is, who got it, where it is now, who answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n
from django.utils.translation import ngettext

from incidents.layers import blind_layers
from incidents.models import Delivery, Incident, Message, Observation
from incidents.story.lines import in_english, number
from incidents.story.reading import is_reported
from incidents.story.sender import Client
from incidents.titles import BORROWED_FIRM, BORROWED_PERSON, BORROWED_VENDOR, KIND_WORDS, whose

_WHERE: dict[str, Callable[[int], str]] = {
    "in_inbox": lambda n: ngettext(
        "%(some)s is still within reach", "%(some)s are still within reach", n
    ),
    "in_junk": lambda n: ngettext("%(some)s is in junk", "%(some)s are in junk", n),
    "unseen": lambda n: ngettext(
        "%(some)s is not yet seen in a mailbox", "%(some)s are not yet seen in a mailbox", n
    ),
    "removed": lambda n: ngettext("%(some)s is removed", "%(some)s are removed", n),
    "gone": lambda n: ngettext("%(some)s is no longer there", "%(some)s are no longer there", n),
}
_DID: dict[str, Callable[[int], str]] = {
    "read": lambda n: ngettext("%(number)s person read it.", "%(number)s people read it.", n),
    "reported": lambda n: ngettext(
        "%(number)s person reported it.", "%(number)s people reported it.", n
    ),
    "clicked": lambda n: ngettext(
        "%(number)s person opened a link in it.", "%(number)s people opened a link in it.", n
    ),
    "replied": lambda n: ngettext("%(number)s person replied.", "%(number)s people replied.", n),
    "forwarded": lambda n: ngettext(
        "%(number)s person passed it on.", "%(number)s people passed it on.", n
    ),
}
# As titles say them (incidents/titles.py).
_KINDS = (
    *(_n("Spam"), _n("Phishing"), _n("Fraud"), _n("Malware"), _n("Suspicious mail")),
    *(_n("Unscannable mail"), _n("An account at risk"), _n("Mail around the gateway")),
)


def headline(
    incident: Incident,
    messages: Sequence[Message],
    copies: Sequence[Delivery],
    seen: Mapping[Any, Sequence[Observation]],
    client: Client,
    title: str,
) -> str:
    """``Fraud in the CFO's name at Acme. Two copies were delivered; both are removed. …``"""
    if incident.is_without_mail:
        # “An account at risk: a rule hides …” is at risk at the client, not hidden there.
        end = title.find(":") if incident.kind == Incident.Kind.ACCOUNT else -1
        what = title[:end].rstrip() if end > 0 else title
        return _("%(what)s at %(client)s") % {"what": what, "client": client.name} + (
            f"{title[len(what) :]}."
        )
    codes = {
        str(reason.get("code", ""))
        for each in seen.values()
        for one in each
        for reason in one.reasons
    }
    return " ".join(
        [
            f"{what_it_is(incident, messages, codes, client)}.",
            *_where(incident),
            *_who_touched_it(incident, copies, seen),
        ]
    )


def what_it_is(
    incident: Incident, messages: Sequence[Message], codes: set[str], client: Client
) -> str:
    """In the fewest words that a client understands; what no rule knows keeps its subject."""
    kind = _(KIND_WORDS[incident.kind])
    newest = max(messages, key=lambda message: message.last_seen_at, default=None)
    sender = newest.sender_name if newest else ""
    said = {"what": kind, "client": client.name}
    if "internal_only" in incident.cross_layer:
        return _("%(what)s sent from a mailbox inside %(client)s") % said
    if incident.kind == Incident.Kind.HEALTH:
        first, last = incident.first_seen_at.date(), incident.last_seen_at.date()
        if first >= last:
            return _("%(what)s at %(client)s") % said
        day = f"{first:%-d %B %Y}" if in_english() else date_format(first, "DATE_FORMAT")
        return _("%(what)s at %(client)s since %(day)s") % {**said, "day": day}
    if codes & BORROWED_PERSON and (role := client.role_of(sender)):
        if in_english():
            return f"{kind} in {whose(role)} name at {client.name}"
        return _("%(what)s in the name of %(name)s at %(client)s") % {**said, "name": role}
    if codes & BORROWED_FIRM:
        return _("%(what)s in %(client)s's own name") % said
    if codes & BORROWED_VENDOR:
        return _("%(what)s in the name of a firm that %(client)s deals with") % said
    if "brand_in_name" in codes and sender:
        return _("%(what)s in the name of %(name)s at %(client)s") % {**said, "name": sender}
    subject = " ".join(newest.subject.split())[:120] if newest else ""
    if subject:
        return _("%(what)s at %(client)s: “%(subject)s”") % {**said, "subject": subject}
    return _("%(what)s at %(client)s") % said


def _where(incident: Incident) -> list[str]:
    counts = incident.counts
    delivered, held = counts.get("delivered", 0), counts.get("held", 0)
    parts = []
    if not delivered:
        parts.append(_("No copy was delivered."))
    elif incident.is_called_harmless:
        told = ngettext(
            "%(number)s copy was delivered.", "%(number)s copies were delivered.", delivered
        )
        parts.append(told % {"number": number(delivered)})
    else:
        told = ngettext(
            "%(number)s copy was delivered; %(now)s.",
            "%(number)s copies were delivered; %(now)s.",
            delivered,
        )
        parts.append(told % {"number": number(delivered), "now": _now(incident)})
    if held:
        told = ngettext(
            "%(number)s copy was held at the gateway.",
            "%(number)s copies were held at the gateway.",
            held,
        )
        parts.append(told % {"number": number(held)})
    if incident.is_called_harmless:
        parts.append(_("It was found to be harmless."))
    return parts


def _now(incident: Incident) -> str:
    counts = incident.counts
    delivered = counts["delivered"]
    where = ngettext("where it is now is not known", "where they are now is not known", delivered)
    if _is_blind(incident):
        return _("%(where)s, the mailbox layer is blind") % {"where": where}
    parts = [
        said(n) % {"some": _of(n, delivered)}
        for key, said in _WHERE.items()
        if (n := counts.get(key, 0))
    ]
    return ", ".join(parts) or where


def _is_blind(incident: Incident) -> bool:
    return any(blind.layer == "mailbox" for blind in blind_layers(incident.tenant_id))


def _of(n: int, delivered: int) -> str:
    """``it``, ``both``, ``all three``; ``two`` of more."""
    if n >= delivered:
        if n <= 2:
            return _("both") if n == 2 else _("it")
        return _("all %(number)s") % {"number": number(n).lower()}
    return number(n).lower()


def _who_touched_it(
    incident: Incident, copies: Sequence[Delivery], seen: Mapping[Any, Sequence[Observation]]
) -> Iterable[str]:
    """In people, each once, however many copies she had."""
    reported = [copy for copy in copies if is_reported(seen.get(copy.id, ()))]
    for did, concerned in (
        ("read", [copy for copy in copies if copy.is_read]),
        ("reported", reported),
        ("clicked", [copy for copy in copies if copy.clicked_at]),
        ("replied", [copy for copy in copies if copy.replied_at]),
        ("forwarded", [copy for copy in copies if copy.forwarded_at]),
    ):
        if n := len({copy.recipient for copy in concerned}):
            yield _DID[did](n) % {"number": number(n)}
    arrived = [copy for copy in copies if copy.was_exposed]
    if arrived and not reported and all(copy.is_read is False for copy in arrived):
        if _is_blind(incident):
            yield _("Whether it was read since is not known.")
        else:
            yield _("Nobody has read it.")


def exposure(counts: Mapping[str, int], *, is_blind: bool = False) -> str:
    """For a queue row: "2 in inbox · 1 read"; what is not known is said too.

    ``is_blind``: no layer can look into the mailboxes now, so that nothing is never "none".
    """
    parts = [
        f"{counts.get(key, 0)} {words}"
        for key, words in (
            ("in_inbox", "in inbox"),
            ("in_junk", "in junk"),
            ("unseen", "not yet seen"),
            ("removed", "removed"),
            ("held", "held"),
            ("read", "read"),
            ("clicked", "link opened"),
            ("replied", "replied"),
            ("forwarded", "passed on"),
        )
        if counts.get(key)
    ]
    return " · ".join(parts) or ("not known now" if is_blind else "none in a mailbox")
