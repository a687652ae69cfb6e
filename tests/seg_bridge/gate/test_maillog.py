"""What became of queued mail, read from Postfix's log: any cut, rotation or hostile line."""

from datetime import UTC, datetime

import pytest

from seg_bridge.gate.journal import Journal, JournalError, read_all
from seg_bridge.gate.maillog import LogTail, MailLog, Progress
from seg_bridge.gate.maillog_lines import Attempted, Expired, Removed, Traced, read_line
from seg_bridge.gate.records import observations
from tests.seg_bridge.gate.maillog_lines import (
    ULID,
    bounced,
    deferred,
    line,
    removed,
    sent,
    traced,
)

NOW = datetime(2026, 11, 22, 13, tzinfo=UTC)
INFO = "info@acme.example"


class Follower:
    """A log, and what is told of it."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "mail.log"
        self.path.touch()
        self.start()

    def start(self):
        self.journal = Journal(self.folder / "journal")
        self.log = MailLog(
            self.path,
            state_file=self.folder / "maillog.json",
            source="gate:gate1",
            journal=self.journal,
        )

    def stop(self):
        self.log._tail.close()
        self.journal.close()

    def write(self, text):
        with self.path.open("a") as file:
            file.write(text)

    async def read(self):
        while await self.log.step():
            pass
        return self.told()

    def told(self):
        records = read_all(self.folder / "journal")
        return [each for record in records for each in observations(record)]

    def actions(self):
        return [(each["recipient"], each["action"]) for each in self.told()]


@pytest.fixture
def follower(tmp_path):
    made = Follower(tmp_path)
    yield made
    made.stop()


async def test_the_next_hops_answer_is_told_of_the_mail_that_the_trace_names(follower):
    follower.write(traced("4F1C2A") + sent("4F1C2A") + removed("4F1C2A"))
    (seen,) = await follower.read()
    assert (seen["tenant_id"], seen["source_key"]) == (1, f"{ULID}/{INFO}")
    assert (seen["action"], seen["place"], seen["trace_ulid"]) == ("delivered", None, ULID)
    assert seen["detail"] == {
        "next_hop": "mail.acme.example[192.0.2.1]:25",
        "next_hop_reply": "250 2.0.0 Ok (taken)",
        "dsn": "2.0.0",
        "queue_id": "4F1C2A",
    }


async def test_only_a_change_is_told(follower):
    follower.write(traced("4F1C2A") + deferred("4F1C2A") * 3)
    await follower.read()
    follower.write(deferred("4F1C2A", "Nov 22 12:05:00") + sent("4F1C2A", "Nov 22 12:06:00"))
    await follower.read()
    assert follower.actions() == [(INFO, "deferred"), (INFO, "delivered")]


async def test_each_recipient_has_its_own_end(follower):
    ceo = "CEO@acme.example"
    follower.write(traced("4F1C2A") + sent("4F1C2A") + bounced("4F1C2A", to=ceo))
    await follower.read()
    assert follower.actions() == [(INFO, "delivered"), ("ceo@acme.example", "rejected")]


async def test_two_changes_in_one_second_have_an_order(follower):
    follower.write(traced("4F1C2A") + deferred("4F1C2A") + sent("4F1C2A"))
    first, second = await follower.read()
    assert first["observed_at"] < second["observed_at"]


@pytest.mark.parametrize(
    ("last", "rule"),
    [
        (line("qmgr", "4F1C2A: from=<a@b.example>, status=expired, returned to sender"), "in time"),
        (line("postsuper", "4F1C2A: removed"), "by hand"),
    ],
)
async def test_mail_that_leaves_the_queue_undelivered_is_told(follower, last, rule):
    follower.write(traced("4F1C2A") + deferred("4F1C2A") + last)
    await follower.read()
    assert follower.actions() == [(INFO, "deferred"), (INFO, "rejected")]
    assert rule in follower.told()[-1]["rule"]


async def test_mail_that_is_not_ours_is_not_told(follower):
    follower.write(sent("4F1C2B") + bounced("4F1C2C") + removed("4F1C2B"))
    assert await follower.read() == []


async def test_a_queue_id_that_comes_again_is_another_mail(follower):
    other = "01ARZ3NDEKTSV4RRFFQ69G5FAW"
    follower.write(traced("4F1C2A") + sent("4F1C2A") + removed("4F1C2A"))
    follower.write(traced("4F1C2A", other, 2, apart=True) + sent("4F1C2A"))
    first, second = await follower.read()
    assert (first["tenant_id"], second["tenant_id"]) == (1, 2)
    assert second["trace_ulid"] == other


@pytest.mark.parametrize("cut", range(1, 40, 7))
async def test_a_torn_line_waits_for_its_end(follower, cut):
    text = traced("4F1C2A") + sent("4F1C2A")
    follower.write(text[:-cut])
    assert await follower.read() == []
    follower.write(text[-cut:])
    assert len(await follower.read()) == 1


async def test_reading_goes_on_where_it_was_after_a_restart(follower):
    follower.write(traced("4F1C2A") + deferred("4F1C2A"))
    await follower.read()
    follower.stop()
    follower.write(sent("4F1C2A", "Nov 22 12:06:00"))
    follower.start()
    await follower.read()
    assert follower.actions() == [(INFO, "deferred"), (INFO, "delivered")]


async def test_a_rotated_log_is_read_to_its_end_first(follower):
    follower.write(traced("4F1C2A"))
    await follower.read()
    follower.write(deferred("4F1C2A"))
    follower.path.rename(follower.folder / "mail.log.1")
    follower.path.write_text(sent("4F1C2A", "Nov 22 12:06:00"))
    await follower.read()
    await follower.read()
    assert follower.actions() == [(INFO, "deferred"), (INFO, "delivered")]


async def test_logs_that_were_rotated_while_nobody_read_are_read_in_order(follower):
    follower.write(traced("4F1C2A"))
    await follower.read()
    follower.stop()
    follower.write(deferred("4F1C2A"))
    follower.path.rename(follower.folder / "mail.log.1")
    (follower.folder / "mail.log.2").write_text(traced("4F1C2B") + sent("4F1C2B"))
    follower.path.write_text(sent("4F1C2A", "Nov 22 12:06:00"))
    follower.start()
    for _ in range(4):
        await follower.read()
    assert [action for _, action in follower.actions()] == ["deferred", "delivered", "delivered"]


async def test_a_log_that_was_emptied_in_its_place_is_read_from_its_start(follower):
    follower.write(traced("4F1C2A") + deferred("4F1C2A"))
    await follower.read()
    follower.path.write_text(sent("4F1C2A", "Nov 22 12:06:00"))
    await follower.read()
    assert follower.actions() == [(INFO, "deferred"), (INFO, "delivered")]


async def test_state_that_cannot_be_read_gives_the_same_observations_again(follower):
    follower.write(traced("4F1C2A") + deferred("4F1C2A") + sent("4F1C2A", "Nov 22 12:06:00"))
    before = await follower.read()
    follower.stop()
    (follower.folder / "maillog.json").write_text("{torn")
    follower.start()
    after = (await follower.read())[len(before) :]
    assert [each["observed_at"] for each in after] == [each["observed_at"] for each in before]


async def test_a_journal_that_fails_loses_no_line(follower, monkeypatch):
    follower.write(traced("4F1C2A") + sent("4F1C2A"))

    async def fail(*_):
        raise JournalError("no")

    real = follower.journal.append
    monkeypatch.setattr(follower.journal, "append", fail)
    with pytest.raises(JournalError):
        await follower.log.step()
    follower.log._begin_again()
    monkeypatch.setattr(follower.journal, "append", real)
    assert len(await follower.read()) == 1


def test_a_line_without_end_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("seg_bridge.gate.maillog.READ_BYTES", 1000)
    path = tmp_path / "mail.log"
    path.write_text("x" * 2500 + "\n" + sent("4F1C2A"))
    tail, lines = LogTail(path, Progress()), []
    while more := tail.read():
        assert sum(map(len, more)) <= 1000
        lines += more
    tail.close()
    assert lines[-1].decode() + "\n" == sent("4F1C2A")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (traced("4F1C2A"), Traced),
        (sent("4F1C2A"), Attempted),
        (removed("4F1C2A"), Removed),
        (line("qmgr", "4F1C2A: from=<>, status=expired, returned to sender"), Expired),
        (sent("4F1C2A").replace("Nov 22 12:00:01", "2026-11-22T12:00:01.123456+01:00"), Attempted),
        (sent("4F1C2A").replace("postfix/smtp", "postfix/relay/smtp"), Attempted),
        (sent("4F1C2A").replace("250 2.0.0 Ok (taken)", "status=bounced (no))"), Attempted),
        (sent("4F1C2A").replace("Nov 22", "Feb 30"), type(None)),
        (line("cleanup", "4F1C2A: message-id=<x: bailey t=2 u=" + ULID + ">"), type(None)),
        (line("cleanup", f"4F1C2A: warning: header X: bailey t=2 u={ULID}"), type(None)),
        (line("smtpd", "4F1C2A: client=x[1.2.3.4], helo=<to=<a@b>, status=sent (x)>"), type(None)),
        (line("qmgr", "4F1C2A: from=<a@b>, size=1, nrcpt=1 (queue active)"), type(None)),
        ("", type(None)),
        ("noise", type(None)),
    ],
)
def test_a_line_is_what_postfix_itself_says(text, kind):
    assert type(read_line(text.rstrip("\n"), NOW)) is kind


def test_a_year_that_the_log_does_not_say_is_the_last_one_possible():
    event = read_line(sent("4F1C2A", "Dec 31 23:59:59").rstrip("\n"), NOW)
    assert isinstance(event, Attempted)
    assert event.at == datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
