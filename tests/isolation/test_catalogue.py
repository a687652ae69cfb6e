"""The wall as the database describes it, and as each real login meets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, connection, transaction

from seg_bridge.models import Gate, GateClient
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.isolation import catalogue
from tests.isolation.surfaces import LOGINS, signed_in_as

ROLE_OF = {"console": Role.ANALYST, "portal": Role.PORTAL, "ingest": Role.WORKER}
SURFACES = tuple(LOGINS)


@pytest.mark.parametrize("check", catalogue.CHECKS.values(), ids=catalogue.CHECKS)
def test_the_catalogue(check):
    assert check() == []


@contextmanager
def refused(*words: str) -> Iterator[None]:
    """The statement inside fails with one of these words, and leaves nothing."""
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        yield
    assert any(word in str(caught.value) for word in words), caught.value


def execute(statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def is_denied(statement: str) -> bool:
    """Permission denied, or refused by a policy; False: it was done."""
    try:
        with transaction.atomic():
            execute(statement)
    except DatabaseError as error:
        if "permission denied" not in str(error) and "row-level security" not in str(error):
            raise
        return True
    return False


def count(table: str) -> int:
    """Rows that are seen; none where reading is not allowed."""
    try:
        with transaction.atomic():
            return int(str(execute(f'SELECT count(*) FROM "{table}"')[0][0]))
    except DatabaseError as error:
        if "permission denied" not in str(error):
            raise
        return 0


@pytest.fixture(params=SURFACES)
def login(request) -> Iterator[str]:
    """A connection signed in as the login of a surface."""
    with signed_in_as(LOGINS[request.param]):
        yield request.param


@pytest.fixture
def guarded() -> dict[str, str]:
    """Tables with somebody's rows; the column of the client's id, or of the provider's."""
    found = catalogue.client_tables() | catalogue.PROVIDER_TABLES
    assert len(found) > 30
    return found


def test_the_connection_is_really_the_logins(login):
    (row,) = execute("SELECT session_user::text, current_user::text")
    assert row == (f"bailey_{'worker' if login == 'ingest' else login}",) * 2


def test_a_login_without_a_scope_reads_and_writes_nothing(login, guarded):
    for table, column in guarded.items():
        with transaction.atomic():
            assert count(table) == 0, table
            assert is_denied(f'INSERT INTO "{table}" DEFAULT VALUES'), table
            assert is_denied(f'UPDATE "{table}" SET {column} = {column}'), table
            assert is_denied(f'DELETE FROM "{table}"'), table
            assert is_denied(f'TRUNCATE "{table}"'), table


def test_a_role_without_clients_reads_and_writes_nothing(login, guarded):
    """The middle of a scope gone wrong: the role is set, the clients are not."""
    for table, column in guarded.items():
        with transaction.atomic():
            execute(f"SET LOCAL ROLE {ROLE_OF[login].value}")
            assert count(table) == 0, table
            assert is_denied(f'INSERT INTO "{table}" DEFAULT VALUES'), table
            assert is_denied(f'TRUNCATE "{table}"'), table
            if not is_denied(f'UPDATE "{table}" SET {column} = {column} RETURNING 1'):
                assert execute(f'UPDATE "{table}" SET {column} = {column} RETURNING 1') == [], table
            if not is_denied(f'DELETE FROM "{table}"'):
                assert execute(f'DELETE FROM "{table}" RETURNING 1') == [], table


def test_a_login_becomes_its_own_role_only(login):
    others = {*Role, "bailey_owner", "postgres", *(f"bailey_{name}" for name in SURFACES[:2])}
    mine = {ROLE_OF[login], f"bailey_{login}"}
    for other in {str(each) for each in others} - {str(each) for each in mine}:
        with refused("permission denied", "does not exist"):
            execute(f"SET LOCAL ROLE {other}")


def test_a_scope_shows_its_own_clients_rows_only(login, guarded, world):
    acme, globex = world.acme.tenant, world.globex.tenant
    seen = set()
    with tenant_scope(ROLE_OF[login], [acme.id]):
        for table, column in guarded.items():
            if table in catalogue.PROVIDER_TABLES or count(table) == 0:
                continue
            clients = {row[0] for row in execute(f'SELECT DISTINCT {column} FROM "{table}"')}
            assert clients == {acme.id}, table
            seen.add(table)
            if table != "tenants_tenant":
                values = f'INSERT INTO "{table}" (tenant_id) VALUES ({globex.id})'
                assert is_denied(values), table
                assert is_denied(f'UPDATE "{table}" SET tenant_id = {globex.id}'), table
    expected = {table for table, is_part in catalogue.tables().items() if not is_part}
    expected &= set(catalogue.client_tables())
    if login == "portal":
        expected -= catalogue.HIDDEN_FROM_PORTAL
    # What is made sense of has left the backlog; staff belong to the provider.
    assert expected - seen <= {"incidents_backlog"}


def test_a_partition_is_reached_through_its_parent_only(login, world):
    partitions = [table for table, is_part in catalogue.tables().items() if is_part]
    assert len(partitions) >= 3
    with tenant_scope(ROLE_OF[login], [world.acme.tenant.id]):
        for partition in partitions:
            assert is_denied(f'SELECT count(*) FROM "{partition}"'), partition


