from django.apps import AppConfig
from typing_extensions import override

from incidents.layers import register_gateway_layer, register_sight
from tenants.work import register_queue


class SegBridgeConfig(AppConfig):
    name = "seg_bridge"

    @override
    def ready(self) -> None:
        from seg_bridge.layer import Gateway
        from seg_bridge.sight import gateway_blindness

        register_gateway_layer(Gateway())
        register_sight(gateway_blindness)
        register_queue("policy", "seg_bridge.policies.push.serve_policies")
        register_queue("outbound", "seg_bridge.outbound.serving.serve_outbound")
