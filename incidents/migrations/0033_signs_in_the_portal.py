"""The portal reads which signs of an account a shared incident stands on, and nothing else of them.

What the mail host has on record (``words``, ``raw``), what it weighs and where it was read stay the
provider's.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from tenants.rls import AddPortalSees

SHOWN = "id, tenant_id, incident_id, mailbox, code, at"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("incidents", "0032_link_opened")]

    operations: ClassVar = [
        AddPortalSees(
            "incidents_accountsign", "incident_id IN (SELECT id FROM incidents_incident)"
        ),
        migrations.RunSQL(
            f"GRANT SELECT ({SHOWN}) ON incidents_accountsign TO c_portal",
            f"REVOKE SELECT ({SHOWN}) ON incidents_accountsign FROM c_portal",
        ),
    ]
