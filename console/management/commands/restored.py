"""After a restore: says whether Bailey stands still, and lets it act again.

manage.py restored               says how it is; changes nothing
manage.py restored --call-off    a backup was restored: what waits in it is called off
manage.py restored --go-on       nothing was restored (a new host, a lost disk): what waits goes on
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone
from typing_extensions import override

from tenants.standstill import begin_again, standstill


class Command(BaseCommand):
    help = "After a restore: says whether Bailey stands still, and lets it act again."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        answer = parser.add_mutually_exclusive_group()
        answer.add_argument("--call-off", action="store_true", help="what waits is called off")
        answer.add_argument("--go-on", action="store_true", help="what waits is carried out")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if not options["call_off"] and not options["go_on"]:
            self.stdout.write(_how_it_is())
            return
        counted = begin_again(timezone.now(), is_called_off=options["call_off"])
        for words, count in counted.items():
            if count:
                self.stdout.write(f"{count} {words} called off")
        self.stdout.write("Bailey acts again within seconds.")
        if options["call_off"]:
            self.stdout.write(
                "Policies, entries, modes and standing orders are those of the backup: look whether"
                " they are what you want."
            )


def _how_it_is() -> str:
    found = standstill()
    if found is None:
        return "Bailey acts: it knows of nothing newer than its database."
    why = (
        "its database is older than what was done from it"
        if found.is_older
        else "neither this host nor the broker knows its database"
    )
    return (
        f"Bailey stands still since {found.since:%Y-%m-%d %H:%M:%S %Z}: {why}.\n"
        "A backup was restored: manage.py restored --call-off\n"
        "Nothing was restored (another host, a lost disk): manage.py restored --go-on"
    )
