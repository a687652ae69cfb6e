import pytest

from tests.seg_bridge.gate.parts import RunningGate, Sink, tenant


@pytest.fixture
async def sink():
    async with Sink() as running:
        yield running


@pytest.fixture
def gate_for(tmp_path, sink):
    """``gate_for(**what Acme's policy changes)``: a gate that relays to the sink."""

    def make(*others, ingest=None, limits=None, engines=None, takes_xclient=True, **changes):
        options = {"ingest": ingest, "engines": engines, "takes_xclient": takes_xclient}
        if limits is not None:
            options["limits"] = limits
        acme = tenant("acme", 1, sink.hop, **changes)
        return RunningGate(tmp_path / "gate", acme, *others, **options)

    return make
