"""The folders of a mailbox: which one is which place, and how each stands, in one answer.

Special use is RFC 6154; where a server does not say it, the usual names count.  Other people's and
shared folders (RFC 2342) are not this mailbox, and virtual ones show mail that lies elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from api_bridge.connectors.imap import answers
from api_bridge.connectors.imap.session import Session
from api_bridge.errors import BridgeError, NotFound, Rejected
from incidents.words import Place

MOST_FOLDERS = 1_000
STATUS_ITEMS = "MESSAGES UIDNEXT UIDVALIDITY UNSEEN"
SPECIAL = {
    "\\JUNK": Place.JUNK,
    "\\TRASH": Place.DELETED,
    "\\SENT": Place.SENT,
    "\\ARCHIVE": Place.ARCHIVE,
}
NOT_SELECTABLE = frozenset({"\\NOSELECT", "\\NONEXISTENT"})
VIRTUAL = frozenset({"\\ALL", "\\FLAGGED", "\\IMPORTANT"})
USUAL = {
    Place.JUNK: {"junk", "spam", "junk e-mail", "junk email", "bulk mail", "unerwünscht"},
    Place.DELETED: {
        *("trash", "deleted items", "deleted messages", "papierkorb", "gelöschte elemente"),
        "corbeille",
    },
    Place.SENT: {"sent", "sent items", "sent messages", "gesendet", "gesendete elemente"},
    Place.ARCHIVE: {"archive", "archives", "archiv"},
}
USUAL_DRAFTS = {"drafts", "entwürfe", "brouillons"}
# A folder inside one of these is what its parent is.
HANDED_DOWN = (Place.JUNK, Place.DELETED, Place.SENT, Place.ARCHIVE, Place.QUARANTINE)
# Of a mail that lies in several folders the one counts in which a person finds it first.
EXPOSURE = (
    *(Place.INBOX, Place.OTHER, Place.ARCHIVE, Place.SENT, Place.JUNK, Place.DELETED),
    Place.QUARANTINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """``status``: what the server said of it with the list, by STATUS's own words."""

    name: str
    place: Place
    is_drafts: bool = False
    status: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Listed:
    name: str
    delimiter: str
    flags: frozenset[str]


def read_folders(session: Session, quarantine: str) -> list[Folder]:
    """All that belong to the mailbox and can be opened, the inbox first."""
    session.step_out()
    prefix, foreign = _namespaces(session)
    listed, status = _list(session)
    own = [each for each in listed if not each.name.startswith(foreign)][:MOST_FOLDERS]
    places = _places(own, f"{prefix}{quarantine}")
    drafts = {each.name for each in own if "\\DRAFTS" in each.flags} or {
        each.name for each in own if _last(each) in USUAL_DRAFTS
    }
    folders = [
        Folder(
            name=each.name,
            place=places[each.name],
            is_drafts=each.name in drafts,
            status=status.get(each.name, {}),
        )
        for each in own
        if not each.flags & (NOT_SELECTABLE | VIRTUAL)
    ]
    if not session.can("LIST-STATUS"):
        folders = [_with_status(session, each) for each in folders]
    return sorted(folders, key=lambda each: (EXPOSURE.index(each.place), each.name))


def folder_for(folders: Iterable[Folder], place: Place) -> str:
    """The one folder that stands for the place.  Raises ``NotFound``."""
    found = [each.name for each in folders if each.place is place and not each.is_drafts]
    if not found:
        raise NotFound(f"The mailbox has no folder {place}.", code="no_folder")
    return min(found, key=len)


def ensure_quarantine(session: Session, folders: Iterable[Folder], quarantine: str) -> str:
    """The name of the quarantine folder, made if it is missing.  Nobody subscribes to it, so that
    programs that show what is subscribed do not show it.
    """
    try:
        return folder_for(folders, Place.QUARANTINE)
    except NotFound:
        prefix, _ = _namespaces(session)
    name = f"{prefix}{quarantine}"
    try:
        session.run("CREATE", answers.quoted_folder(name))
    except Rejected as error:
        # Another worker was faster.
        if error.code != "ALREADYEXISTS" and not _is_there(session, name):
            raise
    return name


