"""The portal reads when a stop of a shared incident's account was lifted, and by whom.

Why it was lifted, the gate's words and its evidence stay the provider's.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from tenants.rls import AddPortalSees

SHOWN = "id, tenant_id, incident_id, mailbox, stopped_at, lifted_at, lifted_by"


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("seg_bridge", "0021_rule_once"),
        ("incidents", "0033_signs_in_the_portal"),
    ]

    operations: ClassVar = [
        AddPortalSees(
            "seg_bridge_senderstop", "incident_id IN (SELECT id FROM incidents_incident)"
        ),
        migrations.RunSQL(
            f"GRANT SELECT ({SHOWN}) ON seg_bridge_senderstop TO c_portal",
            f"REVOKE SELECT ({SHOWN}) ON seg_bridge_senderstop FROM c_portal",
        ),
    ]
