"""Stores what was read of accounts, and has it judged.  Every function needs the client's scope."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from api_bridge.accounts.bursts import bursts
from api_bridge.accounts.differences import changes_between
from api_bridge.accounts.judge import of_audit, of_risky_user, of_settings, of_sign_in
from api_bridge.accounts.models import AccountTerms, MailboxSnapshot, SignIn
from api_bridge.accounts.reading import Events
from api_bridge.accounts.shapes import SeenSignIn, Settings
from incidents.accounts import Sign, note_signs
from incidents.signs import NORMAL, THRESHOLDS
from tenants.models import Domain, Mailbox, Tenant

KNOWN_FOR = timedelta(days=90)


@dataclass(slots=True)
class Keeper:
    """What one round finds about one client's accounts, told once at its end."""

    tenant: Tenant
    now: datetime
    source: str
    found: dict[str, list[Sign]] = field(default_factory=dict)

    def events(self, events: Events, mailboxes: Mapping[str, Mailbox]) -> None:
        """``mailboxes`` by the host's id of the user, in small letters."""
        by_mailbox: dict[Mailbox, list[SeenSignIn]] = {}
        for seen in events.sign_ins:
            if mailbox := mailboxes.get(seen.user_id):
                by_mailbox.setdefault(mailbox, []).append(seen)
        for mailbox, sign_ins in by_mailbox.items():
            self._sign_ins(mailbox, sign_ins)
        own_domains = own_domains_of(self.tenant)
        for audit in events.audits:
            if audit.domain in own_domains:
                continue
            for mailbox in filter(None, map(mailboxes.get, audit.user_ids)):
                suspicious = SignIn.objects.filter(
                    tenant=self.tenant, mailbox=mailbox, is_suspicious=True, at__lte=audit.at
                ).order_by("-at")[:20]
                self.add(mailbox, of_audit(audit, [each.at for each in suspicious]))
        for risk in events.risky:
            if mailbox := mailboxes.get(risk.user_id):
                self.add(mailbox, of_risky_user(risk))

    def _sign_ins(self, mailbox: Mailbox, sign_ins: Sequence[SeenSignIn]) -> None:
        mine = SignIn.objects.filter(tenant=self.tenant, mailbox=mailbox)
        # How long they are kept is the policy's to say (incidents/forgetting.py).
        known = list(mine.filter(at__gte=self.now - KNOWN_FOR).order_by("at", "id"))
        # A page may come twice; and a mailbox that was made anew had the same account before.
        ids = [each.external_id for each in sign_ins]
        told = SignIn.objects.filter(tenant=self.tenant, external_id__in=ids)
        stored = set(told.values_list("external_id", flat=True))
        for seen in sign_ins:
            if seen.external_id in stored:
                continue
            stored.add(seen.external_id)
            earlier = [each for each in known if each.at <= seen.at]
            signs = of_sign_in(seen, earlier)
            for sign in signs:
                self.add(mailbox, sign)
            row = _row_of(self.tenant, mailbox, seen)
            row.is_suspicious = bool(signs)
            row.save(force_insert=True)
            known.append(row)

    def settings(self, mailbox: Mailbox, read: Settings, own_domains: Collection[str]) -> None:
        newest = (
            MailboxSnapshot.objects.filter(tenant=self.tenant, mailbox=mailbox)
            .order_by("-taken_at", "-id")
            .first()
        )
        before = Settings.from_json(newest.content) if newest else None
        after = read.completed(before)
        if newest is None or newest.digest != after.digest:
            MailboxSnapshot.objects.create(
                tenant=self.tenant,
                mailbox=mailbox,
                digest=after.digest,
                content=after.as_json(),
                changes=changes_between(before, after),
                taken_at=self.now,
            )
        for sign in of_settings(
            before, after, own_domains=own_domains, at=self.now, source=self.source
        ):
            self.add(mailbox, sign)

    def bursts(self, mailboxes: Collection[Mailbox]) -> None:
        by_address = {each.address: each for each in mailboxes}
        for address, sign in bursts(self.tenant.id, list(by_address), self.now).items():
            self.add(by_address[address], sign)

    def add(self, mailbox: Mailbox, sign: Sign) -> None:
        self.found.setdefault(mailbox.address, []).append(sign)

    def tell(self) -> None:
        threshold = threshold_of(self.tenant)
        for address, signs in sorted(self.found.items()):
            note_signs(self.tenant, address, signs, threshold=threshold)
        self.found.clear()


def _row_of(tenant: Tenant, mailbox: Mailbox, seen: SeenSignIn) -> SignIn:
    return SignIn(
        tenant=tenant,
        mailbox=mailbox,
        external_id=seen.external_id,
        at=seen.at,
        ip=seen.ip,
        country=seen.country,
        city=seen.city,
        latitude=seen.latitude,
        longitude=seen.longitude,
        app=seen.app,
        risk=seen.risk,
    )


def threshold_of(tenant: Tenant) -> int:
    terms = AccountTerms.objects.filter(tenant=tenant).first()
    return THRESHOLDS[terms.sensitivity if terms else NORMAL]


def own_domains_of(tenant: Tenant) -> frozenset[str]:
    return frozenset(
        name.lower() for name in Domain.objects.filter(tenant=tenant).values_list("name", flat=True)
    )
