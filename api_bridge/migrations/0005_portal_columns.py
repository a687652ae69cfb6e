from django.db import migrations
from django.db.migrations.operations import RunSQL

SHOWN = "id, tenant_id, kind, state, blind_since, last_ok_at, mailboxes_listed_at, created_at"


class Migration(migrations.Migration):
    """The portal says how a connection stands; its sealed secrets and addresses are not its own."""

    dependencies = [
        ("api_bridge", "0004_watch"),
    ]

    operations = [
        RunSQL(
            [
                "REVOKE SELECT ON api_bridge_connection FROM c_portal",
                f"GRANT SELECT ({SHOWN}) ON api_bridge_connection TO c_portal",
            ],
            [
                f"REVOKE SELECT ({SHOWN}) ON api_bridge_connection FROM c_portal",
                "GRANT SELECT ON api_bridge_connection TO c_portal",
            ],
        ),
    ]
