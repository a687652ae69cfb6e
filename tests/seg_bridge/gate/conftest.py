import pytest

from tests.seg_bridge.gate.parts import RunningGate, Sink, tenant


@pytest.fixture
async def sink():
    async with Sink() as running:
        yield running


@pytest.fixture
def gate_for(tmp_path, sink):
    """A gate that relays to the sink: options of RunningGate, and what Acme's policy changes."""

    def make(*others, **changes):
        names = (
            *("ingest", "limits", "engines", "takes_xclient", "spool_times", "reader"),
            *("milter", "reinject", "postfix"),
        )
        options = {name: changes.pop(name) for name in names if name in changes}
        acme = tenant("acme", 1, sink.hop, **changes)
        return RunningGate(tmp_path / "gate", acme, *others, **options)

    return make
