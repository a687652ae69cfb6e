"""Work over many incidents: one act on many, views, mentions, suppressions, task templates."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from console.lib.forms import BulkForm, SuppressionForm, TemplateForm, ViewForm, until
from console.lib.http import PersonRequest, ask, for_staff, show
from console.queries.bulk import chosen_by_id, colleagues_in_sight, fitting_rows, read_choice
from console.queries.foreseen import acts_foreseen
from console.queries.work import latest_templates, mentions_of, suppressions
from console.views.queue import read_filters, read_tab
from incidents.access import access_client, access_one
from incidents.models import Incident, Suppression
from incidents.services.many import MOST, act_on_many, foresee_many
from incidents.services.quiet import add_suppression, remove_suppression
from incidents.services.skills import rank_by_skill
from incidents.services.tasks import save_template
from incidents.services.views import remove_view, save_view
from tenants.models import Tenant


@for_staff
def incidents_bulk(request: PersonRequest) -> HttpResponse:
    """GET: the chosen ones, or what fits the queue's filters.  POST: what would become of each at
    its client, and once that has been ``seen``, the result for each.
    """
    people = colleagues_in_sight()
    sent = (request.POST if request.method == "POST" else request.GET).getlist("incident")
    is_chosen = request.method == "POST" or "chosen" in request.GET or bool(sent)
    rows, missing = chosen_by_id(sent) if is_chosen else _fitting(request)
    form = BulkForm(request.POST or None, people=rank_by_skill(people, rows))
    if request.method == "POST" and form.is_valid():
        ids, revisions = read_choice(sent)
        act = act_on_many if "seen" in request.POST else foresee_many
        results = act(
            incident_ids=ids, order=form.order(people), actor=request.user, revisions=revisions
        )
        context = {"at": "queue", "results": results, "done": sum(each.ok for each in results)}
        if act is act_on_many:
            return show(request, "console/incidents_bulk_done.html", context)
        context |= {"form": form, "sent": sent, "clients": acts_foreseen(results)}
        return show(request, "console/incidents_bulk_seen.html", context)
    context = {"at": "queue", "form": form, "rows": rows, "missing": missing}
    context |= {"is_chosen": is_chosen, "tab": read_tab(request), "most": MOST}
    return show(request, "console/incidents_bulk.html", context)


def _fitting(request: PersonRequest) -> tuple[list[Incident], int]:
    return fitting_rows(read_tab(request), request.user, read_filters(request)), 0


@for_staff
def view_save(request: PersonRequest) -> HttpResponse:
    """The address carries the queue's filters, which are what is saved."""
    form = ViewForm(request.POST or None)
    wish = {"tab": read_tab(request), **read_filters(request).as_dict()}
    if request.method == "POST" and form.is_valid():
        save_view(person=request.user, filters=wish, **form.cleaned_data)
        return redirect(reverse("queue") + "?" + urlencode(wish))
    return ask(request, "console/view_save.html", {"form": form, "query": urlencode(wish)})


@require_POST
@for_staff
def view_remove(request: PersonRequest, view_id: UUID) -> HttpResponse:
    remove_view(view_id=view_id, person=request.user)
    return redirect("queue")


@for_staff
def mentions(request: PersonRequest) -> HttpResponse:
    rows, older = mentions_of(request.user, request.GET.get("cursor", ""))
    context = {"at": "mentions", "rows": rows, "older": f"?cursor={older}" if older else ""}
    return show(request, "console/mentions.html", context, partial="list")


@for_staff
def suppression_rules(request: PersonRequest) -> HttpResponse:
    rows, older = suppressions(request.GET.get("cursor", ""))
    context = {"at": "suppressions", "rows": rows, "older": f"?cursor={older}" if older else ""}
    return show(request, "console/suppressions.html", context, partial="list")


@for_staff
def suppression_add(request: PersonRequest) -> HttpResponse:
    form = SuppressionForm(request.POST or None, clients=Tenant.objects.all())
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        tenant, end = access_client(said.pop("client")), until(said.pop("hours"))
        add_suppression(tenant=tenant, actor=request.user, ends_at=end, **said)
        messages.success(request, "Incidents that fit open quietly from now on.")
        return redirect("suppressions")
    return ask(request, "console/suppression_add.html", {"form": form})


@require_POST
@for_staff
def suppression_remove(request: PersonRequest, suppression_id: UUID) -> HttpResponse:
    rule = access_one(Suppression.objects.all(), suppression_id)
    remove_suppression(rule=rule, actor=request.user)
    return redirect("suppressions")


@for_staff
def task_templates(request: PersonRequest) -> HttpResponse:
    form = TemplateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        save_template(
            provider_id=request.user.provider_id,
            kind=form.cleaned_data["kind"],
            steps=form.cleaned_data["steps"].splitlines(),
            actor=request.user,
            seen=form.seen(request.POST.getlist("seen")),
        )
        return redirect("task_templates")
    context = {"at": "task_templates", "rows": latest_templates(), "form": form}
    return show(request, "console/task_templates.html", context)
