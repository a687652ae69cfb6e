"""A worker starts with all that it may be asked for, and with nothing that only pages need."""

from __future__ import annotations

import pytest
from celery.fixups.django import DjangoWorkerFixup  # type: ignore[attr-defined]

from console.celery import _begin_worker, app
from tenants import work


def test_a_start_does_not_read_every_page(monkeypatch):
    monkeypatch.setattr("django.core.checks.run_checks", lambda: pytest.fail("it checks all pages"))
    DjangoWorkerFixup(app).validate_models()


def test_what_serves_a_queue_is_there_before_the_threads(monkeypatch):
    monkeypatch.setitem(work._handlers, "typo", "tenants.work.serve_nobody")
    with pytest.raises(AttributeError, match="serve_nobody"):
        work.load_handlers()
    del work._handlers["typo"]
    work.load_handlers()


def test_a_worker_loads_it_when_it_begins(monkeypatch):
    loaded = []
    monkeypatch.setattr("console.celery.load_handlers", lambda: loaded.append(True))
    _begin_worker()
    assert loaded == [True]
