"""Groups of clients, and skills of people: what the provider says about itself."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.lib.forms import GroupForm, SkillsForm
from console.lib.http import PersonRequest, ask, for_staff, show
from console.queries.skills import access_colleague, kind_rows, skill_rows
from incidents.models import Incident
from incidents.services.skills import set_needs, set_skills
from seg_bridge.policies.groups import (
    Moved,
    change_group,
    effect_of_members,
    seen_mark,
    take_group_away,
)
from tenants.errors import NotThere
from tenants.groups import access_group, groups_in_sight, save_group
from tenants.people import must_lead


@for_staff
def groups(request: PersonRequest) -> HttpResponse:
    context = {"at": "clients", "groups": groups_in_sight(request.user)}
    return show(request, "console/groups.html", context)


@for_staff
def group_new(request: PersonRequest) -> HttpResponse:
    must_lead(request.user)
    form = GroupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        save_group(actor=request.user, **form.cleaned_data)
        return redirect("groups")
    return ask(request, "console/group_save.html", {"form": form})


@for_staff
def group_change(request: PersonRequest, group_id: UUID) -> HttpResponse:
    group = access_group(request.user, group_id)
    must_lead(request.user)
    now = {"name": group.row.name, "clients": [client.slug for client in group.clients]}
    form = GroupForm(request.POST or None, initial=now)
    moved: list[Moved] = []
    if request.method == "POST" and form.is_valid():
        moved = effect_of_members(group.row, form.cleaned_data["clients"])
        if not moved or seen_mark(moved) == request.POST.get("seen"):
            change_group(group=group.row, actor=request.user, despite=True, **form.cleaned_data)
            return redirect("groups")
    context = {"form": form, "group": group, "moved": moved, "seen": seen_mark(moved)}
    return ask(request, "console/group_save.html", context)


@require_POST
@for_staff
def group_remove(request: PersonRequest, group_id: UUID) -> HttpResponse:
    group = access_group(request.user, group_id)
    take_group_away(group=group.row, actor=request.user)
    messages.success(request, f"{group.row.name} is gone. Its clients stay.")
    return redirect("groups")


@for_staff
def skills(request: PersonRequest) -> HttpResponse:
    context = {"at": "sla", "people": skill_rows(request.user), "kinds": kind_rows()}
    return show(request, "console/skills.html", context)


@for_staff
def person_skills(request: PersonRequest, person_id: UUID) -> HttpResponse:
    person, now = access_colleague(person_id)
    form = SkillsForm(request.POST or None, initial={"skills": ", ".join(now)})
    if request.method == "POST" and form.is_valid():
        set_skills(person=person, skills=form.chosen, actor=request.user)
        return redirect("skills")
    context = {"form": form, "whose": person.name}
    return ask(request, "console/skills_save.html", context)


@for_staff
def kind_skills(request: PersonRequest, kind: str) -> HttpResponse:
    must_lead(request.user)
    row = next((each for each in kind_rows() if each.kind == kind), None)
    if row is None:
        raise NotThere
    form = SkillsForm(request.POST or None, initial={"skills": ", ".join(row.skills)})
    if request.method == "POST" and form.is_valid():
        set_needs(kind=kind, skills=form.chosen, actor=request.user)
        return redirect("skills")
    context = {"form": form, "whose": Incident.Kind(kind).label}
    return ask(request, "console/skills_save.html", context)
