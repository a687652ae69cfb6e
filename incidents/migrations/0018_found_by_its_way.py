from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.rls import AddDoor

# Row security keeps JSON operators from an index for whoever it holds for: this door filters by the
# scope's clients itself, and names copies of theirs only.
COPIES_BY_WAY = """
DECLARE
    ours bigint[] := string_to_array(
        nullif(current_setting('app.tenant_ids', true), ''), ',')::bigint[];
    ids bigint[] := ARRAY(SELECT unnest(p_tenants) INTERSECT SELECT unnest(ours));
BEGIN
    IF p_kind = 'client_ip' THEN
        RETURN (SELECT jsonb_agg(found.delivery_id) FROM (
            SELECT s.delivery_id FROM incidents_observation o
              JOIN incidents_sighting s ON s.tenant_id = o.tenant_id AND s.observation_id = o.id
             WHERE o.tenant_id = ANY(ids) AND o.detail ->> 'client_ip' = p_value
               AND o.observed_at >= p_since
             ORDER BY o.observed_at DESC LIMIT p_most) AS found);
    ELSIF p_kind = 'queue_id' THEN
        RETURN (SELECT jsonb_agg(found.delivery_id) FROM (
            SELECT s.delivery_id FROM incidents_observation o
              JOIN incidents_sighting s ON s.tenant_id = o.tenant_id AND s.observation_id = o.id
             WHERE o.tenant_id = ANY(ids) AND o.detail ->> 'queue_id' = p_value
               AND o.detail ->> 'queue_id' <> '' AND o.observed_at >= p_since
             ORDER BY o.observed_at DESC LIMIT p_most) AS found);
    END IF;
    RETURN NULL;
END
"""


class Migration(migrations.Migration):
    """A mail is found by the host that sent it and by its name in a queue."""

    dependencies = [
        ("incidents", "0017_wishes"),
    ]

    operations = [
        RunSQL(
            [
                "CREATE INDEX observation_client_ip ON incidents_observation"
                " (tenant_id, (detail ->> 'client_ip'), observed_at DESC)"
                " WHERE detail ->> 'client_ip' IS NOT NULL",
                "CREATE INDEX observation_queue_id ON incidents_observation"
                " (tenant_id, (detail ->> 'queue_id'), observed_at DESC)"
                " WHERE detail ->> 'queue_id' <> ''",
            ],
            ["DROP INDEX observation_client_ip", "DROP INDEX observation_queue_id"],
        ),
        AddDoor(
            "door_copies_by_way(p_kind text, p_value text, p_since timestamptz,"
            " p_tenants bigint[], p_most integer)",
            "jsonb",
            COPIES_BY_WAY,
            callers="c_analyst",
        ),
    ]
