from django.apps import AppConfig
from typing_extensions import override

from incidents.layers import register_gateway_layer
from tenants.work import register_queue


class SegBridgeConfig(AppConfig):
    name = "seg_bridge"

    @override
    def ready(self) -> None:
        from seg_bridge.layer import Gateway

        register_gateway_layer(Gateway())
        register_queue("policy", "seg_bridge.services.retire_expired_rules")
