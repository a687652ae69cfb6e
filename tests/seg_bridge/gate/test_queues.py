"""What waits is told to the console and changed at its word: the spool, and Postfix's queue."""

import asyncio
import errno
import json
import os
import time
import uuid

import pytest
from typing_extensions import override

from console.gateway_parts.clerk import Clerk
from seg_bridge.gate import commands, queues, spool
from seg_bridge.gate.desk import Desk, Listed, Listing
from seg_bridge.gate.maillog import Queued
from seg_bridge.gate.queues import PostfixQueue
from seg_bridge.gate.release import Command
from seg_bridge.gate.spool import SpoolTimes
from tests.seg_bridge.gate.parts import mail_bytes, snapshot_of, tenant, until

INFO, CEO = "info@acme.example", "ceo@acme.example"
SLOW = SpoolTimes(first_retry_s=600.0)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(queues, "LOOK_EVERY_S", 0.05)


def order(kind, queue_id, **changes):
    values = {
        "seq": 1,
        "id": str(uuid.uuid4()),
        "kind": kind,
        "tenant_id": 1,
        "ulid": "",
        "recipients": [CEO],
        "evidence": "",
        "released_by": "Ana",
        "queue_id": queue_id,
    }
    return {**values, **changes}


def one_of(gate, pattern):
    (path,) = gate.settings.spool_folder.glob(pattern)
    return path


async def waiting(gate, sink):
    """One copy in the spool, as it was told."""
    sink.replies[f"RCPT TO:<{CEO}"] = "450 4.7.1 greylisted"
    assert (await gate.send(mail_bytes(), INFO, CEO)).startswith("250")
    await until(lambda: gate.ingest.queues and gate.ingest.queues[-1]["items"])
    (item,) = gate.ingest.queues[-1]["items"]
    return item


async def obeyed(gate, wanted):
    gate.ingest.commands = [wanted]
    await until(
        lambda: any(
            record["kind"] == "command" and record["command"]["command_id"] == wanted["id"]
            for record in gate.records()
        )
    )
    found = [each["command"] for each in gate.records() if each["kind"] == "command"]
    return next(
        (each["ok"], each["detail"]) for each in found if each["command_id"] == wanted["id"]
    )


async def test_what_waits_in_the_spool_is_told_and_tried_again_when_ordered(gate_for, sink):
    async with gate_for(spool_times=SLOW) as gate:
        item = await waiting(gate, sink)
        assert (item["tenant_id"], item["recipient"], item["where"]) == (1, CEO, "deferred")
        assert (item["sender"], item["next_hop"]) == ("ann@sender.example", sink.hop)
        assert item["size_bytes"] > 100
        del sink.replies[f"RCPT TO:<{CEO}"]
        assert await obeyed(gate, order("q_retry", item["queue_id"])) == (True, "done")
        await until(lambda: sink.recipients() == [CEO, INFO])
        await until(lambda: not gate.ingest.queues[-1]["items"])
        assert await obeyed(gate, order("q_retry", item["queue_id"], seq=2)) == (
            False,
            "This mail is no longer in the queue.",
        )


async def test_what_is_on_hold_waits_over_a_restart_until_it_is_let_go(gate_for, sink):
    async with gate_for(spool_times=SLOW) as gate:
        item = await waiting(gate, sink)
        assert await obeyed(gate, order("q_hold", item["queue_id"])) == (True, "done")
        del sink.replies[f"RCPT TO:<{CEO}"]
    async with gate_for(spool_times=SpoolTimes(first_retry_s=0.05)) as gate:
        await asyncio.sleep(0.5)
        assert sink.recipients() == [INFO]
        refused = await obeyed(gate, order("q_retry", item["queue_id"], seq=2))
        assert refused == (False, "It is on hold: let it go on first.")
        await obeyed(gate, order("q_free", item["queue_id"], seq=3))
        await until(lambda: sink.recipients() == [CEO, INFO])


