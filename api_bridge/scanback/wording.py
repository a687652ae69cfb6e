"""The words of the report “Found in your mailboxes”, in the language that is active.

A client's copy is written in the language of its policy, an internal one in
English.  What people and mail hosts wrote stays as it is.
"""

from __future__ import annotations

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from api_bridge.scanback.figures import Figures
from incidents.words import VERDICT_WORDS


def sentence(figures: Figures) -> str:
    """What was found, and of how much that can be said."""
    boxes = len(figures.rows)
    read = {
        "mails": counted(ngettext("%(n)s mail", "%(n)s mails", figures.mails), figures.mails),
        "boxes": counted(ngettext("in %(n)s mailbox", "in %(n)s mailboxes", boxes), boxes),
    }
    if n := figures.total_found:
        harmful = counted(ngettext("%(n)s harmful mail", "%(n)s harmful mails", n), n)
        said = _("%(harmful)s found among %(mails)s %(boxes)s.") % {"harmful": harmful, **read}
    elif figures.is_whole:
        said = _("Nothing harmful was found among %(mails)s %(boxes)s.") % read
    else:
        said = (
            _(
                "No harmful mail is known so far among %(mails)s %(boxes)s; not everything could be"
                " looked at."
            )
            % read
        )
    return f"{said} {_gaps(figures)}".strip()


def _gaps(figures: Figures) -> str:
    parts = []
    if n := len(figures.left):
        text = ngettext(
            "%(n)s mailbox not read to the end", "%(n)s mailboxes not read to the end", n
        )
        parts.append(counted(text, n))
    if n := figures.unread:
        text = ngettext(
            "%(n)s mail that could not be read", "%(n)s mails that could not be read", n
        )
        parts.append(counted(text, n))
    if n := figures.skipped:
        text = ngettext(
            "%(n)s entry that the mail host did not show",
            "%(n)s entries that the mail host did not show",
            n,
        )
        parts.append(counted(text, n))
    return _("Not looked at: %(gaps)s.") % {"gaps": ", ".join(parts)} if parts else ""


def counted(text: str, number: int) -> str:
    # The fonts of the report have no narrow space, which French puts between thousands.
    shown = str(number_format(number, force_grouping=True)).replace("\u202f", "\u00a0")
    return text % {"n": shown}


def kind_label(kind: str) -> str:
    return _(VERDICT_WORDS[kind])


def now_label(state: str) -> str:
    return {
        "removed": _("removed by Bailey"),
        "gone": _("no longer in the mailbox"),
        "reach": _("still in the mailbox"),
        "pending": _("being looked at"),
    }[state]


def box_label(state: str) -> str:
    return {"waiting": _("To be read"), "done": _("Read"), "failed": _("Could not be read")}[state]


def how_to_read() -> list[str]:
    return [
        _(
            "Looked at is mail that was received before the mailboxes were watched; later mail was"
            " judged as it came."
        ),
        _(
            "Each mail is judged by what is known today. It was found when it was looked at, not"
            " when it came."
        ),
        _("“Now” is where the copy was seen last."),
        _("A mail that could not be read is counted by itself and is no finding."),
    ]


def fixed_words() -> dict[str, str]:
    """What stands in the PDF whatever was found; placeholders in braces are filled in there."""
    return {
        "title": _("Found in your mailboxes"),
        "of": _("Found in the mailboxes of {client}"),
        "period": _("Mail received from {since} until {until}, {days} days back"),
        "made": _("Made by {person} from the facts as of {at}. Times are UTC."),
        "looked_at": _("What was looked at"),
        "what": _("What"),
        "value": _("Value"),
        "mailboxes": _("Mailboxes"),
        "read_to_the_end": _("{done} of {all} read to the end"),
        "mails_looked_at": _("Mails looked at"),
        "could_not_be_read": _("Could not be read"),
        "not_shown": _("Not shown by the mail host"),
        "state": _("State"),
        "over": _("over"),
        "stopped": _("stopped"),
        "still_running": _("still running"),
        "mailbox": _("Mailbox"),
        "mails": _("Mails"),
        "found": _("Found"),
        "back_to": _("Back to"),
        "why_not_all": _("Why not all"),
        "not_reached": _("not reached yet"),
        "what_was_found": _("What was found"),
        "kind": _("Kind"),
        "reach": _("Still in the mailbox"),
        "removed": _("Removed"),
        "gone": _("Gone"),
        "pending": _("Being looked at"),
        "became": _("What became of it"),
        "nothing_listed": _("There is nothing on the list."),
        "received": _("Received"),
        "sender": _("Sender"),
        "judged": _("Judged"),
        "now": _("Now"),
        "more": _("{n} more stand in the CSV and in the document."),
        "how": _("How to read it"),
        "digest": _("The SHA-256 over lines, mailboxes and findings is"),
        "page": _("1 of 1"),
    }


def columns() -> dict[str, str]:
    """Name of a column of the CSV → how a client reads it."""
    return {
        "client": _("Client"),
        "since": _("Since"),
        "until": _("Until"),
        "recipient": _("Recipient"),
        "kind": _("Kind"),
        "sender": _("Sender"),
        "received_at": _("Received"),
        "found_at": _("Found on"),
        "now": _("Now"),
        "is_read": _("Was read"),
        "was_exposed": _("Was within reach"),
        "not_looked_at": _("Not looked at"),
        "blind": _("Blind since"),
        "only_back_to": _("only back to {at}. {why}"),
        "yes": _("yes"),
        "no": _("no"),
    }
