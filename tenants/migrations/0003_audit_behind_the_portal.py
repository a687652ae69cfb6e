from django.db import migrations
from django.db.migrations.operations import RunSQL


class Migration(migrations.Migration):
    """The log tells what the provider's people said and did among themselves.

    What a client may know of it stands elsewhere: who opened its mail, shared incidents, reports.
    """

    dependencies = [
        ("tenants", "0002_warnings"),
    ]

    operations = [
        RunSQL(
            "REVOKE SELECT ON tenants_auditentry FROM c_portal",
            "GRANT SELECT ON tenants_auditentry TO c_portal",
        ),
    ]
