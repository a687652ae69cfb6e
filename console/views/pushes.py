"""One change of a policy for many clients: chosen, rehearsed, approved, followed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.policy_forms import MakeForm, PushForm
from console.queries.policies import client_levels
from console.queries.pushes import push_page
from console.views.policies import access_change
from incidents.access import access_one
from seg_bridge.models import PolicyPush
from seg_bridge.policies.effective import Level
from seg_bridge.policies.push import (
    approve_push,
    ask_push,
    pushes_in_sight,
    retry_push,
    stop_push,
)
from seg_bridge.policies.services import templates_for
from tenants.errors import NotThere
from tenants.groups import PREFIX, group_choices


def access_push(push_id: UUID | str) -> PolicyPush:
    return access_one(pushes_in_sight(), push_id)


def _wishes(request: PersonRequest) -> dict[str, dict[str, Any]]:
    """What can be pushed, by its name in the form: the change that was named, and templates."""
    found: dict[str, dict[str, Any]] = {}
    named = said(request, "change", 36)
    if named:
        change = access_change(named)
        if change.level != Level.CLIENT or change.tenant is None:
            raise NotThere
        values = len(change.states) + len(change.inherits)
        found[f"change:{change.id}"] = {
            "words": f"The {values} values that were changed at {change.tenant.name}",
            "states": change.states,
            "inherits": change.inherits,
        }
    for template in templates_for(request.user.provider_id):
        words = f"{template.name}. {template.words}"
        found[f"template:{template.name}"] = {"words": words, "template": template.name}
    return found


@for_staff
def policy_push_new(request: PersonRequest) -> HttpResponse:
    wishes = _wishes(request)
    form = PushForm(request.POST if request.method == "POST" else None, wishes)
    if request.method == "POST" and form.is_valid():
        wish = {k: v for k, v in wishes[form.cleaned_data["what"]].items() if k != "words"}
        push = ask_push(tenants=form.cleaned_data["chosen"], actor=request.user, **wish)
        return redirect("policy_push", push.id)
    context = {
        "at": "policies",
        "form": form,
        "levels": client_levels(request.user.provider),
        "chosen": request.POST.getlist("clients"),
        "groups": group_choices(),
        "chosen_groups": request.POST.getlist("groups")
        or [f"{PREFIX}{said(request, 'group', 36)}"],
        "query": request.GET.urlencode(),
    }
    return show(request, "console/policy_push_new.html", context)


@for_staff
def policy_push(request: PersonRequest, push_id: UUID) -> HttpResponse:
    context = {"at": "policies", "page": push_page(access_push(push_id))}
    return show(request, "console/policy_push.html", context, partial="progress")


@for_staff
def policy_push_approve(request: PersonRequest, push_id: UUID) -> HttpResponse:
    push = access_push(push_id)
    form = MakeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        count = approve_push(push=push, actor=request.user, **form.cleaned_data)
        messages.success(request, f"It is being made at {count} client{'s' * (count != 1)}.")
        return redirect("policy_push", push.id)
    context = {"page": push_page(push), "form": form}
    return ask(request, "console/policy_push_approve.html", context)


@require_POST
@for_staff
def policy_push_stop(request: PersonRequest, push_id: UUID) -> HttpResponse:
    push = access_push(push_id)
    count = stop_push(push=push, actor=request.user)
    messages.success(request, f"Stopped before {count} client{'s' * (count != 1)}.")
    return redirect("policy_push", push.id)


@require_POST
@for_staff
def policy_push_retry(request: PersonRequest, push_id: UUID) -> HttpResponse:
    push = access_push(push_id)
    retry_push(push=push, actor=request.user)
    return redirect("policy_push", push.id)