@pytest.mark.parametrize("action", ["hold", "free"])
async def test_what_the_disk_refuses_is_not_acknowledged_and_is_done_when_it_is_repeated(
    gate_for, sink, monkeypatch, action
):
    """A hold that is only in memory would be gone, and the mail on its way, after a restart."""
    refused = []

    monkeypatch.setattr(commands, "FIRST_RETRY_S", 0.05)

    def refusing(path, data):
        refused.append(path)
        raise OSError(errno.ENOSPC, "no space left on device")

    def is_held():
        return json.loads(one_of(gate, "*.json").read_bytes())["is_held"]

    async with gate_for(spool_times=SLOW) as gate:
        item = await waiting(gate, sink)
        before = is_held()
        with monkeypatch.context() as disk:
            disk.setattr(spool, "replace_file", refusing)
            wanted = order(f"q_{action}", item["queue_id"])
            gate.ingest.commands = [wanted]
            await until(lambda: len(refused) > 1)  # asked for again, and tried again
            assert not [each for each in gate.records() if each["kind"] == "command"]
            assert gate.ingest.queues[-1]["items"][0]["where"] == "deferred"
            assert is_held() == before
        assert await obeyed(gate, wanted) == (True, "done")
        assert is_held() == (action == "hold")


async def test_what_is_taken_out_is_on_record_and_goes_to_nobody(gate_for, sink):
    async with gate_for(spool_times=SLOW) as gate:
        item = await waiting(gate, sink)
        taken = order("q_remove", item["queue_id"])
        assert await obeyed(gate, taken) == (True, "done")
        last = gate.observations()[-1]
        assert (last["recipient"], last["action"], last["place"]) == (CEO, "rejected", "nowhere")
        assert last["rule"] == "taken out of the queue by Ana"
        assert list(gate.settings.spool_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tenant_id": 2}, "not this client's alone"),
        ({"queue_id": "../../etc"}, "no longer in the queue"),
        ({"kind": "q_burn"}, "knows no command"),
    ],
)
async def test_an_order_that_cannot_be_is_answered_so(gate_for, sink, changes, words):
    async with gate_for(spool_times=SLOW) as gate:
        item = await waiting(gate, sink)
        ok, detail = await obeyed(gate, {**order("q_remove", item["queue_id"]), **changes})
        assert not ok
        assert words in detail
        assert len(list(gate.settings.spool_folder.glob("*.eml"))) == 1


# Postfix's queue, by notes


def listed(queue_id, *recipients, **changes):
    values = {
        "queue_id": queue_id,
        "where": "deferred",
        "sender": "ann@sender.example",
        "size_bytes": 500,
        "arrived_at_s": 1_795_000_000.0,
        "recipients": tuple((each, "connect to mail: timed out") for each in recipients),
    }
    return Listed(**{**values, **changes})


class Told(Desk):
    """A desk on which the clerk has told these mails."""

    def __init__(self, folder, *mails, left_out=0):
        super().__init__(folder)
        self._listing = Listing(mails, left_out)

    @override
    def read(self):
        return self._listing


def queue_of(tmp_path, *mails, left_out=0):
    policy = snapshot_of(tenant("acme", 1, "hop:25"), tenant("globex", 2, "hop:25"))
    known = {"AAAA1": Queued(1, "01J00000000000000000000001")}
    desk = Told(tmp_path, *mails, left_out=left_out)
    return PostfixQueue(desk, lambda: policy, known.get)


def test_a_listing_is_told_by_client_and_what_is_nobodys_is_counted(tmp_path):
    queue = queue_of(
        tmp_path,
        listed("AAAA1", INFO, "info@globex.example"),
        listed("BBBB2", "eve@evil.example", sender=""),
        left_out=3,
    )
    told = queue.look()
    assert told is not None
    assert [(each.tenant_id, each.recipient) for each in told.items] == [
        (1, INFO),
        (2, "info@globex.example"),
    ]
    assert (told.others, told.left_out) == (1, 3)
    assert told.items[0].next_hop == "hop:25"
    assert told.items[0].may_return
    assert told.items[0].trace_ulid == "01J00000000000000000000001"


