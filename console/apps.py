from django.apps import AppConfig
from typing_extensions import override


class ConsoleConfig(AppConfig):
    name = "console"

    @override
    def ready(self) -> None:
        """Make the broker known to this process, so that services can ring."""
        import console.celery  # noqa: F401
