"""Looking back over a client's older mail: start it, watch it, stop it, act on what it found."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from api_bridge.scanback import services
from api_bridge.scanback.document import ask_found
from api_bridge.scanback.pulling import pull_findings, rehearse_pull
from console.lib.http import PersonRequest, ask, for_staff, said, show
from console.lib.scan_back_forms import FoundReportForm, PullFoundForm, ScanBackForm
from console.lib.steps import saved
from console.queries.scan_back import access_run, found_page, scan_back_page
from incidents.access import access_client
from tenants.errors import WrongInput
from tenants.ids import as_uuid
from tenants.people import must_lead


@for_staff
def scan_back(request: PersonRequest, slug: str) -> HttpResponse:
    page = scan_back_page(access_client(slug), as_uuid(said(request, "run")))
    return show(request, "console/scan_back.html", {"at": "clients", "page": page}, partial="run")


@for_staff
def scan_back_new(request: PersonRequest, slug: str) -> HttpResponse:
    client = access_client(slug)
    must_lead(request.user, services.LEADS)
    form = ScanBackForm(request.POST or None)

    def start() -> None:
        services.start_scan_back(tenant=client, actor=request.user, **form.wish())

    if saved(request, form, start):
        return redirect("scan_back", slug)
    return ask(request, "console/scan_back_new.html", {"client": client, "form": form})


@require_POST
@for_staff
def scan_back_stop(request: PersonRequest, run_id: UUID) -> HttpResponse:
    run = access_run(run_id)
    services.stop_scan_back(run=run, actor=request.user)
    messages.success(request, "It stops after the page that is being read. What was found stays.")
    return redirect("scan_back", run.tenant.slug)


@require_POST
@for_staff
def scan_back_go_on(request: PersonRequest, run_id: UUID) -> HttpResponse:
    run = access_run(run_id)
    services.go_on(run=run, actor=request.user)
    messages.success(request, "It goes on where it stood.")
    return redirect("scan_back", run.tenant.slug)


@for_staff
def scan_back_list(request: PersonRequest, run_id: UUID, figure: str) -> HttpResponse:
    page = found_page(access_run(run_id), figure)
    return show(request, "console/scan_back_list.html", {"at": "clients", "page": page})


@for_staff
def scan_back_pull(request: PersonRequest, run_id: UUID) -> HttpResponse:
    """The rehearsal stands on the question; what is answered is that, or it is asked again."""
    run = access_run(run_id)
    rehearsed = rehearse_pull(run)
    form = PullFoundForm(request.POST or None, initial={"digest": rehearsed.digest})
    started: list[UUID] = []

    def pull() -> None:
        started.append(pull_findings(run=run, actor=request.user, **form.cleaned_data))

    if saved(request, form, pull):
        return redirect("job_group", started[0])
    context = {"run": run, "client": run.tenant, "rehearsed": rehearsed, "form": form}
    return ask(request, "console/scan_back_pull.html", context)


@require_POST
@for_staff
def scan_back_report(request: PersonRequest, run_id: UUID) -> HttpResponse:
    run = access_run(run_id)
    form = FoundReportForm(request.POST)
    if not form.is_valid():
        raise WrongInput("A report is for the client or internal.")
    job = ask_found(run=run, actor=request.user, audience=form.cleaned_data["audience"])
    messages.success(request, "The report is being made. Its files appear on this page.")
    return redirect("job", job.id)
