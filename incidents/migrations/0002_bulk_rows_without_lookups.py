import django.db.models.deletion
from django.db import migrations, models
from django.db.migrations.operations import RunSQL


class Migration(migrations.Migration):
    """A foreign key is checked row by row, which cost a third of intake.

    The client exists nevertheless: every batch writes its row in the table of work, and that row
    has the key.
    """

    dependencies = [
        ("incidents", "0001_initial"),
    ]

    operations = [
        RunSQL(
            "ALTER TABLE incidents_observation"
            " DROP CONSTRAINT incidents_observation_tenant_id_fkey",
            "ALTER TABLE incidents_observation ADD CONSTRAINT"
            " incidents_observation_tenant_id_fkey FOREIGN KEY (tenant_id)"
            " REFERENCES tenants_tenant (id)",
        ),
        migrations.AlterField(
            model_name="backlog",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
    ]
