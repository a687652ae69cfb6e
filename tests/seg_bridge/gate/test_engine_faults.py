"""Every dependency of the engines dead, hanging or half-open, for every policy of a client: what
the sender hears, what becomes of the mail, what is on record (promise 7)."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from incidents.words import MatrixAction, Verdict
from seg_bridge.engines.clamav import ClamavEngine
from seg_bridge.engines.names import Names
from seg_bridge.engines.rspamd import RspamdEngine
from tests.seg_bridge.engines.dns import TableLookup, dns_server
from tests.seg_bridge.engines.servers import FakeClamd, FakeRspamd, dead_place, result, symbols
from tests.seg_bridge.engines.test_names import closed_port, silent_server
from tests.seg_bridge.engines.test_rspamd import FixedNames
from tests.seg_bridge.gate.parts import mail_bytes

NAMES = TableLookup({})
SHORT_S = 0.1
LONG_S = 10.0
NO_DNS = result(symbols=symbols(R_SPF_DNSFAIL=0.0, DMARC_DNSFAIL=0.0))
# Rspamd leaves Bayes out where its store is dead, and takes longer where it hangs; it says neither.
NO_STORE = result(symbols=symbols() | {"GATE_STORE_FAIL": {"score": 0.0}})
del NO_STORE["symbols"]["GATE_STORE_OK"]


def rspamd(place: Any, names: Any = None, fault: str = "") -> RspamdEngine:
    """Patient with one that will answer."""
    return RspamdEngine(
        place,
        authserv_id="gate1.example",
        names=names or FixedNames(),
        timeout_s=SHORT_S if fault else LONG_S,
    )


def clamav(place: Any, fault: str = "") -> ClamavEngine:
    return ClamavEngine(place, timeout_s=SHORT_S if fault else LONG_S)


class Broken:
    """Engines of which one has a fault; ``async with`` gives them, healthy ones beside it."""

    def __init__(self, what: str, fault: str) -> None:
        self.what, self.fault = what, fault

    async def __aenter__(self) -> list[Any]:
        self._stack = contextlib.AsyncExitStack()
        return [await self._rspamd(), await self._clamav()]

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _rspamd(self) -> RspamdEngine:
        if self.what == "resolver":
            place = await self._stack.enter_async_context(FakeRspamd(NO_DNS).place())
            names = Names(self._resolver(), lookup=NAMES, probe_timeout_s=SHORT_S)
            self._stack.callback(names.close)
            return rspamd(place, names)
        if self.what == "store":
            return rspamd(await self._stack.enter_async_context(FakeRspamd(NO_STORE).place()))
        if self.what == "rspamd" and self.fault == "dead":
            return rspamd(await dead_place())
        fault = self.fault if self.what == "rspamd" else ""
        place = await self._stack.enter_async_context(FakeRspamd(fault=fault).place())
        return rspamd(place, fault=fault)

    def _resolver(self) -> tuple[str, int]:
        match self.fault:
            case "dead":
                return closed_port()
            case "hanging":
                return self._stack.enter_context(silent_server())
        failing = dns_server({(".", "NS"): ("SERVFAIL",)}, asked=[])
        return self._stack.enter_context(failing)

    async def _clamav(self) -> ClamavEngine:
        if self.what == "clamav" and self.fault == "dead":
            return clamav(await dead_place())
        fault = self.fault if self.what == "clamav" else ""
        place = await self._stack.enter_async_context(FakeClamd(fault=fault).place())
        return clamav(place, fault)


FAULTS = [
    *(("rspamd", fault) for fault in ("dead", "hanging", "half_open", "hangs_up")),
    *(("clamav", fault) for fault in ("dead", "hanging", "half_open", "hangs_up")),
    *(("resolver", fault) for fault in ("dead", "hanging", "half_open")),
    ("store", "dead"),
]
# policy → our reply, the outcome on record, how many mails the next hop gets
POLICIES = {
    MatrixAction.DELIVER: ("250", "delivered", 1),
    MatrixAction.TAG: ("250", "delivered", 1),
    MatrixAction.HOLD: ("250", "held", 0),
    MatrixAction.REJECT: ("550", "rejected", 0),
    MatrixAction.DEFER: ("451", "deferred", 0),
}


@pytest.mark.parametrize(("what", "fault"), FAULTS)
@pytest.mark.parametrize("policy", POLICIES)
async def test_a_fault_follows_the_clients_policy_and_is_on_record(
    gate_for, sink, what, fault, policy
):
    code, outcome, relayed = POLICIES[policy]
    async with (
        Broken(what, fault) as engines,
        gate_for(engines=engines, on_not_scanned=policy, mark_subject="[Look] ") as gate,
    ):
        reply = await gate.send(mail_bytes())
        (seen,) = gate.observations()
    assert reply.startswith(code)
    assert len(sink.mails) == relayed
    asked = "clamav" if what == "clamav" else "rspamd"
    assert seen["action"] == outcome
    assert seen["verdict"] is None
    assert seen["detail"]["missing"] == [asked]
    assert seen["detail"]["missing_why"][0].startswith(f"{asked}: ")
    assert seen["detail"]["decided"] == {"by": "not_scanned", "action": str(policy)}
    assert f"not scanned ({asked} did not answer)" in seen["rule"]
    assert [each["engine"] for each in seen["detail"]["engines"]] == [
        {"clamav": "rspamd", "rspamd": "clamav"}[asked]
    ]
    if policy is MatrixAction.TAG:
        assert b"Subject: [Look] Hello" in sink.mails[0].data
    assert len(gate.originals()) == (1 if policy is MatrixAction.HOLD else 0)


@pytest.mark.parametrize("policy", POLICIES)
async def test_malware_that_clamav_finds_is_held_while_rspamd_is_dead(gate_for, sink, policy):
    async with FakeClamd("stream: Win.Test.EICAR_HDB-1 FOUND").place() as place:
        engines = [rspamd(await dead_place()), clamav(place)]
        async with gate_for(engines=engines, on_not_scanned=policy) as gate:
            assert (await gate.send(mail_bytes())).startswith("250 2.0.0 Ok: held")
            (seen,) = gate.observations()
    assert (seen["verdict"], seen["action"]) == (Verdict.MALWARE, "held")
    assert seen["detail"]["missing"] == ["rspamd"]
    assert sink.mails == []


async def test_what_each_engine_said_stays_on_record(gate_for):
    bad = result(score=8.0, symbols=symbols(PHISHING=8.0))
    async with FakeRspamd(bad).place() as rspamd_at, FakeClamd().place() as clamd_at:
        engines = [rspamd(rspamd_at), clamav(clamd_at)]
        async with gate_for(engines=engines) as gate:
            await gate.send(mail_bytes())
            (seen,) = gate.observations()
    assert (seen["verdict"], seen["engine"]) == (Verdict.PHISH, "rspamd+clamav")
    told = {each["engine"]: each["verdict"] for each in seen["detail"]["engines"]}
    assert told == {"rspamd": "phish", "clamav": "clean"}
