"""Ports for servers of a start: free, and each given once."""

from __future__ import annotations

import secrets

import pytest

from console.launch import ports


def test_of_several_that_are_asked_for_together_none_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = ports.free_port() - ports._LOWEST
    drawn = iter([first, first, first, *range(1, ports._TRIES)])
    monkeypatch.setattr(secrets, "randbelow", lambda _: next(drawn))
    assert ports.free_port() != first + ports._LOWEST
