"""Ports for servers of a start: free, and each given once."""

from __future__ import annotations

import secrets

import pytest

from console.launch import ports


def test_processes_that_look_at_the_same_time_find_no_port_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for number in range(3):
        monkeypatch.setattr(ports, "_part", (0, 1))
        ports.take_part(number, 3)
        found.append({ports.free_port() for _ in range(20)})
    assert max(found[0]) < min(found[1]) <= max(found[1]) < min(found[2])


def test_of_several_that_are_asked_for_together_none_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ports, "_part", (0, 1))
    first = ports.free_port() - ports._LOWEST
    drawn = iter([first, first, first, *range(1, ports._TRIES)])
    monkeypatch.setattr(secrets, "randbelow", lambda _: next(drawn))
    assert ports.free_port() != first + ports._LOWEST
