from django.apps import AppConfig
from typing_extensions import override

from tenants.work import register_queue


class IncidentsConfig(AppConfig):
    name = "incidents"

    @override
    def ready(self) -> None:
        from incidents.arrived import has_arrived
        from incidents.called_off import call_off_intents
        from incidents.forgetting import (
            REPORTS,
            SIGNS,
            forget_reports,
            forget_signs,
            register_forgetting,
        )
        from incidents.modes import govern_some
        from incidents.own_notices import sealer_for
        from tenants.directory import register_governing
        from tenants.outbox import register_look_up, register_sealer
        from tenants.standstill import register_waiting

        register_waiting("actions on copies", call_off_intents)
        register_governing(govern_some)
        register_forgetting(SIGNS, forget_signs)
        register_forgetting(REPORTS, forget_reports)
        register_look_up(has_arrived)
        register_sealer(sealer_for)
        register_queue("intake", "incidents.correlation.serve_intake")
        register_queue("report", "incidents.reports.serve_reports")
        register_queue("remediate", "incidents.execution.serve_remediation")
        register_queue("regroup", "incidents.campaigns.nightly.serve_regroup")
        register_queue("ledger", "incidents.ledger.nights.serve_ledger")
        register_queue("look", "incidents.looks.serve_looks")
        register_queue("respond", "incidents.automation.serve_responses")
        register_queue("compare", "incidents.interference.hourly.serve_compare")
        register_queue("reported", "incidents.userreports.placing.serve_reported")
