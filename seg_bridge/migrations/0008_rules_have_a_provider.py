from django.db import migrations, models

FILL = """
UPDATE seg_bridge_gatewayrule AS rule
   SET provider_id = tenant.provider_id,
       no_end_because = CASE WHEN rule.expires_at IS NULL
                             THEN 'It had none when ends became the rule' ELSE '' END
  FROM tenants_tenant AS tenant WHERE tenant.id = rule.tenant_id
"""


class Migration(migrations.Migration):
    """Whose the entries are that were there before."""

    dependencies = [
        ("seg_bridge", "0007_rule_scopes"),
    ]

    operations = [
        migrations.RunSQL(
            ["SET LOCAL ROLE janitor", FILL, "RESET ROLE", "SET CONSTRAINTS ALL IMMEDIATE"],
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(
            model_name="gatewayrule",
            name="provider",
            field=models.ForeignKey(
                on_delete=models.deletion.PROTECT, related_name="+", to="tenants.provider"
            ),
        ),
    ]
