import django.db.models.deletion
from django.db import migrations, models

import tenants.ids
from tenants.rls import AddDoor, AddTenantForeignKey, AddTenantPolicy

# "Also seen at n other organisations": how many other clients of the same provider had the same
# threat in the last 30 days, 0 below three.  Only for an incident of the asking scope, and for the
# portal only for a shared one; who they are is never said.  An own word for the asking client:
# "found" is taken in plpgsql.
ALSO_SEEN = """
DECLARE
    asking bigint;
    provider bigint;
    others integer;
BEGIN
    SELECT i.tenant_id, t.provider_id INTO asking, provider
    FROM incidents_incident i JOIN tenants_tenant t ON t.id = i.tenant_id
    WHERE i.id = p_incident AND t.shares_warnings
        AND i.tenant_id = ANY (
            string_to_array(nullif(current_setting('app.tenant_ids', true), ''), ',')::bigint[])
        AND (i.shared_at IS NOT NULL OR current_setting('role') <> 'c_portal');
    IF asking IS NULL THEN
        RETURN 0;
    END IF;
    SELECT count(DISTINCT theirs.tenant_id) INTO others
    FROM incidents_incidentmessage m
    JOIN incidents_warningmark ours ON ours.tenant_id = m.tenant_id
        AND ours.message_id = m.message_id
    JOIN incidents_warningmark theirs ON theirs.mark = ours.mark
        AND theirs.tenant_id <> asking AND theirs.last_seen_at > now() - interval '30 days'
    -- What turned out harmless there is no warning.
    JOIN incidents_ledgerentry e ON e.message_id = theirs.message_id
        AND e.counted_as NOT LIKE 'false%' AND e.counted_as <> 'benign'
    JOIN tenants_tenant t ON t.id = theirs.tenant_id AND t.shares_warnings
        AND t.provider_id = provider
    WHERE m.tenant_id = asking AND m.incident_id = p_incident;
    RETURN CASE WHEN others >= 3 THEN others ELSE 0 END;
END
"""


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0005_disagreements"),
        ("tenants", "0002_warnings"),
    ]

    operations = [
        migrations.CreateModel(
            name="LedgerDay",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=tenants.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("day", models.DateField()),
                ("counted_as", models.CharField(max_length=40)),
                ("mails", models.IntegerField()),
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
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(
                        fields=["tenant", "day", "counted_as"],
                        include=("mails",),
                        name="ledger_day_sums",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="LedgerEntry",
            fields=[
                (
                    "message",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="ledger_entry",
                        serialize=False,
                        to="incidents.message",
                    ),
                ),
                ("counted_as", models.CharField(max_length=40)),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("clean", "Clean"),
                            ("graymail", "Graymail"),
                            ("spam", "Spam"),
                            ("phish", "Phishing"),
                            ("bec", "Fraud"),
                            ("malware", "Malware"),
                            ("suspicious", "Suspicious"),
                            ("unscannable", "Unscannable"),
                        ],
                        max_length=12,
                    ),
                ),
                ("seen_at", models.DateTimeField()),
                ("gateway_at", models.DateTimeField(null=True)),
                ("mailbox_at", models.DateTimeField(null=True)),
                ("person_at", models.DateTimeField(null=True)),
                ("vendor_at", models.DateTimeField(null=True)),
                ("lag_s", models.FloatField(null=True)),
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
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["tenant", "-seen_at"], name="ledger_tenant_seen"),
                    models.Index(fields=["counted_as", "-message"], name="ledger_figure_list"),
                ],
            },
        ),
        migrations.CreateModel(
            name="WarningMark",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=tenants.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("mark", models.CharField(max_length=64)),
                ("last_seen_at", models.DateTimeField()),
                (
                    "message",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="incidents.message",
                    ),
                ),
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
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["mark", "-last_seen_at"], name="warning_mark_seen")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "message", "mark"), name="warning_mark_once"
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(
                condition=models.Q(("lag_s__isnull", False)),
                fields=["seen_at"],
                include=("tenant", "counted_as", "lag_s"),
                name="ledger_lags",
            ),
        ),
        # What the pages of a large installation need (tests/bench/pages.py).
        migrations.RemoveIndex(model_name="incident", name="incident_open_tenant"),
        migrations.AddIndex(
            model_name="groupkey",
            index=models.Index(
                fields=["value"], include=("kind", "tenant", "incident"), name="group_key_value"
            ),
        ),
        migrations.RemoveIndex(model_name="delivery", name="delivery_tenant_received"),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                fields=["tenant", "-received_at"],
                include=("outcome",),
                name="delivery_tenant_received",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["-received_at", "-id"], name="delivery_received"),
        ),
        AddTenantPolicy("incidents_ledgerentry"),
        AddTenantPolicy("incidents_ledgerday"),
        AddTenantPolicy("incidents_warningmark", portal=()),
        AddTenantForeignKey("incidents_ledgerentry", "message_id", "incidents_message"),
        AddTenantForeignKey("incidents_warningmark", "message_id", "incidents_message"),
        AddDoor(
            "door_also_seen(p_incident uuid)",
            "integer",
            ALSO_SEEN,
            callers="c_analyst, c_portal",
        ),
    ]
