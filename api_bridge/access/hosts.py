"""Mail hosts other than Microsoft's: entered, tried out by a worker, and connected if all works.

``HOSTS`` is the one place where a kind is switched on: the pages offer what stands there.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from api_bridge.access.consent import LEADS
from api_bridge.access.models import HostTrial, Purpose
from api_bridge.access.registrations import QUEUE
from api_bridge.access.service_accounts import open_key, service_account
from api_bridge.errors import BridgeError
from api_bridge.whose import mailboxes_of, not_listed, others_of, server_of
from tenants.audit import Actor, write_audit
from tenants.doors import ClaimedWork
from tenants.errors import DomainError, WrongInput
from tenants.ids import new_id
from tenants.models import Mailbox, Person, Tenant
from tenants.people import must_lead
from tenants.secrets import seal, unseal
from tenants.work import want_work, work_scope

log = logging.getLogger(__name__)

STUMBLED = (
    "Its answers could not be made sense of: nothing is connected. The worker's log says more."
)
ASKED = "api_bridge.host.asked"
SETTLED = "api_bridge.host.settled"


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was tried, by a call that really happened.  ``words``: what was found, or what
    is off and what to do about it.  ``is_needed``: without it there is no connection.
    """

    name: str
    is_ok: bool
    words: str = ""
    is_needed: bool = True


# What was entered, by the names of the form's fields.
Entered = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known before a host is called.  ``mailboxes``: addresses that may be of this host;
    ``of_others``: those of the client's other hosts, with their aliases; ``not_listed``: other
    hosts of the client that have not said yet which are theirs.
    ``response_key``: of the provider's own service account for account response, "": there is none.
    """

    mailboxes: Sequence[str] = ()
    of_others: frozenset[str] = frozenset()
    not_listed: Sequence[str] = ()
    response_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Host:
    """Dotted paths.  ``verify(entered, known) -> Sequence[Checked]`` calls the host outside any
    scope, ``known`` being ``Known``, and may raise ``BridgeError``;
    ``connect(tenant, entered, actor)`` runs in the client's scope and may raise ``DomainError``.
    """

    verify: str
    connect: str


_OTHER = "api_bridge.access.other_hosts"
HOSTS: dict[str, Host] = {
    "google": Host(f"{_OTHER}.verify_google_host", f"{_OTHER}.connect_google_host"),
    "imap": Host(f"{_OTHER}.verify_imap_host", f"{_OTHER}.connect_imap_host"),
}


def _function(path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


@transaction.atomic
def ask_host(*, tenant: Tenant, kind: str, entered: Entered, actor: Person) -> HostTrial:
    """A worker tries it within seconds.  Raises ``NotAllowed`` or ``WrongInput``."""
    must_lead(actor, LEADS)
    if kind not in HOSTS:
        raise WrongInput("This kind of mail host cannot be connected here.")
    trial = HostTrial(
        id=new_id(),
        tenant_id=tenant.id,
        kind=kind,
        asked_by_id=actor.id,
        asked_by=actor.name,
    )
    trial.sealed = seal(json.dumps(dict(entered)).encode(), place=_place(tenant.id, trial.id))
    trial.save(force_insert=True)
    write_audit(
        ASKED,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="host_trial",
        object_id=trial.id,
        kind=kind,
    )
    want_work(tenant.id, QUEUE)
    return trial


def _place(tenant_id: int, trial_id: UUID) -> str:
    return f"api_bridge_hosttrial.sealed/{tenant_id}/{trial_id}"


def try_hosts(claimed: ClaimedWork) -> None:
    """All that wait of this client.  Trying one twice is harmless: it only asks."""
    for trial, entered, known in _waiting(claimed):
        host = HOSTS.get(trial.kind)
        if host is None:
            _fail(claimed, trial, [], "This kind of mail host cannot be connected here.")
            continue
        try:
            checks = list(_function(host.verify)(entered, known))
        except BridgeError as error:
            _fail(claimed, trial, [], str(error))
            continue
        except Exception:
            # What stands open would hold up this client's watch over its access for ever.
            log.exception("trial %s of %s", trial.id, trial.kind)
            _fail(claimed, trial, [], STUMBLED)
            continue
        failed = [check.name for check in checks if check.is_needed and not check.is_ok]
        if failed or not checks:
            _fail(claimed, trial, checks, f"Did not work: {', '.join(failed) or 'nothing ran'}.")
        else:
            _connect(claimed, trial, host, entered, checks)


def _waiting(claimed: ClaimedWork) -> list[tuple[HostTrial, dict[str, str], Known]]:
    """Each with what was entered, and what is known of the client."""
    with work_scope(claimed):
        rows = HostTrial.objects.filter(stage=HostTrial.Stage.WAITING).order_by("asked_at")
        waiting = []
        for row in rows:
            sealed = unseal(bytes(row.sealed), place=_place(row.tenant_id, row.id))
            entered: dict[str, str] = json.loads(sealed)
            waiting.append((row, entered, _known(row.tenant_id, entered)))
        return waiting


def _known(tenant_id: int, entered: Entered) -> Known:
    server = server_of(tenant_id, entered.get("host", ""))
    mailboxes = mailboxes_of(tenant_id, server).exclude(state=Mailbox.State.GONE)
    own = service_account(Purpose.RESPOND)
    return Known(
        mailboxes=list(mailboxes.order_by("address").values_list("address", flat=True)),
        of_others=others_of(tenant_id, server),
        not_listed=not_listed(tenant_id),
        response_key=open_key(own) if own else "",
    )


def _connect(
    claimed: ClaimedWork,
    trial: HostTrial,
    host: Host,
    entered: Entered,
    checks: Sequence[Checked],
) -> None:
    """And says so in the same transaction: a host that is connected already is refused."""
    stage, refusal = HostTrial.Stage.CONNECTED, ""
    with work_scope(claimed):
        tenant = Tenant.objects.get(id=claimed.tenant_id)
        try:
            with transaction.atomic():
                actor = Actor(trial.asked_by, trial.asked_by_id)
                _function(host.connect)(tenant=tenant, entered=entered, actor=actor)
        except DomainError as error:
            stage, refusal = HostTrial.Stage.FAILED, error.sentence
        _note(claimed, trial, checks, stage, refusal)


def _fail(claimed: ClaimedWork, trial: HostTrial, checks: Sequence[Checked], words: str) -> None:
    with work_scope(claimed):
        _note(claimed, trial, checks, HostTrial.Stage.FAILED, words)


def _note(
    claimed: ClaimedWork, trial: HostTrial, checks: Sequence[Checked], stage: str, words: str
) -> None:
    """Once, in the client's scope.  What was entered is not kept beyond this; the connection has
    its own.
    """
    waiting = HostTrial.objects.filter(id=trial.id, stage=HostTrial.Stage.WAITING)
    if not waiting.update(
        stage=stage,
        checks=[asdict(check) for check in checks],
        words=words,
        sealed=b"",
        settled_at=timezone.now(),
    ):
        return
    write_audit(
        SETTLED,
        actor=Actor("Bailey"),
        provider_id=claimed.provider_id,
        tenant_id=claimed.tenant_id,
        object_kind="host_trial",
        object_id=trial.id,
        reason=words,
        stage=stage,
    )
