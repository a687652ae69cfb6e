"""What Postfix asks about a login, word for word, and what it is answered."""

import asyncio
import base64
import contextlib

import pytest

from seg_bridge.gate.outbound.login_desk import MOST_FAILED, FailedLogins
from seg_bridge.gate.outbound.sasl import SaslServer
from seg_bridge.gate.outbound.terms import OutboundTerms
from tests.seg_bridge.gate.outbound.parts import LOGIN, SECRET, plain
from tests.seg_bridge.gate.parts import snapshot_of, tenant


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def asking(tmp_path, hashed):
    """``async with asking() as ask``: a line of Postfix's → the server's answer."""

    @contextlib.asynccontextmanager
    async def make(*, has_policy=True, failed=None):
        policy = snapshot_of(
            tenant("acme", 1, "hop:25", outbound=OutboundTerms(logins={LOGIN: hashed}))
        )
        server = SaslServer(lambda: policy if has_policy else None, set(), failed)
        path = str(tmp_path / "sasl.sock")
        listening = await asyncio.start_unix_server(server.serve, path)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"VERSION\t1\t0\nCPID\t77\n")
        greeting = (await reader.readuntil(b"DONE\n")).decode().splitlines()
        assert greeting[0] == "VERSION\t1\t1"
        assert [line for line in greeting if line.startswith("MECH")] == [
            "MECH\tPLAIN\tplaintext",
            "MECH\tLOGIN\tplaintext",
        ]

        async def ask(line: str) -> str:
            writer.write(line.encode() + b"\n")
            return (await asyncio.wait_for(reader.readline(), 5)).decode().rstrip("\n")

        yield ask
        writer.close()
        listening.close()
        await asyncio.sleep(0)

    return make


WORDS = "service=smtp\tnologin\tlip=192.0.2.1\trip=203.0.113.5\tsecured"


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (f"AUTH\t1\tPLAIN\t{WORDS}\tresp={plain()}", f"OK\t1\tuser={LOGIN}"),
        (f"AUTH\t2\tPLAIN\t{WORDS}\tresp={plain(LOGIN.upper())}", f"OK\t2\tuser={LOGIN}"),
        (f"AUTH\t3\tPLAIN\t{WORDS}\tresp={plain(secret='wrong')}", "FAIL\t3\treason=This name"),
        (f"AUTH\t4\tPLAIN\t{WORDS}\tresp={plain('nobody')}", "FAIL\t4\treason=This name"),
        (f"AUTH\t5\tPLAIN\t{WORDS}\tresp=%%%", "FAIL\t5\treason=That is no login"),
        (f"AUTH\t6\tPLAIN\t{WORDS}\tresp=", "FAIL\t6\treason=That is no login"),
        (f"AUTH\t7\tPLAIN\t{WORDS}\tresp={coded('no nul')}", "FAIL\t7\treason=That is no login"),
        (f"AUTH\t8\tCRAM-MD5\t{WORDS}\tresp={plain()}", "FAIL\t8\treason=That is no login"),
        (
            f"AUTH\t9\tPLAIN\t{WORDS}\tresp={plain(LOGIN + chr(9) + 'admin')}",
            "FAIL\t9\treason=That is no login",
        ),
    ],
)
async def test_a_login_fits_or_not(asking, asked, answer):
    async with asking() as ask:
        assert (await ask(asked)).startswith(answer)


async def test_what_was_not_said_at_once_is_asked_for(asking):
    async with asking() as ask:
        assert await ask(f"AUTH\t1\tLOGIN\t{WORDS}") == f"CONT\t1\t{coded('Username:')}"
        assert await ask(f"AUTH\t2\tPLAIN\t{WORDS}") == "CONT\t2\t"
        assert await ask(f"CONT\t1\t{coded(LOGIN)}") == f"CONT\t1\t{coded('Password:')}"
        assert await ask(f"CONT\t2\t{plain()}") == f"OK\t2\tuser={LOGIN}"
        assert await ask(f"CONT\t1\t{coded(SECRET)}") == f"OK\t1\tuser={LOGIN}"


async def test_without_a_policy_nobody_logs_in(asking):
    async with asking(has_policy=False) as ask:
        assert (await ask(f"AUTH\t1\tPLAIN\t{WORDS}\tresp={plain()}")).startswith("FAIL\t1\ttemp")


async def test_who_guesses_is_not_answered_any_more(asking):
    failed = FailedLogins()
    async with asking(failed=failed) as ask:
        wrong = plain(secret="wrong")
        await ask(f"AUTH\t1\tPLAIN\t{WORDS}\tresp={wrong}")
        assert failed.by_ip["203.0.113.5"] == 1
        for _ in range(MOST_FAILED):
            failed.note("203.0.113.5")
        assert "Too many failed logins" in await ask(f"AUTH\t2\tPLAIN\t{WORDS}\tresp={plain()}")
        elsewhere = WORDS.replace("203.0.113.5", "203.0.113.6")
        assert (await ask(f"AUTH\t3\tPLAIN\t{elsewhere}\tresp={plain()}")).startswith("OK")


async def test_a_line_without_an_end_ends_the_conversation(asking):
    async with asking() as ask:
        assert await ask("AUTH\t1\t" + "x" * 70_000) == ""
