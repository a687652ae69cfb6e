"""The ticket of an incident in the provider's help desk."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("incidents", "0033_signs_in_the_portal")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="incident",
            name="ticket",
            field=models.CharField(blank=True, db_default="", default="", max_length=80),
        ),
        migrations.AddField(
            model_name="incident",
            name="ticket_link",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(
                fields=["tenant", "ticket"],
                name="incident_ticket",
                condition=~models.Q(ticket=""),
            ),
        ),
    ]
