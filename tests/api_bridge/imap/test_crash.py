"""Mailboxes by IMAP, by a worker that is killed at every commit and every command that writes."""

from __future__ import annotations

import imaplib
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from api_bridge.connectors import Action, Ref
from api_bridge.connectors.imap import ImapConnector
from api_bridge.connectors.imap.remediate import Remediation
from api_bridge.connectors.imap.session import Session
from api_bridge.connectors.imap.wire import Wire
from incidents.words import Place
from tests.api_bridge.imap.server import ImapServer, mail
from tests.api_bridge.sync.conftest import Client
from tests.api_bridge.sync.test_crash import due, kill_over
from tests.crash.worker import crash_at_each, serve

MOVE = "api_bridge.connectors.imap.remediate.Remediation._move"
MAKE = "api_bridge.connectors.imap.folders.ensure_quarantine"


@pytest.fixture
def ana(office: Callable[..., Client], request: pytest.FixtureRequest) -> Client:
    """A client with one mailbox, which was read once."""
    made = office(f"solo{len(request.node.name)}", ("ana",))
    made.sync()
    return made


def moves_on_server(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Item → how many moves of it the server was asked for, from now on."""
    asked, now = Counter[str](), [""]
    real_move, real_command = Remediation._move, Wire.command

    def move(self: Remediation, session: Any, ref: Any, *rest: Any, **more: Any) -> None:
        now[:] = [ref.item_id]
        real_move(self, session, ref, *rest, **more)

    def command(self: Wire, name: str, *arguments: str | bytes) -> Any:
        if arguments[:1] in (("MOVE",), ("EXPUNGE",)):
            asked[now[0]] += 1
        return real_command(self, name, *arguments)

    monkeypatch.setattr(Remediation, "_move", move)
    monkeypatch.setattr(Wire, "command", command)
    return asked


def test_new_mail_is_taken_in_once(ana):
    ids: list[str] = []

    def begin() -> None:
        ids.extend([ana.company.receive("ana"), ana.company.receive("ana", folder="Junk")])
        due(ana)

    def check(died_at: str) -> None:
        judged = Counter(each.internet_message_id for each in ana.observations() if each.verdict)
        assert judged == dict.fromkeys(ids, 1), died_at

    places = crash_at_each(begin, lambda: serve("sync"), check)
    assert "api_bridge.round.Round._commit:after_commit" in places
    assert not any(place.startswith("api_bridge.connectors") for place in places), "it only reads"


COPIES = 8  # more than there are commands that write on the way of one of them
QUARANTINE, RECENT = "Bailey Quarantine", {r"\Recent"}


def lying_in(client, folder: str) -> Counter[tuple[str, ...]]:
    """Flags → how many mails that have them."""
    with client.company.server.person(client.company.mail("ana"), folder) as imap:
        _, said = imap.uid("FETCH", "1:*", "(FLAGS)")
    found = (imaplib.ParseFlags(each) for each in said if each is not None)
    return Counter(tuple(sorted({flag.decode() for flag in flags} - RECENT)) for flags in found)


@pytest.mark.parametrize("lacks", ["", "MOVE"], ids=["", "copied and taken out"])
def test_each_action_on_a_copy_has_one_effect(ana, monkeypatch: pytest.MonkeyPatch, lacks: str):
    """Pull, its later check, restore; killed at every command (at commits: sync/test_crash.py)."""
    monkeypatch.setattr(Session, "can", lambda self, can: can in self.capabilities - {lacks})
    for number in range(COPIES):
        raw = mail(f"<c{number}@sender.example>", to=ana.company.mail("ana"))
        ana.company.server.put(ana.company.mail("ana"), raw, flags=r"(\Seen Later)")
    due(ana)
    ana.sync()
    copies, asked = ana.deliveries(), moves_on_server(monkeypatch)
    all_of_them = {("Later", r"\Seen"): COPIES}
    places: set[str] = set()
    for action, moves, folder, empty in (
        ("pull", 1, QUARANTINE, "INBOX"),
        ("check", 0, QUARANTINE, "INBOX"),
        ("restore", 1, "INBOX", QUARANTINE),
    ):
        places |= kill_over(ana, action, copies, asked, moves, only=MOVE)
        asked.clear()
        assert (lying_in(ana, folder), lying_in(ana, empty)) == (all_of_them, {}), action
    assert {copy.place for copy in ana.deliveries()} == {Place.INBOX}
    assert places == {f"{MOVE}:before_call", f"{MOVE}:after_call"}


def test_the_folder_of_a_first_pull_is_made_once(
    server: ImapServer, connect: Callable[..., ImapConnector]
):
    refs: list[Ref] = []

    def begin() -> None:
        address = f"first{len(refs)}@delta.example"
        server.put(address, mail("<a@x>", to=address))
        since = timezone.now() - timedelta(days=1)
        (item,) = connect(address).changes(address, "", since=since).items
        refs.append(item.ref)

    def work() -> None:
        connector = connect(refs[-1].mailbox_id)
        connector.act(connector.prepare(refs[-1], Action.QUARANTINE, "k"))

    def check(died_at: str) -> None:
        assert server.where(refs[-1].mailbox_id, "<a@x>") == {QUARANTINE: [()]}, died_at

    places = crash_at_each(begin, work, check)
    assert {place.rpartition(":")[0] for place in places} == {MOVE, MAKE}
