from django.db import migrations

# What a client's policy said otherwise than Bailey's defaults becomes what the client states.
TO_LAYERS = """
INSERT INTO seg_bridge_policylayer
    (id, provider_id, tenant_id, level, stated, version, template, changed_by, changed_at)
SELECT gen_random_uuid(), tenant.provider_id, tenant.id, 'client', said.stated, 1, '', 'Bailey',
       now()
  FROM seg_bridge_policy AS policy
  JOIN tenants_tenant AS tenant ON tenant.id = policy.tenant_id
  CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(key, jsonb_build_object(
               'value', value, 'by', 'Bailey', 'at', to_jsonb(policy.changed_at),
               'reason', 'As it was before policies were inherited')) AS stated
      FROM (
        SELECT 'action.' || row.key AS key, to_jsonb(row.value) AS value
          FROM jsonb_each_text(policy.matrix) AS row
          JOIN (VALUES ('clean', 'deliver'), ('graymail', 'deliver'), ('spam', 'hold'),
                       ('phish', 'hold'), ('bec', 'hold'), ('malware', 'hold'),
                       ('suspicious', 'tag'), ('unscannable', 'hold')) AS usual (verdict, action)
            ON usual.verdict = row.key AND usual.action <> row.value
         WHERE row.value IN ('deliver', 'tag', 'hold', 'reject')
        UNION ALL
        SELECT 'act_from', to_jsonb(policy.act_from)
         WHERE policy.act_from <> 6 AND policy.act_from BETWEEN 0.5 AND 100
        UNION ALL
        SELECT 'action.not_scanned', to_jsonb(policy.on_not_scanned)
         WHERE policy.on_not_scanned IN ('deliver', 'tag', 'hold')
        UNION ALL
        SELECT 'mark_subject', to_jsonb(btrim(policy.mark_subject))
         WHERE btrim(policy.mark_subject) <> '[Suspicious]'
        UNION ALL
        SELECT 'keep.' || verdict,
               to_jsonb(CASE WHEN policy.keep_original ? verdict THEN 'yes' ELSE 'no' END::text)
          FROM unnest(ARRAY['clean', 'graymail', 'spam', 'phish', 'bec', 'malware', 'suspicious',
                            'unscannable']) AS verdict
         WHERE (policy.keep_original ? verdict) <> (verdict IN
               ('phish', 'bec', 'malware', 'suspicious', 'unscannable'))
      ) AS each
  ) AS said
 WHERE said.stated IS NOT NULL
"""


class Migration(migrations.Migration):
    """The policies of clients as they were; run as the one role that sees every row."""

    dependencies = [
        ("seg_bridge", "0004_policy_layers"),
    ]

    operations = [
        migrations.RunSQL(
            ["SET LOCAL ROLE janitor", TO_LAYERS, "RESET ROLE", "SET CONSTRAINTS ALL IMMEDIATE"],
            migrations.RunSQL.noop,
        ),
        migrations.DeleteModel(name="Policy"),
    ]
