from django.apps import AppConfig
from typing_extensions import override

from incidents.layers import (
    register_acting,
    register_catching_up,
    register_condemned,
    register_mailbox_layer,
    register_sight,
)
from tenants.standstill import register_waiting
from tenants.work import register_queue


class ApiBridgeConfig(AppConfig):
    name = "api_bridge"

    @override
    def ready(self) -> None:
        from api_bridge.accounts.called_off import call_off_steps
        from api_bridge.accounts.forgetting import forget_settings, forget_sign_ins
        from api_bridge.accounts.telling import MailboxLayerTeller
        from api_bridge.again.due import wake_for
        from api_bridge.layer import ConnectedMailboxLayer  # models are not ready before
        from api_bridge.scanback.document import build_found
        from api_bridge.sight import is_catching_up, mailbox_blindness, why_not_acting
        from incidents.account_told import register_account_teller
        from incidents.forgetting import SETTINGS, SIGN_INS, register_forgetting
        from incidents.reports.builders import register_report

        register_forgetting(SIGN_INS, forget_sign_ins)
        register_forgetting(SETTINGS, forget_settings)

        register_queue("sync", "api_bridge.sync.serve_sync")
        register_queue("access", "api_bridge.access.work.serve_access")
        register_queue("lookback", "api_bridge.scanback.work.serve_lookback")
        register_queue("nightly", "api_bridge.nightly.work.serve_nightly")
        register_report("found_in_mailboxes", build_found)
        register_queue("again", "api_bridge.again.work.serve_again")
        register_condemned(wake_for)
        register_queue("accounts", "api_bridge.accounts.work.serve_accounts")
        register_waiting("steps on accounts", call_off_steps)
        register_account_teller(MailboxLayerTeller())
        register_mailbox_layer(ConnectedMailboxLayer())
        register_sight(mailbox_blindness)
        register_acting(why_not_acting)
        register_catching_up(is_catching_up)
