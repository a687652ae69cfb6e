"""Folders of a mailbox, as every provider that can be asked for them answers."""

from __future__ import annotations

from dataclasses import dataclass

from api_bridge.connectors.shapes import Item
from incidents.words import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFolder:
    """One folder of a mailbox, hidden ones too.  ``total`` and ``unread`` count what lies in it
    itself; None: the provider does not say.
    """

    id: str
    place: Place
    total: int | None
    unread: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderAsk:
    """``link`` "": the folder is read from its beginning."""

    mailbox_id: str
    folder_id: str
    place: Place
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPage:
    """What is in a folder, or came and changed in it since ``link`` was given.

    ``items`` are summaries, drafts among them.  ``removed``: ids that do not lie there any more,
    moved or gone.  Keep ``link`` with what was stored.  ``more``: the reading goes on with it now;
    otherwise the next one begins there.  ``restarted``: the provider had lost ``link``, and the
    folder is to be read from its beginning.
    """

    items: tuple[Item, ...] = ()
    removed: tuple[str, ...] = ()
    link: str = ""
    more: bool = False
    restarted: bool = False
    skipped: int = 0
