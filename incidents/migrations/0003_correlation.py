from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models
from django.db.migrations.operations import RunSQL

from tenants.rls import AddTenantForeignKey, AddTenantPolicy

IMPLIED = (
    ("incidents_delivery", "incidents_delivery_tenant_id_75e97662_fk_tenants_tenant_id"),
    ("incidents_sighting", "incidents_sighting_tenant_id_a70bb665_fk_tenants_tenant_id"),
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("incidents", "0002_bulk_rows_without_lookups")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="TraitCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "kind",
                        "value",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("kind", models.CharField(max_length=20)),
                ("value", models.CharField(blank=True, max_length=64)),
                ("messages", models.PositiveBigIntegerField()),
                ("first_seen_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={"abstract": False, "base_manager_name": "objects"},
        ),
        # The key to a message, or to a delivery, of the same client holds the client as well.
        *(
            RunSQL(
                f"ALTER TABLE {table} DROP CONSTRAINT {name}",
                f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (tenant_id)"
                " REFERENCES tenants_tenant (id) DEFERRABLE INITIALLY DEFERRED",
            )
            for table, name in IMPLIED
        ),
        # Counts of common values are written with every batch: room for them on their own page.
        RunSQL(
            "ALTER TABLE incidents_traitcount SET (fillfactor = 80)",
            "ALTER TABLE incidents_traitcount RESET (fillfactor)",
        ),
        AddTenantPolicy("incidents_traitcount", portal=()),
        migrations.AddField(
            model_name="message",
            name="same_as",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="incidents.message",
            ),
        ),
        AddTenantForeignKey("incidents_message", "same_as_id", "incidents_message"),
        migrations.RemoveIndex(model_name="message", name="message_tenant_message_id"),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                fields=["tenant", "internet_message_id", "first_seen_at"], name="message_by_id"
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("gateway_at__isnull", False), ("mailbox_item_id", "")),
                fields=["tenant", "recipient", "received_at"],
                name="delivery_unclaimed",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(
                    ("direction", "inbound"), ("gateway_at__isnull", True), ("match", "one_layer")
                ),
                fields=["tenant", "recipient", "received_at"],
                name="delivery_alone",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("match__in", ["weak", "ambiguous"])),
                fields=["tenant", "recipient", "received_at"],
                name="delivery_doubtful",
            ),
        ),
    ]
