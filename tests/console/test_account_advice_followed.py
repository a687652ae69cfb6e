"""Whatever was done at an account's incident, what is recommended can be done and has an end."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.db import transaction
from django.test import Client
from django.urls import resolve
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_bridge.access.models import Grant, Purpose
from api_bridge.access.permissions import needs_of
from api_bridge.accounts.models import AccountStep, MailboxSnapshot
from api_bridge.accounts.shapes import AccountState, AppGrant, Settings
from api_bridge.accounts.steps import UNDONE_BY
from api_bridge.connectors import Delegate, Forwarding, MailboxRule
from api_bridge.models import Connection
from incidents.models import AccountSign, CallNote, Incident
from incidents.signs import SIGNS
from seg_bridge.outbound.models import SenderStop, SubmissionLogin
from seg_bridge.outbound.services import make_login
from tenants.ids import new_id
from tenants.models import Domain, Mailbox
from tenants.scope import maintenance_scope
from tests.console.test_account_advice import advice
from tests.factories import Cast
from tests.seg_bridge.outbound.parts import CEO, analyst, stop_the_ceo

pytestmark = pytest.mark.usefixtures("no_broker")
State = AccountStep.State
MOST_PRESSES = 40
MOST_FAILURES = 3
OUTCOMES = (State.VERIFIED, State.ALREADY, State.FAILED, State.UNPROVEN, State.WITHDRAWN)
TARGETS = {
    "disable_rule": ("r-1", "r-2"),
    "revoke_grant": ("g-1",),
    "remove_delegate": ("d@evil.example",),
    "forwarding_off": ("f@evil.example",),
}
RAW: dict[str, list[dict[str, str]]] = {
    "forward_outside": [{"address": "f@evil.example"}, {"rule": "r-2"}],
    "hides_money": [{"rule": "r-1"}, {"rule": "gone"}],
    "hides_mail": [{"rule": "r-2"}],
    "new_delegate": [{"address": "D@evil.example"}],
    "mail_grant": [{"grant": "g-1"}],
}
FOUND = Settings(
    rules=tuple(MailboxRule(id=name, name=name, criteria=()) for name in ("r-1", "r-2")),
    forwarding=Forwarding(address="f@evil.example", is_enabled=True, keeps_copy=True),
    delegates=(Delegate(address="d@evil.example", is_active=True),),
    grants=(AppGrant(id="g-1", app_id="a", scopes=("Mail.Read", "https://mail.google.com/")),),
)


@pytest.fixture(params=["no login", "a login"])
def case(cast: Cast, request: pytest.FixtureRequest) -> Incident:
    """Of a stopped sender, by a login of the gateway or by a host of the client's."""
    with analyst(cast):
        name, _ = make_login(tenant=cast.acme, purpose="Plotter", actor=cast.mo)
    by = f"login {name}" if request.param == "a login" else "host 192.0.2.1"
    return stop_the_ceo(cast, detail={"sent_by": {"by": by, "mailbox": CEO}})


