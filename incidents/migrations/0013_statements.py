import django.db.models.deletion
from django.db import migrations, models
from django.db.migrations.operations import RunSQL

_OF_SHARED = "incident_id IN (SELECT id FROM incidents_incident)"


def _portal_sees(predicate: str) -> list[str]:
    return [
        "DROP POLICY portal_sees ON incidents_report",
        "CREATE POLICY portal_sees ON incidents_report AS RESTRICTIVE FOR ALL TO c_portal"
        f" USING ({predicate}) WITH CHECK (false)",
    ]


class Migration(migrations.Migration):
    """Reports of a client's agreed times, beside those of incidents; an incident's subject."""

    dependencies = [
        ("incidents", "0012_mail_traits"),
        ("tenants", "0004_body_access"),
    ]

    operations = [
        migrations.AddField(
            model_name="report",
            name="kind",
            field=models.CharField(
                choices=[("incident", "Incident"), ("agreed_times", "Agreed times")],
                default="incident",
                max_length=20,
            ),
        ),
        migrations.AddField(
            model_name="report", name="since", field=models.DateTimeField(null=True)
        ),
        migrations.AddField(
            model_name="report", name="until", field=models.DateTimeField(null=True)
        ),
        migrations.AlterField(
            model_name="report",
            name="incident",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="reports",
                to="incidents.incident",
            ),
        ),
        migrations.AddIndex(
            model_name="report",
            index=models.Index(fields=["tenant", "kind", "-created_at"], name="report_kind"),
        ),
        migrations.AddConstraint(
            model_name="report",
            constraint=models.CheckConstraint(
                condition=models.Q(kind="incident", incident__isnull=False)
                | models.Q(kind="agreed_times", incident=None, since__lt=models.F("until")),
                name="report_of_one_thing",
            ),
        ),
        migrations.AddField(
            model_name="incident",
            name="subject",
            field=models.CharField(blank=True, db_default="", default="", max_length=300),
        ),
        RunSQL(
            _portal_sees(f"audience = 'client' AND (incident_id IS NULL OR {_OF_SHARED})"),
            _portal_sees(f"audience = 'client' AND {_OF_SHARED}"),
        ),
        # A title was "Kind: subject". It becomes a sentence when the incident is looked at next.
        RunSQL(
            [
                "SET LOCAL ROLE janitor",
                "UPDATE incidents_incident SET subject = regexp_replace(title, '^[A-Z][a-z ]+: ', '')",
                "RESET ROLE",
            ],
            RunSQL.noop,
        ),
    ]
