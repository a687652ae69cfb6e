"""Going back through a real Dovecot's folders: everything once, the newest first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.api_bridge.imap.server import mail

NOW = datetime.now(UTC).replace(microsecond=0)


def walk(connector, address: str, *, since: datetime, until: datetime, most: int) -> list[str]:
    found, cursor, more = [], "", True
    for _ in range(40):
        page = connector.older(address, cursor, since=since, until=until, most=most)
        times = [item.received_at for item in page.items]
        assert times == sorted(times, reverse=True)
        assert all(since <= at < until for at in times)
        found += [item.internet_message_id for item in page.items]
        cursor, more = page.cursor, page.more
        if not more:
            return found
    raise AssertionError("it never ends")


def test_every_mail_of_the_days_is_listed_once_over_all_folders(server, connector, ana):
    same = NOW - timedelta(days=3)
    times = [NOW - timedelta(hours=1), *[same] * 5, NOW - timedelta(days=20)]
    for number, at in enumerate(times):
        folder = "INBOX" if number % 2 else "Archive"
        server.put(ana, mail(f"<{number}@x>"), at=at, folder=folder)
    server.put(ana, mail("<too-old@x>"), at=NOW - timedelta(days=40))
    server.put(ana, mail("<too-new@x>"), at=NOW)
    found = walk(connector, ana, since=NOW - timedelta(days=30), until=NOW, most=2)
    assert sorted(found) == [f"<{number}@x>" for number in range(len(times))]
    assert (found[0], found[-1]) == ("<0@x>", "<6@x>")


def test_an_empty_mailbox_ends_at_once(connector, ana):
    assert walk(connector, ana, since=NOW - timedelta(days=90), until=NOW, most=50) == []
