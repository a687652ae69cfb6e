"""Which engines the settings give, and that each can be the only one."""

from pathlib import Path

import pytest

from seg_bridge.engines.embedded import JUDGE
from seg_bridge.gate.engines import make_engines
from tests.seg_bridge.engines.servers import FakeClamd, FakeRspamd, result, symbols
from tests.seg_bridge.gate.parts import mail_bytes, settings_for, tenant


@pytest.mark.parametrize(
    ("named", "judge"),
    [(("embedded",), JUDGE), (("rspamd",), ""), (("clamav", "rspamd", "embedded"), JUDGE)],
)
async def test_the_engines_are_those_that_the_settings_name(tmp_path, named, judge):
    engines = make_engines(settings_for(tmp_path, engines=named))
    assert tuple(each.name for each in engines.asked) == named
    assert engines.judge == judge
    await engines.close()


async def test_rspamd_may_be_the_only_engine(gate_for, tmp_path):
    bad = result(score=9.0, symbols=symbols(PHISHING=9.0))
    async with FakeRspamd(bad).place() as place:
        settings = settings_for(tmp_path, engines=("rspamd",), rspamd=place, dns=("127.0.0.1", 9))
        engines = make_engines(settings)
        async with gate_for(engines=engines.asked) as gate:
            assert (await gate.send(mail_bytes())).startswith("250 2.0.0 Ok: held")
            (seen,) = gate.observations()
        await engines.close()
    assert (seen["engine"], seen["engine_version"], seen["verdict"]) == ("rspamd", "3.4", "phish")


async def test_clamav_may_be_the_only_engine(gate_for, tmp_path):
    async with FakeClamd().place() as place:
        engines = make_engines(settings_for(tmp_path, engines=("clamav",), clamav=place))
        async with gate_for(engines=engines.asked) as gate:
            assert (await gate.send(mail_bytes())).startswith("250 2.0.0 Ok: taken")
            (seen,) = gate.observations()
        await engines.close()
    assert (seen["engine"], seen["verdict"], seen["action"]) == ("clamav", "clean", "delivered")


async def test_an_engine_that_is_not_there_keeps_the_gate_from_nothing(gate_for, tmp_path):
    settings = settings_for(tmp_path, engines=("clamav",), clamav=Path(tmp_path / "no.ctl"))
    engines = make_engines(settings)
    await engines.start()
    async with gate_for(engines=engines.asked) as gate:
        assert (await gate.send(mail_bytes())).startswith("451 4.7.1")
    await engines.close()


async def test_rspamd_hears_for_which_client_a_mail_is_and_by_which_name_the_gate_knows_it(
    gate_for, sink, tmp_path
):
    rspamd = FakeRspamd()
    globex = tenant("globex", 2, sink.hop)
    async with rspamd.place() as place:
        settings = settings_for(tmp_path, engines=("rspamd",), rspamd=place, dns=("127.0.0.1", 9))
        engines = make_engines(settings)
        async with gate_for(globex, engines=engines.asked) as gate:
            await gate.send(mail_bytes())
            assert rspamd.told("X-Tenant") == ["1"]
            assert rspamd.told("Queue-Id") == [gate.observations()[0]["trace_ulid"]]
            await gate.send(mail_bytes("both"), "info@acme.example", "info@globex.example")
            assert rspamd.told("X-Tenant") == []
        await engines.close()
