"""Work over many incidents: one act on all, views, mentions, rules of silence, templates."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from console.lib.forms import ManyForm, SuppressionForm, TemplateForm, ViewForm, until
from console.lib.http import PersonRequest, ask, for_staff, show
from console.queries.many import chosen, colleagues_in_sight, read_choice
from console.queries.work import latest_templates, mentions_of, suppressions
from console.views.queue import read_filters, read_tab
from incidents.access import access_client, access_one
from incidents.models import Suppression
from incidents.services.many import Order, act_on_many
from incidents.services.quiet import add_suppression, remove_suppression
from incidents.services.tasks import save_template
from incidents.services.views import remove_view, save_view
from tenants.models import Tenant


@for_staff
def queue_many(request: PersonRequest) -> HttpResponse:
    """GET: what fits the queue's filters, to choose from.  POST: a result for each."""
    people = colleagues_in_sight()
    form = ManyForm(request.POST or None, people=people)
    tab, filters = read_tab(request), read_filters(request)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        ids, revisions = read_choice(request.POST.getlist("incident"))
        order = Order(
            action=said["action"],
            owner=next((one for one in people if str(one.id) == said["owner"]), None),
            until=until(said["hours"]),
            reason=said["reason"],
            classification=said["classification"],
            cause=said["cause"],
            cause_code=said["cause_code"] or "other",
        )
        results = act_on_many(
            incident_ids=ids, order=order, actor=request.user, revisions=revisions
        )
        context = {"at": "queue", "results": results, "done": sum(each.ok for each in results)}
        return show(request, "console/queue_many_done.html", context)
    rows = chosen(tab, request.user, filters)
    context = {"at": "queue", "form": form, "rows": rows, "tab": tab, "filters": filters}
    return show(request, "console/queue_many.html", context)


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
    context = {"at": "mentions", "rows": mentions_of(request.user)}
    return show(request, "console/mentions.html", context, partial="list")


@for_staff
def silence(request: PersonRequest) -> HttpResponse:
    context = {"at": "silence", "rows": suppressions()[:200]}
    return show(request, "console/silence.html", context, partial="list")


@for_staff
def silence_add(request: PersonRequest) -> HttpResponse:
    form = SuppressionForm(request.POST or None, clients=Tenant.objects.all())
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        tenant, end = access_client(said.pop("client")), until(said.pop("hours"))
        add_suppression(tenant=tenant, actor=request.user, ends_at=end, **said)
        messages.success(request, "Incidents that fit open quietly from now on.")
        return redirect("silence")
    return ask(request, "console/silence_add.html", {"form": form})


@require_POST
@for_staff
def silence_remove(request: PersonRequest, suppression_id: UUID) -> HttpResponse:
    rule = access_one(Suppression.objects.all(), suppression_id)
    remove_suppression(rule=rule, actor=request.user)
    return redirect("silence")


@for_staff
def templates(request: PersonRequest) -> HttpResponse:
    form = TemplateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        save_template(
            provider_id=request.user.provider_id,
            kind=form.cleaned_data["kind"],
            steps=form.cleaned_data["steps"].splitlines(),
            actor=request.user,
        )
        return redirect("templates")
    context = {"at": "templates", "rows": latest_templates(), "form": form}
    return show(request, "console/templates.html", context)
