"""``/api/v1/``.  Every address works with and without its last slash."""

from __future__ import annotations

from django.urls import URLPattern, re_path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.views import APIView

from console.api import incidents, layers, ledger, mail, root, together, work

_ID = r"(?P<object_id>[0-9a-fA-F-]{36})"


def _at(address: str, view: type[APIView], name: str) -> URLPattern:
    return re_path(rf"^{address}/?$", view.as_view(), name=f"api-{name}")


urlpatterns = [
    re_path(r"^$", root.ApiRoot.as_view(), name="api-root"),
    _at("schema", SpectacularAPIView, "schema"),
    _at("tenants", work.ClientList, "tenants"),
    _at(r"tenants/(?P<slug>[-\w]+)", work.ClientDetail, "tenant"),
    _at("incidents", incidents.IncidentList, "incidents"),
    _at(f"incidents/{_ID}", incidents.IncidentDetail, "incident"),
    _at(f"incidents/{_ID}/story", incidents.IncidentStory, "incident-story"),
    _at(f"incidents/{_ID}/pull", incidents.PullIncident, "incident-pull"),
    _at(f"incidents/{_ID}/restore", incidents.RestoreIncident, "incident-restore"),
    _at(f"incidents/{_ID}/report", incidents.ReportIncident, "incident-report"),
    _at(f"incidents/{_ID}/take", incidents.TakeIncident, "incident-take"),
    _at(f"incidents/{_ID}/share", incidents.ShareIncident, "incident-share"),
    _at(f"incidents/{_ID}/resolve", incidents.ResolveIncident, "incident-resolve"),
    _at(f"incidents/{_ID}/reopen", incidents.ReopenIncident, "incident-reopen"),
    _at(f"incidents/{_ID}/together", together.IncidentTogether, "incident-together"),
    _at(f"incidents/{_ID}/merge", together.MergeIncident, "incident-merge"),
    _at(f"incidents/{_ID}/split", together.SplitIncident, "incident-split"),
    _at(f"incidents/{_ID}/move", together.MoveMessages, "incident-move"),
    _at(f"incidents/{_ID}/join-campaign", together.JoinCampaign, "incident-join-campaign"),
    _at(f"incidents/{_ID}/leave-campaign", together.LeaveCampaign, "incident-leave-campaign"),
    _at(f"regroupings/{_ID}/undo", together.UndoRegrouping, "regrouping-undo"),
    _at("messages", mail.MessageList, "messages"),
    _at(f"messages/{_ID}", mail.MessageDetail, "message"),
    _at(f"messages/{_ID}/original", mail.MessageOriginal, "message-original"),
    _at(f"messages/{_ID}/acquire", mail.AcquireMessage, "message-acquire"),
    _at(f"messages/{_ID}/report", mail.ReportMessage, "message-report"),
    _at("deliveries", mail.DeliveryList, "deliveries"),
    _at(f"deliveries/{_ID}", mail.DeliveryDetail, "delivery"),
    _at("observations", mail.ObservationList, "observations"),
    _at(f"observations/{_ID}", mail.ObservationDetail, "observation"),
    _at("held", mail.HeldList, "held"),
    _at(f"held/{_ID}", mail.HeldDetail, "held-mail"),
    _at(f"held/{_ID}/release", mail.ReleaseHeld, "held-release"),
    _at(f"held/{_ID}/same-rule", mail.HeldBySameRule, "held-same-rule"),
    _at("accesses", mail.ContentAccessList, "accesses"),
    _at("actions", work.ActionList, "actions"),
    _at(f"actions/{_ID}", work.ActionDetail, "action"),
    _at("jobs", work.JobList, "jobs"),
    _at(f"jobs/{_ID}", work.JobDetail, "job"),
    _at("reports", work.ReportList, "reports"),
    _at(f"reports/{_ID}", work.ReportDetail, "report"),
    _at(f"reports/{_ID}/(?P<kind>pdf|csv)", work.ReportFile, "report-file"),
    _at("gateway-rules", work.GatewayRuleList, "gateway-rules"),
    _at(f"gateway-rules/{_ID}", work.GatewayRuleDetail, "gateway-rule"),
    _at(f"gateway-rules/{_ID}/remove", work.RemoveGatewayRule, "gateway-rule-remove"),
    _at("ledger", ledger.Ledger, "ledger"),
    _at(r"ledger/(?P<figure>[a-z_]+)", ledger.LedgerFigure, "ledger-figure"),
    _at(r"tenants/(?P<slug>[-\w]+)/late-verdicts", layers.ClientLateVerdicts, "late-verdicts"),
    _at("disagreements", layers.DisagreementList, "disagreements"),
    _at(f"disagreements/{_ID}", layers.DisagreementDetail, "disagreement"),
    _at(f"disagreements/{_ID}/rehearse", layers.RehearseDisagreement, "disagreement-rehearse"),
    _at(f"disagreements/{_ID}/accept", layers.AcceptDisagreement, "disagreement-accept"),
    _at(f"disagreements/{_ID}/dismiss", layers.DismissDisagreement, "disagreement-dismiss"),
    _at("rehearsals", layers.RehearsalList, "rehearsals"),
    _at(f"rehearsals/{_ID}", layers.RehearsalDetail, "rehearsal"),
    _at(f"rehearsals/{_ID}/save", layers.SaveRehearsal, "rehearsal-save"),
    _at(f"rehearsals/{_ID}/list/(?P<name>[a-z_]+)", layers.RehearsalNumber, "rehearsal-list"),
    _at("standing-orders", layers.StandingOrderList, "standing-orders"),
    _at(f"standing-orders/{_ID}", layers.StandingOrderDetail, "standing-order"),
    _at(f"standing-orders/{_ID}/withdraw", layers.WithdrawStandingOrder, "order-withdraw"),
    re_path(r"^.*$", root.NoSuchResource.as_view(), name="api-nothing"),
]