class History:
    """One that somebody could have left behind, by ``data``."""

    def __init__(self, cast: Cast, case: Incident, data: Any) -> None:
        self.cast, self.case, self.data = cast, case, data
        self.failures = 0
        with maintenance_scope():
            self.mailbox, _ = Mailbox.objects.update_or_create(
                tenant=cast.acme,
                address=CEO,
                defaults={
                    "external_id": self.pick("u-1", "u-1", ""),
                    "domain": Domain.objects.filter(tenant=cast.acme)[0],
                },
            )
            self._host()
            self._sending()
            self._signs()
            others = [self._other("merged"), self._other("resolved")]
            self._calls([case, others[0]])
            for _ in range(data.draw(st.integers(0, 7))):
                self._step(self.pick(case, case, *others))

    def pick(self, *values: Any) -> Any:
        return self.data.draw(st.sampled_from(values))

    def _host(self) -> None:
        kind = self.pick("graph", "graph", "google", "imap")
        link = Connection.objects.create(
            tenant=self.cast.acme,
            kind=kind,
            cloud_tenant_id=str(new_id()),
            by_registrations=kind == "graph" and self.pick(True, False),
        )
        if kind != "imap" and self.pick(True, False):
            needs = [need.name for need in needs_of(kind, Purpose.RESPOND)]
            roles = self.data.draw(st.lists(st.sampled_from(needs), unique=True))
            Grant.objects.create(
                tenant=self.cast.acme,
                connection=link,
                purpose=Purpose.RESPOND,
                roles=self.pick(needs, roles),
                granted_at=timezone.now(),
                checked_at=timezone.now(),
            )
        state = AccountState(
            is_suspended=False,
            why_suspended="",
            has_two_steps=True,
            is_admin=self.pick(True, False),
        )
        found = Settings(
            rules=FOUND.rules,
            grants=FOUND.grants,
            forwarding=FOUND.forwarding if kind == "google" else None,
            delegates=FOUND.delegates if kind == "google" else None,
            state=self.pick(None, state),
        )
        if self.pick(True, True, False):
            MailboxSnapshot.objects.create(
                tenant=self.cast.acme,
                mailbox=self.mailbox,
                digest=found.digest,
                content=found.as_json(),
                taken_at=timezone.now(),
            )

    def _sending(self) -> None:
        now = timezone.now()
        if self.pick(True, False):
            SenderStop.objects.update(lifted_at=now, lifted_by="Ana")
        if self.pick(True, False):
            SubmissionLogin.objects.update(ended_at=now, ended_by="Mo")

    def _signs(self) -> None:
        codes = self.data.draw(st.lists(st.sampled_from(sorted(SIGNS)), max_size=6))
        for n, code in enumerate(codes):
            AccountSign.objects.create(
                tenant=self.cast.acme,
                mailbox=CEO,
                code=code,
                key=f"{code}-{n}",
                words=code,
                weight=10,
                source="test",
                raw=self.pick(*RAW.get(code, [{}])),
                at=timezone.now(),
                incident=self.case,
            )

    def _other(self, how: str) -> Incident:
        """``merged`` into this one, or an older one of the same account."""
        made = Incident.objects.get(id=self.case.id)
        made.id, made.state = new_id(), "resolved"
        made.number += 1 + ["merged", "resolved"].index(how)
        made.merged_into = self.case if how == "merged" else None
        made.save(force_insert=True)
        return made

    def _calls(self, incidents: list[Incident]) -> None:
        for incident in incidents:
            if self.pick(True, False):
                CallNote.objects.create(
                    tenant=self.cast.acme,
                    incident=incident,
                    whom="Irma",
                    said="It was not she.",
                    called_at=timezone.now(),
                    author_name="Ana",
                )

    def _step(self, incident: Incident) -> None:
        kind = self.pick("revoke_sessions", "disable", "new_password", *TARGETS)
        target = self.pick(*TARGETS.get(kind, ("",)))
        step = self._put(incident, kind, target, self.pick(*OUTCOMES, *AccountStep.OPEN))
        if step and step.state == State.VERIFIED and kind in UNDONE_BY and self.pick(True, False):
            back = UNDONE_BY[AccountStep.Kind(kind)]
            self._put(incident, back, target, self.pick(*OUTCOMES, *AccountStep.OPEN), undoes=step)

    def _put(
        self, incident: Incident, kind: str, target: str, state: str, **more: Any
    ) -> AccountStep | None:
        mine = AccountStep.objects.filter(mailbox=self.mailbox, kind=kind, target=target)
        is_open = state in AccountStep.OPEN
        if is_open and mine.filter(state__in=AccountStep.OPEN).exists():
            return None
        return AccountStep.objects.create(
            tenant=self.cast.acme,
            incident=incident,
            mailbox=self.mailbox,
            kind=kind,
            target=target,
            state=state,
            asked_by="Ana",
            finished_at=None if is_open else timezone.now(),
            **more,
        )

    def carry_out(self) -> None:
        """A worker ends what is open, one way or another; it does not fail for ever."""
        with maintenance_scope():
            waiting = list(AccountStep.objects.filter(state__in=AccountStep.OPEN))
            assert waiting, "nobody waits for nothing"
            for step in waiting:
                step.state = self.pick(*OUTCOMES)
                if step.state not in (State.VERIFIED, State.ALREADY):
                    self.failures += 1
                    if self.failures > MOST_FAILURES:
                        step.state = State.VERIFIED
                step.finished_at = timezone.now()
                step.save()


ANSWERS = {
    "incident_call": {"whom": "Irma", "said": "It was not she."},
    "incident_step": {"reason": "", "kind": "", "target": ""},
    "account_step_undo": {"reason": ""},
    "submission_login_end": {},
    "sender_stop_lift": {"reason": "All is well again."},
    "incident_resolve": {
        "classification": "true_positive",
        "cause_code": "account",
        "cause": "Her password was known.",
    },
}


def press(client: Client, href: str) -> str:
    """Asks, and says yes; answers the name of the page."""
    parts = urlsplit(href)
    name = resolve(parts.path).url_name or ""
    assert client.get(href).status_code == 200, href
    answer = client.post(parts.path, ANSWERS[name] | dict(parse_qsl(parts.query)))
    assert answer.status_code == 302, (href, answer.content.decode()[-2000:])
    return name


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_what_is_recommended_can_be_done_and_comes_to_an_end(
    client: Client, cast: Cast, case: Incident, data: Any
) -> None:
    client.force_login(cast.mo)
    with transaction.atomic():
        history = History(cast, case, data)
        pressed: list[str] = []
        while "incident_resolve" not in pressed:
            found = advice(cast, case)
            if not found.href:
                history.carry_out()
                continue
            pressed.append(press(client, found.href))
            assert len(pressed) < MOST_PRESSES, pressed
            if pressed[-1] in ("incident_step", "account_step_undo") and data.draw(st.booleans()):
                history.carry_out()
        with analyst(cast):
            assert not Incident.objects.get(id=case.id).is_open
            assert not SenderStop.objects.filter(lifted_at=None).exists()
            assert not AccountStep.objects.filter(state__in=AccountStep.OPEN).exists()
        # Each in its place: nothing is given back before somebody in the account is shut out.
        order = ["incident_call", "submission_login_end", "incident_step", "account_step_undo"]
        order += ["sender_stop_lift", "incident_resolve"]
        assert [order.index(each) for each in pressed] == sorted(map(order.index, pressed))
        transaction.set_rollback(True)
