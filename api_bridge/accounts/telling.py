"""What an account's incident tells of its response and its settings (incidents/account_told.py)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from api_bridge.accounts.models import AccountLook, AccountStep, MailboxSnapshot
from api_bridge.accounts.shapes import digest_of
from incidents.account_told import SettingsTold, StepTold
from tenants.scope import Role, current_scope

MOST_CHANGES = 100
LAST_LOOK_FAILED = "The last look did not read everything: the mail host answered with an error."
_DONE = (AccountStep.State.VERIFIED, AccountStep.State.ALREADY)
# What the portal reads of a step: the database grants it no more.
FOR_CLIENT = ("id", "mailbox__address", "kind", "state", "asked_by", "asked_at", "finished_at")
_MORE = ("label", "reason", "words", "called_at", "before")


class MailboxLayerTeller:
    """Needs the client's scope."""

    def steps(self, tenant_id: int, incident_ids: Collection[UUID]) -> Sequence[StepTold]:
        rows: QuerySet[AccountStep] = AccountStep.objects.filter(
            tenant=tenant_id, incident__in=incident_ids
        ).order_by("asked_at", "id")
        more = () if current_scope().role is Role.PORTAL else _MORE
        return [
            StepTold(
                id=row["id"],
                mailbox=row["mailbox__address"],
                kind=row["kind"],
                state=row["state"],
                is_done=row["state"] in _DONE,
                by=row["asked_by"],
                asked_at=row["asked_at"],
                finished_at=row["finished_at"],
                undoes=row["undoes_id"],
                label=row.get("label", ""),
                reason=row.get("reason", ""),
                words=row.get("words", ""),
                called_at=row.get("called_at"),
                kept_sha256=digest_of(row["before"]) if row.get("before") else "",
            )
            for row in rows.values(*FOR_CLIENT, "undoes_id", *more)
        ]

    def changes(
        self, tenant_id: int, mailbox: str, since: datetime, until: datetime | None
    ) -> Sequence[SettingsTold]:
        rows = MailboxSnapshot.objects.filter(
            tenant=tenant_id, mailbox__address=mailbox, taken_at__gte=since
        ).exclude(changes=[])
        if until is not None:
            rows = rows.filter(taken_at__lte=until)
        newest = rows.order_by("-taken_at", "-id")[:MOST_CHANGES]
        return [
            SettingsTold(
                id=row["id"],
                mailbox=mailbox,
                at=row["taken_at"],
                changes=tuple(row["changes"]),
                sha256=row["digest"],
            )
            for row in reversed(newest.values("id", "taken_at", "changes", "digest"))
        ]

    def not_looked_at(self, tenant_id: int) -> Sequence[str]:
        looks = AccountLook.objects.filter(tenant=tenant_id).order_by(
            "connection__created_at", "id"
        )
        found: list[str] = []
        for off, error in looks.values_list("off", "error"):
            found += [str(each["words"]) for each in off]
            if error:  # its words are the provider's, and may be anything that the host said
                found.append(LAST_LOOK_FAILED)
        return list(dict.fromkeys(found))
