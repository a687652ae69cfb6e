import contextlib

import pytest

from seg_bridge.gate.maillog import Progress
from tests.seg_bridge.gate.parts import RunningGate, Sink, tenant, until


@pytest.fixture
async def sink():
    async with Sink() as running:
        yield running


@pytest.fixture
def gate_for(tmp_path, sink):
    """A gate that relays to the sink: options of RunningGate, and what Acme's policy changes."""

    def make(*others, **changes):
        names = (
            *(
                "ingest",
                "limits",
                "engines",
                "takes_xclient",
                "spool_times",
                "reader",
                "rescan_pause_s",
            ),
            *("milter", "reinject", "postfix", "rspamd_learn", "rspamd_password"),
            *("outgoing", "inside"),
        )
        options = {name: changes.pop(name) for name in names if name in changes}
        acme = tenant("acme", 1, sink.hop, **changes)
        return RunningGate(tmp_path / "gate", acme, *others, **options)

    return make


@pytest.fixture
def behind_postfix(gate_for, postfix_host, sink, tmp_path):
    """``async with behind_postfix(…)``: a gate that Postfix asks, with its policy in the tables."""

    @contextlib.asynccontextmanager
    async def make(*others, **changes):
        host, folder = postfix_host, tmp_path / "gate"
        if not (folder / "maillog.json").exists():  # not what other tests sent
            log = (host.folder / "log" / "mail.log").stat()
            folder.mkdir(exist_ok=True)
            begin = Progress(inode=log.st_ino, offset=log.st_size)
            (folder / "maillog.json").write_bytes(begin.encode())
        options = {
            "milter": host.socket,
            "reinject": host.reinject,
            "postfix": host.folder,
            "outgoing": host.loopback("OUTGOING_PORT"),
            "inside": host.loopback("INSIDE_PORT"),
        }
        async with gate_for(*others, **options, **changes) as gate:
            names = [domain.name for each in gate.tenants for domain in each.domains]
            await until(lambda: all(host.look_up("transport", name) for name in names))
            await until(lambda: host.look_up("state", "state") == "DUNNO")
            yield gate
        host.empty_queue()

    return make


@pytest.fixture
def milter_for(gate_for, tmp_path, sink):
    """A gate behind the scripted MTA; what it sends apart goes to the sink."""

    def make(*others, **changes):
        path = tmp_path / "m.sock"
        return gate_for(*others, milter=path, reinject=("127.0.0.1", sink.port), **changes)

    return make
