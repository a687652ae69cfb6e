"""Two workers serve one client at once, as when a lease runs out under one: what is done is told
once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from incidents.models import Message
from seg_bridge.held import retention
from seg_bridge.outbound import services as outbound
from seg_bridge.outbound.checking import look_up
from tenants.models import AuditEntry, Domain
from tests.factories import Cast, state_policy
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.outbound.parts import analyst, switch_on
from tests.seg_bridge.test_requests import claimed, scope
from tests.seg_bridge.test_retention import carried_out, hold, kept_originals


def with_another_at(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, act: Callable[[], object]
) -> Callable[[], None]:
    """Do it, and when that comes to ``where.name``, first let another do all of it; he who waits
    for us comes after us.
    """
    step, begun = getattr(where, name), threading.Event()

    def once() -> None:
        try:
            act()
        finally:
            connection.close()

    other = threading.Thread(target=once)

    def step_after_the_other(*args: Any, **kwargs: Any) -> Any:
        if not begun.is_set():
            begun.set()
            other.start()
            other.join(3)
        return step(*args, **kwargs)

    def both() -> None:
        act()
        assert begun.is_set()
        other.join(20)
        assert not other.is_alive()

    monkeypatch.setattr(where, name, step_after_the_other)
    return both


def test_an_original_is_removed_once(transactional_cast: Cast, monkeypatch: pytest.MonkeyPatch):
    cast = transactional_cast
    make_gate(cast, cast.acme)
    with scope(cast):
        state_policy(cast.acme, held_keep_days=7)
    hold(cast, days=8)
    retention.serve_retention(claimed(cast))
    carried_out(cast)
    serve = with_another_at(
        monkeypatch,
        retention,
        "_is_needed_elsewhere",
        lambda: retention.serve_retention(claimed(cast)),
    )
    serve()
    assert kept_originals(cast) == 0
    with scope(cast):
        assert Message.objects.get().evidence == ""
        assert AuditEntry.objects.filter(action="incidents.evidence.removed").count() == 1


def test_a_key_begins_to_sign_once(transactional_cast: Cast, monkeypatch: pytest.MonkeyPatch):
    cast = transactional_cast
    make_gate(cast, cast.acme)
    switch_on(cast)
    with analyst(cast):
        domain = Domain.objects.get(name="acme.example")
        key = outbound.make_key(tenant=cast.acme, domain=domain, actor=cast.mo)
        outbound.ask_check(key=key)
        (wanted,) = outbound.wanted_checks(cast.acme.id)
        found = look_up(wanted.name, wanted.public, lambda *_: (key.record_value,))

    def note() -> None:
        with scope(cast):
            outbound.note_check(wanted, found)

    with_another_at(monkeypatch, outbound, "_sign_with", note)()
    with scope(cast):
        key.refresh_from_db()
        assert key.state == "signing"
        assert AuditEntry.objects.filter(action=outbound.KEY_SIGNS).count() == 1
