from django.db import migrations

from tenants.rls import AddDoor


class Migration(migrations.Migration):
    """The portal may know since when its gateway is silent, and nothing else of the gates."""

    dependencies = [
        ("seg_bridge", "0002_rehearsal"),
    ]

    operations = [
        AddDoor(
            "door_gateway_spoke()",
            "jsonb",
            """
BEGIN
    RETURN (SELECT to_jsonb(max(coalesce(gate.last_seen_at, gate.created_at)))
              FROM seg_bridge_gateclient AS link
              JOIN seg_bridge_gate AS gate ON gate.id = link.gate_id
             WHERE link.tenant_id = nullif(current_setting('app.tenant_ids', true), '')::bigint);
END
""",
            callers="c_portal",
        ),
    ]
