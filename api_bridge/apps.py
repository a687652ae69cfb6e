from django.apps import AppConfig
from typing_extensions import override

from incidents.layers import register_acting, register_mailbox_layer, register_sight
from tenants.work import register_queue


class ApiBridgeConfig(AppConfig):
    name = "api_bridge"

    @override
    def ready(self) -> None:
        from api_bridge.layer import ConnectedMailboxLayer  # models are not ready before
        from api_bridge.sight import mailbox_blindness, why_not_acting

        register_queue("sync", "api_bridge.sync.serve_sync")
        register_queue("access", "api_bridge.access.work.serve_access")
        register_queue("accounts", "api_bridge.accounts.work.serve_accounts")
        register_mailbox_layer(ConnectedMailboxLayer())
        register_sight(mailbox_blindness)
        register_acting(why_not_acting)
