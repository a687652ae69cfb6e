"""Killed at any commit point, the milter front loses nothing that Postfix answered for.

The MTA here is scripted: what it was told to queue is in its queue, what it never heard of stays
with the sender, who tries again.
"""

import asyncio
import contextlib
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from seg_bridge.gate.failpoints import FAILPOINTS
from seg_bridge.gate.journal import read_all
from seg_bridge.gate.policy import sign_snapshot
from seg_bridge.gate.records import observations
from seg_bridge.gate.recovery import read_leftovers
from tests.seg_bridge.gate.maillog_lines import sent, traced
from tests.seg_bridge.gate.mta import ScriptedMta
from tests.seg_bridge.gate.parts import SECRET, Sink, mail_bytes, snapshot_of, tenant, until
from tests.seg_bridge.gate.processes import HttpIngest, Running, Zygote, memory_folder

pytestmark = pytest.mark.crash

INFO, CEO, OTHER = "info@acme.example", "ceo@acme.example", "info@globex.example"
# Between Postfix's 250 for a copy sent apart and our note of it SMTP knows only *again* or *never*,
# and we choose again.
AGAIN_OR_NEVER = {"relay.after_answer", "queue.after_reinjection", "file.before_rename"}
MAILS = {"clean": (INFO,), "phish 9": (INFO,), "two": (INFO, OTHER)}


class Place:
    """Postfix's queue, the listener for copies sent apart, an ingest, and a gate that comes and
    goes.
    """

    def __init__(self, folder: Path, sink: Sink, web: HttpIngest, zygote: Zygote) -> None:
        self.folder, self.sink, self.web, self.zygote = folder, sink, web, zygote
        sink.replies["."] = "250 2.0.0 Ok: queued as 4AAAA"
        policy = snapshot_of(tenant("acme", 1, sink.hop), tenant("globex", 2, sink.hop))
        web.ingest.snapshot = sign_snapshot(policy.as_json(), SECRET)
        self.socket = folder.with_name("m.sock")
        self.queued: Counter[tuple[str, str]] = Counter()
        self.acked: set[str] = set()

    async def start(self, spec: str = "") -> None:
        order = {"milter": str(self.socket), "reinject": ["127.0.0.1", self.sink.port]}
        self.gate = await asyncio.to_thread(
            self.zygote.start, "gate", self.folder, self.web.url, spec, **order
        )

    def lives(self) -> bool:
        return self.gate is not None and self.gate.is_alive()

    async def try_once(self, subject: str) -> None:
        try:
            mta = await ScriptedMta.connect(self.socket)
        except OSError:
            return
        try:
            result = await mta.send(mail_bytes(subject), *MAILS[subject])
        except ConnectionError:
            return
        finally:
            mta.close()
        if result.final in ("queued", "discarded"):
            self.acked.add(subject)
            self.queued.update((subject, name) for name in result.recipients)

    async def play(self) -> bool:
        """The sender tries each mail until it is taken; False: the gate died on the way."""
        for subject in MAILS:
            while subject not in self.acked:
                if not self.lives():
                    return False
                await self.try_once(subject)
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.05)
        return self.lives()

    def check(self, *, may_double: bool) -> None:
        apart = Counter(("two", name) for mail in self.sink.mails for name in mail.recipients)
        copies = self.queued + apart
        held = Counter(
            (each["mail"]["subject"], each["recipient"])
            for record in read_all(self.folder / "journal")
            for each in observations(record)
            if each["action"] == "held" and each["mail"]
        )
        assert max(held.values()) == 1, "nothing is held twice"
        for subject, recipients in MAILS.items():
            for name in recipients:
                assert copies[subject, name] or (subject, name) in held, (subject, name)
        if may_double:
            assert copies["two", OTHER] <= 2
        else:
            assert set(copies.values()) == {1}, "nothing goes out twice"
        originals = list((self.folder / "originals").rglob("*.eml"))
        assert {path.read_bytes() for path in originals} == {mail_bytes("phish 9")}
        leftovers = read_leftovers(self.folder / "journal")
        assert leftovers.begun == {}


def is_dead(gate: Running) -> bool:
    return not gate.is_alive()


@contextlib.asynccontextmanager
async def place(zygote):
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder, HttpIngest() as web:
        async with Sink() as sink:
            made = Place(Path(folder) / "gate", sink, web, zygote)
            try:
                yield made
            finally:
                if made.gate is not None:
                    await asyncio.to_thread(made.gate.kill)


async def run_and_crash(made: Place, spec: str) -> bool:
    """True: the scenario went through without meeting the failpoint."""
    await made.start(spec)
    if made.gate is not None and await made.play():
        return True
    await made.start()
    assert await made.play(), "after a restart all goes on"
    return False


async def test_a_crash_at_any_commit_point_of_the_milter_front_loses_nothing():
    with Zygote() as zygote:
        passing, has_died = 0, True
        while has_died:
            passing += 1
            async with place(zygote) as made:
                has_died = not await run_and_crash(made, f"*:{passing}")
                latest = zygote.deaths_in_order()[-1:] if has_died else []
                made.check(may_double=bool(AGAIN_OR_NEVER.intersection(latest)))
        wanted = {name for name in FAILPOINTS if name.startswith("queue.")}
        assert wanted <= zygote.deaths()


async def test_a_crash_of_the_log_reader_repeats_what_intake_already_knows(tmp_path):
    postfix, folder = tmp_path / "postfix", tmp_path / "gate"
    (postfix / "log").mkdir(parents=True)
    (postfix / "maps").mkdir()
    (postfix / "log" / "mail.log").write_text(traced("4F1C2A") + sent("4F1C2A"))
    order = {
        "milter": str(tmp_path / "m.sock"),
        "reinject": ["127.0.0.1", 9],
        "postfix": str(postfix),
    }
    with Zygote() as zygote, HttpIngest() as web:
        for spec in ("maillog.after_journal", "maillog.after_state"):
            gate = await asyncio.to_thread(zygote.start, "gate", folder, web.url, spec, **order)
            if gate is not None:
                await until(partial(is_dead, gate))
        assert zygote.deaths() == {"maillog.after_journal", "maillog.after_state"}
    told = [each for record in read_all(folder / "journal") for each in observations(record)]
    assert len(told) == 2, "the journal has it twice"
    keys = {(each["source_key"], each["observed_at"]) for each in told}
    assert len(keys) == 1, "and both are the same to intake"
