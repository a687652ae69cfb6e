"""Lessons at the gate, against a controller that answers as Rspamd's does."""

import asyncio
import contextlib
import hashlib
import uuid

import pytest

from incidents.mail import read_mail
from seg_bridge.engines.rspamd.learning import Teacher
from seg_bridge.gate.fetching import NoOriginal
from seg_bridge.gate.lessons import NO_ENGINE, TRIES, Learner
from seg_bridge.gate.release import Command
from tests.seg_bridge.engines.test_embedded import envelope
from tests.seg_bridge.engines.test_real_engines import babble, from_domain
from tests.seg_bridge.gate.parts import mail_bytes, until

RAW = mail_bytes("phish 9")
DIGEST = hashlib.sha256(RAW).hexdigest()


class Controller:
    """Answers ``answers`` in their order, then 200; ``asked`` are path, header fields, body."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.gone_on = asyncio.Event()
        self.gone_on.set()

    @property
    def paths(self) -> list[str]:
        return [path for path, _, _ in self.asked]

    async def serve(self, reader, writer):
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        body = await reader.readexactly(int(fields["Content-Length"]))
        self.asked.append((first.split()[1], fields, body))
        await self.gone_on.wait()
        answer = self.answers.pop(0) if self.answers else "200 OK"
        writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    @contextlib.asynccontextmanager
    async def listening(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[:2]


def lesson(**changes):
    values = {
        "seq": 1,
        "id": str(uuid.uuid4()),
        "kind": "learn",
        "tenant_id": 1,
        "ulid": "01J00000000000000000000001",
        "recipients": [],
        "evidence": DIGEST,
        "released_by": "Ana",
        "terms": {"as_spam": True},
    }
    return values | changes


async def fetch(command):
    return RAW


async def learn(controller, *, fetch=fetch, **terms):
    async with controller.listening() as endpoint:
        learner = Learner(Teacher(endpoint, "sesame"), fetch, first_retry_s=0.001)
        return await learner.learn(Command.from_json(lesson(terms=terms)))


@pytest.mark.parametrize(
    ("terms", "answers", "paths", "ok", "words"),
    [
        ({"as_spam": True}, [], ["/learnspam"], True, "learned"),
        ({"as_spam": False}, [], ["/learnham"], True, "learned"),
        ({"as_spam": True}, ["208 known"], ["/learnspam"], True, "known before"),
        (
            {"as_spam": True},
            ["204 too few words"],
            ["/learnspam"],
            True,
            "not needed (too few words)",
        ),
        (
            {"as_spam": True, "share": "phish"},
            [],
            ["/learnspam", "/fuzzyadd"],
            True,
            "learned; hashes: shared",
        ),
        (
            {"as_spam": True, "share": "spam"},
            ["200 OK", "404 none"],
            ["/learnspam", "/fuzzyadd"],
            True,
            "learned; hashes: too short for a hash",
        ),
        (
            {"as_spam": False, "unshare": "spam"},
            [],
            ["/learnham", "/fuzzydel"],
            True,
            "learned; hashes: taken back",
        ),
        ({"as_spam": True}, ["500 busy"], ["/learnspam"] * 2, True, "learned"),
        (
            {"as_spam": True, "share": "spam"},
            ["200 OK", "500 busy"],
            ["/learnspam", "/fuzzyadd", "/fuzzyadd"],
            True,
            "learned; hashes: shared",
        ),
        (
            {"as_spam": True},
            ["500 busy"] * 9,
            ["/learnspam"] * TRIES,
            False,
            f"Rspamd answered 500 busy (tried {TRIES} times)",
        ),
        ({}, [], [], False, "does not understand the lesson"),
        ({"as_spam": True, "share": "love"}, [], [], False, "no hashes of 'love'"),
    ],
)
async def test_a_lesson_is_told_and_what_came_of_it_is_said(terms, answers, paths, ok, words):
    controller = Controller(*answers)
    done = await learn(controller, **terms)
    assert (done.ok, controller.paths) == (ok, paths)
    assert words in done.detail
    assert done.observations == ()


async def test_the_engine_hears_whose_lesson_it_is_and_the_bytes_as_they_came():
    controller = Controller()
    await learn(controller, as_spam=True, share="phish")
    (_, teaching, taught), (_, sharing, shared) = controller.asked
    assert (teaching["X-Tenant"], teaching["Password"]) == ("1", "sesame")
    assert sharing["Flag"] == "12"
    assert "X-Tenant" not in sharing
    assert taught == shared == RAW


@pytest.mark.parametrize(("is_temporary", "tries"), [(True, TRIES), (False, 1)])
async def test_bytes_that_are_not_to_be_had_are_asked_for_again_where_that_may_help(
    is_temporary, tries
):
    asked = []

    async def nothing(command):
        asked.append(command)
        raise NoOriginal("not to be had", is_temporary=is_temporary)

    done = await learn(Controller(), fetch=nothing, as_spam=True)
    assert (done.ok, len(asked)) == (False, tries)
    assert "not to be had" in done.detail


def done_of(gate):
    records = [record for record in gate.records() if record["kind"] == "command"]
    return {each["command"]["command_id"]: each["command"] for each in records}


async def test_a_gate_learns_from_its_own_original_or_from_the_consoles(gate_for):
    controller = Controller()
    async with controller.listening() as endpoint, gate_for(rspamd_learn=endpoint) as gate:
        await gate.send(RAW)
        (seen,) = gate.observations()
        own = lesson(ulid=seen["trace_ulid"])
        digest = hashlib.sha256(b"B: b").hexdigest()
        gate.ingest.evidence["1", digest] = b"B: b"
        stored = lesson(seq=2, ulid="01J00000000000000000000002", evidence=digest)
        wrong = lesson(seq=3, evidence="0" * 64)
        gate.ingest.commands = [own, stored, wrong]
        await until(lambda: len(done_of(gate)) == 3)
        done = done_of(gate)
        assert [body for _, _, body in controller.asked] == [RAW, b"B: b"]
        assert [done[each["id"]]["ok"] for each in (own, stored, wrong)] == [True, True, False]
        assert "not to be had" in done[wrong["id"]]["detail"]


async def test_a_gate_without_an_engine_that_learns_says_so(gate_for):
    async with gate_for() as gate:
        gate.ingest.commands = [lesson()]
        await until(lambda: done_of(gate))
        (done,) = done_of(gate).values()
        assert (done["ok"], done["detail"]) == (False, NO_ENGINE)


async def test_no_release_waits_for_a_lesson_and_none_is_told_twice(gate_for, sink):
    controller = Controller()
    controller.gone_on.clear()
    async with controller.listening() as endpoint, gate_for(rspamd_learn=endpoint) as gate:
        await gate.send(RAW)
        (seen,) = gate.observations()
        teach = lesson(ulid=seen["trace_ulid"])
        release = teach | {"seq": 2, "id": "r", "kind": "release", "terms": {}}
        release["recipients"] = [seen["recipient"]]
        gate.ingest.commands = [teach, release]
        await until(lambda: done_of(gate))
        assert list(done_of(gate)) == ["r"], "the lesson is still under way"
        await until(lambda: sink.mails)
        controller.gone_on.set()
        await until(lambda: len(done_of(gate)) == 2)
        await asyncio.sleep(0.3)
        assert controller.paths == ["/learnspam"]


async def test_what_one_client_decided_moves_its_own_filter_and_no_others(gate_for, real_rspamd):
    """A real Rspamd, taught by commands alone."""
    name = "lessons.example"
    password = real_rspamd.plan.gate["BAILEY_RSPAMD_PASSWORD"]
    async with gate_for(rspamd_learn=real_rspamd.learn, rspamd_password=password) as gate:
        for seed in range(22):
            for kind in ("offer", "draft"):
                raw = from_domain(name, babble(seed, kind))
                digest = hashlib.sha256(raw).hexdigest()
                gate.ingest.evidence["41", digest] = raw
                terms = {"as_spam": kind == "offer"}
                taught = {"seq": len(gate.ingest.commands) + 1, "tenant_id": 41, "terms": terms}
                gate.ingest.commands.append(lesson(evidence=digest, **taught))
        await until(lambda: len(done_of(gate)) == 44, seconds=30)
        said = [each["detail"] for each in done_of(gate).values()]
        # Of what it holds to be so already it learns no more.
        assert said[:2] == ["learned", "learned"]
        assert all(each.startswith(("learned", "not needed")) for each in said)
    new = from_domain(name, babble(99, "offer"))
    found = {}
    for tenant_id in (41, 42):
        asked = envelope(tenant_id=tenant_id, mail_id="01J00000000000000000000001")
        scan = await real_rspamd.engine().scan(new, read_mail(new), asked)
        found[tenant_id] = {each.code for each in scan.reasons}
    assert "rspamd_bayes_spam" in found[41]
    assert not found[42] & {"rspamd_bayes_spam", "rspamd_bayes_ham"}