def _is_there(session: Session, name: str) -> bool:
    session.run("LIST", '""', answers.quoted_folder(name))
    return any(answers.groups(session.said("LIST")))


def _namespaces(session: Session) -> tuple[str, tuple[str, ...]]:
    """The prefix of the mailbox's own folders, and the prefixes of everybody else's."""
    if not session.can("NAMESPACE"):
        return "", ()
    session.run("NAMESPACE")
    for group in answers.groups(session.said("NAMESPACE")):
        said = answers.parsed(group)
        if len(said) == 3:
            personal, *others = (_prefixes(each) for each in said)
            foreign = tuple(prefix for each in others for prefix in each if prefix)
            return (personal[0] if personal else ""), foreign
    return "", ()


def _prefixes(namespace: object) -> list[str]:
    if not isinstance(namespace, tuple):
        return []
    pairs = (each for each in namespace if isinstance(each, tuple) and each)
    return [each[0].decode("ascii", "replace") for each in pairs if isinstance(each[0], bytes)]


def _list(session: Session) -> tuple[list[_Listed], dict[str, dict[str, int]]]:
    more: Sequence[str] = ()
    if session.can("LIST-STATUS"):
        items = STATUS_ITEMS + (" HIGHESTMODSEQ" if session.has_modseq else "")
        special = "SPECIAL-USE " if session.can("SPECIAL-USE") else ""
        more = ("RETURN", f"({special}STATUS ({items}))")
    session.run("LIST", '""', '"*"', *more)
    listed = {}
    for group in answers.groups(session.said("LIST")):
        said = answers.parsed(group)
        if len(said) < 3 or not isinstance(said[0], tuple):
            continue
        name = answers.folder_name(said[2])
        flags = frozenset(
            each.decode("ascii", "replace").upper() for each in said[0] if isinstance(each, bytes)
        )
        delimiter = said[1].decode("ascii", "replace") if isinstance(said[1], bytes) else ""
        if name:
            listed[name] = _Listed(name, delimiter[:1], flags)
    return list(listed.values()), _statuses(session)


def _statuses(session: Session) -> dict[str, dict[str, int]]:
    found = {}
    for group in answers.groups(session.said("STATUS")):
        said = answers.parsed(group)
        if len(said) == 2 and (name := answers.folder_name(said[0])):
            found[name] = answers.pairs(said[1])
    return found


def _with_status(session: Session, folder: Folder) -> Folder:
    """One question more for each folder; one that cannot be answered is opened to see."""
    items = STATUS_ITEMS + (" HIGHESTMODSEQ" if session.has_modseq else "")
    try:
        session.run("STATUS", answers.quoted_folder(folder.name), f"({items})")
    except BridgeError:
        if session.is_dead:
            raise
        return folder
    return replace(folder, status=_statuses(session).get(folder.name, {}))


def _places(listed: Sequence[_Listed], quarantine: str) -> dict[str, Place]:
    main = {each.name: Place.INBOX for each in listed if each.name.upper() == "INBOX"}
    main |= {each.name: Place.QUARANTINE for each in listed if each.name == quarantine}
    for flag, place in SPECIAL.items():
        marked = [each.name for each in listed if flag in each.flags and each.name not in main]
        usual = [
            each.name
            for each in listed
            if not each.flags & set(SPECIAL) and _last(each) in USUAL[place]
        ]
        main |= dict.fromkeys([name for name in marked or usual if name not in main], place)
    return {each.name: _place_of(each, main) for each in listed}


def _place_of(listed: _Listed, main: dict[str, Place]) -> Place:
    if listed.name in main:
        return main[listed.name]
    if listed.delimiter:
        pieces = listed.name.split(listed.delimiter)
        for size in range(len(pieces) - 1, 0, -1):
            place = main.get(listed.delimiter.join(pieces[:size]))
            if place in HANDED_DOWN:
                return place
    return Place.OTHER


def _last(listed: _Listed) -> str:
    name = listed.name.rpartition(listed.delimiter)[2] if listed.delimiter else listed.name
    return name.casefold()
