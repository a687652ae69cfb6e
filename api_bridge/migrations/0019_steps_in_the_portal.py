"""The portal reads which steps were taken on an account of a shared incident, and how each ended.

What they were taken against, what the mail host said, and what was kept stay the provider's.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from tenants.rls import AddPortalSees

SHOWN = "id, tenant_id, incident_id, mailbox_id, kind, state, asked_by, asked_at, finished_at"
SHOWN += ", undoes_id"


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("api_bridge", "0018_nightly"),
        ("incidents", "0033_signs_in_the_portal"),
    ]

    operations: ClassVar = [
        AddPortalSees(
            "api_bridge_accountstep", "incident_id IN (SELECT id FROM incidents_incident)"
        ),
        migrations.RunSQL(
            f"GRANT SELECT ({SHOWN}) ON api_bridge_accountstep TO c_portal",
            f"REVOKE SELECT ({SHOWN}) ON api_bridge_accountstep FROM c_portal",
        ),
    ]
