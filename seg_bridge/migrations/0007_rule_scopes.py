import django.db.models.deletion
from django.db import migrations, models

# Rows without a client belong to the provider's staff: the same policy as the table had, and that.
_SCOPE = (
    "tenant_id = ANY((SELECT string_to_array(nullif(current_setting('app.tenant_ids', true), ''),"
    " ',')::bigint[])::bigint[])"
)
_PROVIDER = "(SELECT nullif(current_setting('app.provider_id', true), '')::bigint)"
_BOTH = f"{_SCOPE} OR (tenant_id IS NULL AND provider_id = {_PROVIDER})"
_ALTER = "ALTER POLICY tenant_scope ON seg_bridge_gatewayrule USING ({0}) WITH CHECK ({0})"


class Migration(migrations.Migration):
    """Entries for all clients of a provider, for domains, and by who signed a mail."""

    dependencies = [
        ("seg_bridge", "0006_policy_push"),
    ]

    operations = [
        migrations.AddField(
            model_name="gatewayrule",
            name="provider",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.provider",
            ),
        ),
        migrations.AddField(
            model_name="gatewayrule",
            name="no_end_because",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AlterField(
            model_name="gatewayrule",
            name="tenant",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AlterField(
            model_name="gatewayrule",
            name="match",
            field=models.CharField(
                choices=[
                    ("sender", "Sender"),
                    ("sender_domain", "Sender's domain"),
                    ("dkim_domain", "Domain that signed it (DKIM)"),
                    ("client_ip", "Sending host"),
                    ("url_host", "Host of a link"),
                    ("attachment_sha256", "Attachment"),
                ],
                max_length=20,
            ),
        ),
        migrations.RunSQL(_ALTER.format(_BOTH), _ALTER.format(_SCOPE)),
    ]
