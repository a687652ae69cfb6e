"""No place where a worker or ingest commits is without a failpoint, and none is left out unseen."""

from __future__ import annotations

import re

import pytest

from tenants.failpoints import failpoint, set_watch
from tests.crash.worker import ROOT, commits_of, modules_that_commit

# What commits nothing of a worker's: the scope around a page, a person's command, reading alone.
NO_WORK = {"tenants.middleware", "tenants.standstill", "incidents.releases", "api_bridge.layer"}


def killed() -> set[str]:
    """Modules that a scenario holds against what it passed."""
    tests = (ROOT / "tests").glob("*/**/test_crash.py")
    asked = re.compile(r'check_passed\(\s*places,\s*"([\w.]+)"')
    return {module for each in tests for module in asked.findall(each.read_text())}


def test_each_module_that_commits_is_killed_there():
    assert modules_that_commit() == killed() | NO_WORK
    assert not killed() & NO_WORK


def test_commits_are_found_in_the_code():
    assert "incidents.execution._finish" in commits_of("incidents.execution")
    assert "api_bridge.round.Round._commit" in commits_of("api_bridge.round")


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("tenants/scope.py", "transaction.atomic():"),
        ("tenants/outbox.py", "mail.send()"),
        ("api_bridge/http.py", "self._http.stream("),
        ("seg_bridge/onboarding/probe.py", "smtp.data(raw)"),
        ("api_bridge/connectors/imap/session.py", "wire.command(name, *arguments)"),
    ],
)
def test_what_all_pass_has_a_failpoint_on_both_sides(path: str, call: str):
    code = (ROOT / path).read_text()
    assert code.count(call) == 1
    near = code[code.index(call) - 200 : code.index(call) + 1_500]
    assert re.search(r'failpoint\("before_(commit|call)"\)', near)
    assert re.search(r'failpoint\("after_(commit|call)"\)', near)


def test_a_failpoint_tells_where_it_was_passed():
    passed: list[str] = []
    set_watch(passed.append)
    try:
        failpoint("before_commit")
    finally:
        set_watch(None)
    failpoint("before_commit")
    (place,) = passed
    assert place.endswith(f"{test_a_failpoint_tells_where_it_was_passed.__name__}:before_commit")
