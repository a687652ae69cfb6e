from django.apps import AppConfig
from typing_extensions import override

from incidents.account_told import register_sending_teller
from incidents.layers import register_gateway_layer, register_sight
from tenants.directory import register_governing
from tenants.standstill import register_numbers, register_waiting
from tenants.work import register_queue


class SegBridgeConfig(AppConfig):
    name = "seg_bridge"

    @override
    def ready(self) -> None:
        from seg_bridge.called_off import (
            call_off_commands,
            call_off_pushes,
            call_off_trials,
            go_on_numbering,
            leave_wishes_to_people,
        )
        from seg_bridge.directory_groups import groups_at_the_gate
        from seg_bridge.held.digest import pass_over_due
        from seg_bridge.layer import Gateway
        from seg_bridge.outbound.telling import GatewayTeller
        from seg_bridge.sight import gateway_blindness

        register_waiting("commands to gates", call_off_commands)
        register_waiting("changes of policies for many", call_off_pushes)
        register_waiting("test mails", call_off_trials)
        register_waiting("wishes for held mail (left to people)", leave_wishes_to_people)
        register_waiting("digests", pass_over_due)
        register_numbers(go_on_numbering)
        register_gateway_layer(Gateway())
        register_governing(groups_at_the_gate)
        register_sight(gateway_blindness)
        register_sending_teller(GatewayTeller())
        register_queue("held", "seg_bridge.held.requests.serve_requests")
        register_queue("digest", "seg_bridge.held.digest.serve_digests")
        register_queue("retain", "seg_bridge.held.retention.serve_retention")
        register_queue("policy", "seg_bridge.policies.push.serve_policies")
        register_queue("onboard", "seg_bridge.onboarding.work.serve_onboarding")
        register_queue("outbound", "seg_bridge.outbound.serving.serve_outbound")
