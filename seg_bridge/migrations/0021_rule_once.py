"""One entry in force says one thing once; of two that say the same the one that lasts longer stays."""

from typing import ClassVar

from django.db import migrations, models

PAST = """
UPDATE seg_bridge_gatewayrule SET removed_at = now()
 WHERE removed_at IS NULL AND expires_at <= now()
"""
SECONDS = """
UPDATE seg_bridge_gatewayrule SET removed_at = now()
 WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (
            PARTITION BY tenant_id, provider_id, group_id, kind, match, value, recipient,
                         mailbox_group_id
            ORDER BY expires_at DESC NULLS FIRST, created_at, id
        ) AS number
          FROM seg_bridge_gatewayrule WHERE removed_at IS NULL
    ) AS counted
    WHERE number > 1
 )
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("seg_bridge", "0020_directory_groups")]

    operations: ClassVar = [
        migrations.RunSQL(
            [
                "SET LOCAL ROLE janitor",
                PAST,
                SECONDS,
                "RESET ROLE",
                "SET CONSTRAINTS ALL IMMEDIATE",
            ],
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name="gatewayrule",
            constraint=models.UniqueConstraint(
                condition=models.Q(("removed_at__isnull", True)),
                fields=(
                    "tenant",
                    "provider",
                    "group",
                    "kind",
                    "match",
                    "value",
                    "recipient",
                    "mailbox_group",
                ),
                name="rule_once",
                nulls_distinct=False,
            ),
        ),
    ]
