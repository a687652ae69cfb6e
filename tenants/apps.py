from django.apps import AppConfig
from typing_extensions import override

from tenants import lookups  # noqa: F401 - registers any_of
from tenants.work import register_queue


class TenantsConfig(AppConfig):
    name = "tenants"

    @override
    def ready(self) -> None:
        register_queue("notify", "tenants.outbox.serve_outbox")