def test_the_portal_is_for_one_client_even_if_the_scope_says_two(world):
    ids = f"{world.acme.tenant.id},{world.globex.tenant.id}"
    with signed_in_as(LOGINS["portal"]), transaction.atomic():
        execute(f"SELECT set_config('app.tenant_ids', '{ids}', true)")
        execute("SET LOCAL ROLE c_portal")
        with refused("invalid input syntax"):
            execute("SELECT count(*) FROM incidents_message")


def test_the_portal_sees_shared_incidents_only(world):
    with signed_in_as(LOGINS["portal"]), tenant_scope(Role.PORTAL, [world.acme.tenant.id]):
        seen = {str(row[0]) for row in execute("SELECT id FROM incidents_incident")}
        told = {
            str(row[0])
            for table in (
                *("incidents_accountsign", "api_bridge_accountstep"),
                "seg_bridge_senderstop",
            )
            for row in execute(f"SELECT incident_id FROM {table}")
        }
    assert seen == told == {world.acme.ids["incident"]}


CALLS = {
    "door_person(p_email text, p_id uuid)": "door_person('bo@keep.example', NULL)",
    "door_api_token(p_digest text)": "door_api_token('0')",
    "door_tenants()": "door_tenants()",
    "door_claim_work(p_queue text, p_lease_s integer)": "door_claim_work('none', 1)",
    "door_installation()": "door_installation()",
    "door_tick(p_seen bigint)": "door_tick(0)",
    "door_gate_is_ahead(p_command bigint)": "door_gate_is_ahead(0)",
    "door_push(p_push_id text)": "door_push('none')",
    "door_gate(p_name text)": "door_gate('mx1')",
    "door_also_seen(p_incident uuid)": "door_also_seen(gen_random_uuid())",
    "door_gateway_spoke()": "door_gateway_spoke()",
    "door_copies_by_way(p_kind text, p_value text, p_since timestamp with time zone, p_tenants"
    " bigint[], p_most integer)": "door_copies_by_way('', '', now(), '{}', 1)",
    "door_new_client(p_person uuid, p_slug text, p_name text, p_time_zone text, p_data_key"
    " bytea)": "door_new_client(NULL, '', '', '', '')",
    "door_client_word(p_kind text, p_object uuid, p_person uuid, p_text text)": (
        "door_client_word('answer', NULL, NULL, '')"
    ),
    "door_held_link(p_link uuid, p_text text)": "door_held_link(NULL, '')",
    "door_body_access(p_allowed boolean, p_person uuid, p_reason text)": (
        "door_body_access(NULL, NULL, '')"
    ),
    "door_downloaded(p_kind text, p_object uuid, p_person uuid, p_name text, p_sha256 text)": (
        "door_downloaded('', NULL, NULL, '', '')"
    ),
    "door_consent_link(p_digest text, p_browser text)": "door_consent_link('', '')",
    "door_consent_begin(p_digest text, p_browser text, p_purpose text, p_state text)": (
        "door_consent_begin('', '', '', '')"
    ),
    "door_consent_return(p_state text, p_browser text, p_tenant text, p_stage text, p_words"
    " text)": "door_consent_return('', '', '', '', '')",
    "keep_partitions(months_ahead integer)": "keep_partitions(1)",
}


def test_a_door_opens_to_its_callers_only(login):
    who = f"bailey_{'worker' if login == 'ingest' else login}"
    doors = catalogue.DOORS | catalogue.OWNERS_FUNCTIONS
    assert set(CALLS) == set(doors)
    for signature, callers in doors.items():
        with transaction.atomic():
            assert is_denied(f"SELECT {CALLS[signature]}") == (who not in callers), signature


def test_the_door_to_people_knows_which_surface_asks(world):
    def asks(surface: str, email: str) -> bool:
        with signed_in_as(LOGINS[surface]):
            return execute(f"SELECT door_person('{email}', NULL) IS NOT NULL")[0] == (True,)

    assert asks("console", "bo@keep.example")
    assert asks("portal", "pia@acme.example")
    assert not asks("portal", "bo@keep.example")
    assert not asks("console", "pia@acme.example")
    assert not asks("console", "ina@keep.example"), "she is no longer active"


def test_the_door_to_the_gateways_last_word_knows_the_scopes_client_only(world):
    with maintenance_scope():
        Gate.objects.update(last_seen_at=datetime(2026, 1, 1, tzinfo=UTC))
        GateClient.objects.filter(tenant=world.globex.tenant).delete()
    spoke: list[object] = []
    for side in (world.acme, world.globex):
        with (
            signed_in_as(LOGINS["portal"]),
            tenant_scope(Role.PORTAL, [side.tenant.id]),
        ):
            spoke += execute("SELECT door_gateway_spoke() IS NOT NULL")[0]
    assert spoke == [True, False]


def test_history_is_never_changed_or_removed(login, world):
    with tenant_scope(ROLE_OF[login], [world.acme.tenant.id]):
        for table in catalogue.APPEND_ONLY:
            column = catalogue.PROVIDER_TABLES.get(table, "tenant_id")
            assert is_denied(f'UPDATE "{table}" SET {column} = {column}'), table
            assert is_denied(f'DELETE FROM "{table}"'), table
