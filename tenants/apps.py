from django.apps import AppConfig
from typing_extensions import override

from tenants import lookups  # noqa: F401 - registers any_of
from tenants.work import register_queue


class TenantsConfig(AppConfig):
    name = "tenants"

    @override
    def ready(self) -> None:
        from tenants.outbox import call_off_mail  # models are not ready before
        from tenants.standstill import register_waiting

        register_waiting("mails to people", call_off_mail)
        register_queue("notify", "tenants.outbox.serve_outbox")
