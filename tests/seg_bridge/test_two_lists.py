"""Two lists of entries that are made at the same moment: neither waits for the other for ever."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import pytest
from django.db import connection

from seg_bridge import services
from seg_bridge.changes import rehearse_wish, save_change
from seg_bridge.models import GatewayRule
from seg_bridge.rule_files import read_rules
from seg_bridge.rule_scopes import clients_of_list
from tenants.audit import write_audit
from tenants.models import Person
from tenants.scope import Role, tenant_scope
from tests.factories import Cast

HEAD = "client,kind,match,value\n"
LINES = ["acme,block,sender,a@evil.example", "acme,block,sender,b@evil.example"]
FOR_TWO = ["globex,block,sender,a@evil.example", *LINES]


def save_at_the_same_moment(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, lists: dict[Person, list[str]]
) -> dict[str, str]:
    """What each was answered.  Before either goes on from their first entry, both have written it,
    unless one waits for the other; then who was named first goes on first.
    """
    first, *_ = lists
    both, answers = threading.Barrier(2), {}
    has_written = threading.local()
    store = write_audit

    def after_the_first(action: str, **kwargs: Any) -> Any:
        written = store(action, **kwargs)
        if action == "seg_bridge.rule.added" and not getattr(has_written, "one", False):
            has_written.one = True
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(timeout=3)
            if kwargs["actor"] != first:
                time.sleep(0.3)
        return written

    monkeypatch.setattr(services, "write_audit", after_the_first)

    def save(person: Person, lines: list[str]) -> None:
        scope = tenant_scope(
            Role.ANALYST, [cast.acme.id, cast.globex.id], provider_id=cast.provider.id
        )
        try:
            with scope:
                rules = read_rules((HEAD + "\n".join(lines)).encode())
                kept = rehearse_wish(
                    wish={"do": "add_rules", "rules": rules},
                    tenants=clients_of_list(rules),
                    actor=person,
                )
                made = save_change(rehearsals=kept, actor=person, reason="a list")
            answers[person.name] = f"{len(made)} made"
        except Exception as error:  # noqa: BLE001 (the test names it)
            answers[person.name] = f"{type(error).__name__}: {error}"
        finally:
            connection.close()

    threads = [threading.Thread(target=save, args=each) for each in lists.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return answers


def test_a_list_and_a_part_of_it_do_not_wait_for_each_other(
    transactional_cast: Cast, monkeypatch: pytest.MonkeyPatch
):
    cast = transactional_cast
    answers = save_at_the_same_moment(cast, monkeypatch, {cast.ana: LINES, cast.mo: LINES[1:]})
    told = {"Ana": "Conflict: Mo made this rule", "Mo": "1 made"}
    assert all(answers[name].startswith(words) for name, words in told.items()), answers


@pytest.mark.parametrize("lines", [LINES, FOR_TWO], ids=["one client", "two clients"])
def test_of_the_same_list_in_opposite_orders_one_is_made_and_the_other_is_told_by_whom(
    transactional_cast: Cast, monkeypatch: pytest.MonkeyPatch, lines: list[str]
):
    cast = transactional_cast
    answers = save_at_the_same_moment(
        cast, monkeypatch, {cast.ana: lines, cast.mo: list(reversed(lines))}
    )
    loser, winner = sorted(
        (cast.ana.name, cast.mo.name), key=lambda name: answers[name].endswith(" made")
    )
    assert answers[winner] == f"{len(lines)} made", answers
    assert answers[loser].startswith(f"Conflict: {winner} made this rule"), answers
    with tenant_scope(Role.ANALYST, [cast.acme.id, cast.globex.id], provider_id=cast.provider.id):
        assert GatewayRule.objects.count() == len(lines)
