"""The two-lane story: what happened to the mail, in sentences an analyst can forward.

Built from observations, actions and audit each time it is read; every line names its source.

``tell_story(incident)``   all of it
``exposure(counts)``       a row's few words
``lines.py`` what is a line; ``sender.py`` who wrote and how the name was borrowed; ``layers.py``
what each layer saw; ``reading.py`` when a copy was read; ``reported.py`` what readers said of it
and were told; ``people.py`` what people and Bailey did; ``chain.py`` whom they passed it on to;
``account.py`` what was seen of an account and done about it; ``findings.py`` what is lost of access
or records; ``headline.py`` the sentence above; ``gaps.py`` what nobody looked at.
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from incidents.models import Delivery, Incident, Message
from incidents.sightings import history_of
from incidents.story.account import account_lines, account_words, told_of_accounts
from incidents.story.chain import chain_lines
from incidents.story.findings import finding_lines
from incidents.story.gaps import not_checked
from incidents.story.headline import exposure, headline
from incidents.story.layers import layer_lines
from incidents.story.lines import Line, Names, Story
from incidents.story.people import (
    access_lines,
    attachment_lines,
    audit_lines,
    call_lines,
    job_lines,
    look_lines,
    reply_lines,
    rule_lines,
)
from incidents.story.reported import told_lines
from incidents.story.sender import Client, outbound_lines, sender_lines
from incidents.words import Direction

__all__ = ["Line", "Story", "exposure", "headline", "tell_story"]

MOST_LINES = 300


def tell_story(
    incident: Incident,
    most: int | None = None,
    *,
    title: str = "",
    is_for_client: bool = False,
) -> Story:
    """At most ``most`` lines (None: ``MOST_LINES``): of more, the first and the last, and how many
    stand between.  ``title``: the incident's in the language that is active, else as it is stored.
    ``is_for_client``: without what the provider's people say among themselves.

    Needs the client's scope.
    """
    messages = list(
        Message.objects.filter(memberships__incident=incident).order_by("first_seen_at", "id")
    )
    copies = list(Delivery.objects.filter(message__in=messages).order_by("received_at", "id"))
    seen = history_of(copies)
    names = Names(copy.recipient for copy in copies)
    client = Client(incident.tenant)
    accounts = told_of_accounts(incident)
    sent = {copy.message_id for copy in copies if copy.direction == Direction.OUTBOUND}
    lines = [
        *sender_lines([each for each in messages if each.id not in sent], client),
        *outbound_lines([each for each in messages if each.id in sent], copies, seen),
        *layer_lines(messages, copies, seen, names, client),
        *reply_lines(incident, copies, seen, names),
        *chain_lines(copies, seen, names, client),
        *job_lines(incident, copies),
        *look_lines(copies, names),
        *rule_lines(incident, client),
        *audit_lines(incident),
        *call_lines(incident),
        *attachment_lines(incident),
        *access_lines(messages),
        *told_lines(copies, names),
        *account_lines(incident, accounts),
        *finding_lines(incident),
    ]
    if is_for_client:
        lines = [shown for line in lines if (shown := line.for_client())]
    lines.sort(key=lambda line: line.at)
    above = headline(incident, messages, copies, seen, client, title or incident.title)
    return Story(
        " ".join([above, *account_words(incident, accounts)]),
        _cut(lines, MOST_LINES if most is None else most),
        not_checked(incident, messages, copies),
    )


def _cut(lines: list[Line], most: int) -> list[Line]:
    """How it began and what was done last tell most; what is left out is said."""
    left_out = len(lines) - (most - 1)
    if left_out <= 1:
        return lines
    half = most // 2
    lead = _("%(count)d more lines stand here.") % {"count": left_out}
    told = Line(lines[half].at, "action", lead, "The history has all of them.", "story:cut")
    kept = [*lines[:half], told]
    for line in lines[half + left_out :]:
        kept.append(line.below(kept))
    return kept
