from django.apps import AppConfig
from typing_extensions import override

from tenants.work import register_queue


class ApiBridgeConfig(AppConfig):
    name = "api_bridge"

    @override
    def ready(self) -> None:
        register_queue("sync", "api_bridge.sync.serve_sync")
