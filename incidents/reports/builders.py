"""Reports about what another room knows: it says how their document is built.

``register_report(kind, build)``: ``build(job, audience)`` answers the document of a job whose
``detail["about"]`` is ``kind`` (a value of ``Report.Kind``), in the client's scope.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from incidents.models import Job

# Of mail that was found by looking back: built by api_bridge/scanback/document.py.
FOUND_SCHEMA = "bailey-found-in-mailboxes/1"

Build = Callable[[Job, str], dict[str, Any]]

_builders: dict[str, Build] = {}


def register_report(kind: str, build: Build) -> None:
    _builders[kind] = build


def builder_of(kind: str) -> Build:
    return _builders[kind]
