"""What mail is treated by, level by level; a change shows its effect before it is made."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect

from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.policy_forms import MakeForm
from console.queries.gates import gate_alarms
from console.queries.policies import find_mailbox, href_of, policy_page
from console.queries.policy_changes import change_page, changes_in_sight
from incidents.access import access_client, access_one
from seg_bridge.models import PolicyChange
from seg_bridge.policies.keys import KEYS
from seg_bridge.policies.layers import Target
from seg_bridge.policies.services import ask_change, make_change
from tenants.groups import access_group
from tenants.models import Domain, Mailbox, MailboxGroup

NO_TEXT = "-"
ALL = "*"


@for_staff
def policy_provider(request: PersonRequest) -> HttpResponse:
    return _policy(request, Target(provider=request.user.provider))


@for_staff
def policy_group(request: PersonRequest, group_id: UUID) -> HttpResponse:
    group = access_group(request.user, group_id)
    return _policy(request, Target(provider=request.user.provider, group=group.row))


@for_staff
def policy_client(request: PersonRequest, slug: str) -> HttpResponse:
    tenant = access_client(slug)
    address = said(request, "mailbox")
    if address:
        box = find_mailbox(tenant, address)
        if box is not None:
            return redirect("policy_mailbox", box.id)
        messages.error(request, f"{tenant.name} has no mailbox {address}.")
    return _policy(request, Target(provider=request.user.provider, tenant=tenant))


@for_staff
def policy_domain(request: PersonRequest, domain_id: UUID) -> HttpResponse:
    domain = access_one(Domain.objects.select_related("tenant"), domain_id)
    target = Target(provider=request.user.provider, tenant=domain.tenant, domain=domain)
    return _policy(request, target)


@for_staff
def policy_directory(request: PersonRequest, group_id: UUID) -> HttpResponse:
    """What holds for the mailboxes in a group of a client's directory."""
    group = access_one(MailboxGroup.objects.select_related("tenant"), group_id)
    target = Target(provider=request.user.provider, tenant=group.tenant, directory=group)
    return _policy(request, target)


@for_staff
def policy_mailbox(request: PersonRequest, mailbox_id: UUID) -> HttpResponse:
    box = access_one(Mailbox.objects.select_related("tenant", "domain"), mailbox_id)
    target = Target(
        provider=request.user.provider, tenant=box.tenant, domain=box.domain, mailbox=box
    )
    return _policy(request, target)


def _policy(request: PersonRequest, target: Target) -> HttpResponse:
    if request.method == "POST":
        change = ask_change(target=target, actor=request.user, **read_wish(request.POST))
        return redirect("policy_change", change.id)
    context = {"at": "policies", "page": policy_page(target), "gates": gate_alarms()}
    return show(request, "console/policy.html", context)


def read_wish(posted: QueryDict) -> dict[str, Any]:
    """What ``ask_change`` takes.  A button that names one value to inherit, or a template, is the
    whole wish; else every field counts, an empty one is inherited.
    """
    seen = posted.get("version", "")
    wish: dict[str, Any] = {"version": int(seen) if seen.isascii() and seen.isdigit() else 0}
    if posted.get("template"):
        return {**wish, "template": posted["template"]}
    named = {key: str(posted[key]).strip() for key in KEYS if key in posted}
    if posted.get("inherit"):
        only = set(named) if posted["inherit"] == ALL else {posted["inherit"]}
        return {**wish, "inherits": only}
    return {
        **wish,
        "states": {
            key: "" if text == NO_TEXT and KEYS[key].kind == "text" else text
            for key, text in named.items()
            if text
        },
        "inherits": {key for key, text in named.items() if not text},
    }


def access_change(change_id: UUID | str) -> PolicyChange:
    return access_one(changes_in_sight(), change_id)


@for_staff
def policy_change(request: PersonRequest, change_id: UUID) -> HttpResponse:
    page = change_page(access_change(change_id))
    context = {"at": "policies", "page": page, "back": href_of(page.target)}
    return show(request, "console/policy_change.html", context)


@for_staff
def policy_change_make(request: PersonRequest, change_id: UUID) -> HttpResponse:
    page = change_page(access_change(change_id))
    form = MakeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        make_change(change=page.change, actor=request.user, **form.cleaned_data)
        messages.success(request, "Done. Gates follow it within seconds.")
        return redirect(href_of(page.target))
    return ask(request, "console/policy_change_make.html", {"page": page, "form": form})