@pytest.mark.parametrize(
    ("mail", "words"),
    [
        (listed("AAAA1", INFO, "info@globex.example"), "not this client's alone"),
        (listed("AAAA1", "info@globex.example"), "not this client's alone"),
        (listed("AAAA1", "eve@evil.example"), "not this client's alone"),
        (listed("CCCC3", INFO), "no longer in the queue"),
    ],
)
async def test_no_order_reaches_a_mail_that_is_not_all_the_clients(tmp_path, mail, words):
    command = Command.from_json(order("q_remove", "AAAA1"))
    done = await queue_of(tmp_path, mail).do(command, "remove")
    assert not done.ok
    assert words in done.detail
    assert not (tmp_path / "desk").exists(), "the clerk was not asked"


class Watched(Clerk):
    """One whose queue holds AAAA1; what it runs is kept."""

    def __init__(self, folder):
        super().__init__(folder)
        self.ran = []

    @override
    def _listing(self):
        return [json.dumps({"queue_id": "AAAA1"}).encode()]

    @override
    def _run(self, program, *arguments):
        self.ran.append((program, *arguments))
        return "postsuper: Deleted: 1 message"


@pytest.fixture
def clerk(tmp_path):
    clerk = Watched(tmp_path)
    for folder in (clerk.desk.wishes, clerk.desk.answers):
        folder.mkdir(parents=True)
    return clerk


def wish(clerk, content, name=""):
    path = clerk.desk.wishes / f"{name or uuid.uuid4()}.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return clerk.desk.answers / path.name


def test_a_wish_is_answered_once_whatever_comes_again(clerk):
    answer = wish(clerk, {"do": "remove", "queue_id": "AAAA1"})
    assert clerk.step()
    assert not clerk.step()
    assert json.loads(answer.read_text()) == {"ok": True, "detail": "taken out of the queue"}
    assert clerk.ran == [("postsuper", "-d", "AAAA1")]


@pytest.mark.parametrize(
    "content",
    [
        "half",
        "[]",
        {"do": "remove", "queue_id": "ALL"},
        {"do": "remove", "queue_id": "-"},
        {"do": "remove", "queue_id": "AAAA1 deferred"},
        {"do": "burn", "queue_id": "AAAA1"},
        {"do": "remove"},
    ],
)
def test_what_is_no_wish_is_not_followed(clerk, content):
    answer = wish(clerk, content)
    clerk.step()
    assert clerk.ran == []
    assert not answer.exists()


def test_a_wish_that_is_a_link_is_not_followed(clerk, tmp_path):
    (tmp_path / "elsewhere").write_text(json.dumps({"do": "remove", "queue_id": "AAAA1"}))
    (clerk.desk.wishes / f"{uuid.uuid4()}.json").symlink_to(tmp_path / "elsewhere")
    clerk.step()
    assert clerk.ran == []


async def test_who_asks_again_gets_the_first_answer(clerk, tmp_path):
    desk, name = Desk(tmp_path), str(uuid.uuid4())
    asked = asyncio.create_task(desk.ask(name, do="hold", queue_id="AAAA1"))
    await until(lambda: any(desk.wishes.iterdir()))
    clerk.step()
    assert await asked == (True, "put on hold")
    assert await desk.ask(name, do="hold", queue_id="AAAA1") == (True, "put on hold")
    assert len(clerk.ran) == 1
    assert list(desk.wishes.iterdir()) == []


def test_a_clerk_that_is_silent_leaves_nobody_knowing(clerk, tmp_path):
    clerk._write(clerk.desk.queue, {"mails": [], "left_out": 0})
    assert Desk(tmp_path).read() == Listing(())
    os.utime(clerk.desk.queue, (time.time() - 120,) * 2)
    assert Desk(tmp_path).read() is None
