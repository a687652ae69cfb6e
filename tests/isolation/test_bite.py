"""Do these tests bite?  Each part of the wall is taken away in turn; a check has to notice.

PROMISES 17.  The share that was noticed is printed at the end; anything but all of it is a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from django.db import connection, transaction
from django.urls import URLPattern, URLResolver, get_resolver

from tenants.models import Person
from tenants.scope import Role, tenant_scope
from tests.isolation import catalogue
from tests.isolation.routes import API, BODIES, CONSOLE, PORTAL, Row, table
from tests.isolation.surfaces import URL_TREES, signed_in_as, surface
from tests.isolation.test_routes import address_of, body_for, mistakes_of
from tests.isolation.visits import Visitor, visitors
from tests.isolation.world import World

NOTICED: dict[str, tuple[int, int]] = {}


def judge(group: str, mutants: dict[str, bool]) -> None:
    """``mutants``: what was taken away, and whether a check noticed."""
    assert mutants, "nothing was taken away"
    NOTICED[group] = (sum(mutants.values()), len(mutants))
    survivors = [name for name, noticed in mutants.items() if not noticed]
    assert not survivors, "nobody noticed: " + ", ".join(survivors)


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def notices(check: Callable[[], list[str]], *statements: str) -> bool:
    """Would this check complain after these statements?  They are undone."""
    with transaction.atomic():
        execute(*statements)
        complaints = check()
        transaction.set_rollback(True)
    return bool(complaints)


def test_the_checks_are_content_with_the_wall_as_it_is(world):
    assert [each for check in catalogue.CHECKS.values() for each in check()] == []


def policies() -> list[tuple[Any, ...]]:
    return catalogue.rows(
        "SELECT tablename, policyname FROM pg_policies WHERE schemaname = 'public'"
    )


def test_every_policy_is_missed(world):
    judge(
        "policies removed",
        {
            f"{name} on {on}": notices(catalogue.wrong_policies, f"DROP POLICY {name} ON {on}")
            for on, name in policies()
        },
    )


def test_every_policy_that_lets_all_pass_is_noticed(world):
    judge(
        "policies opened",
        {
            f"{name} on {on}": notices(
                catalogue.wrong_policies, f"ALTER POLICY {name} ON {on} USING (1 = 1)"
            )
            for on, name in policies()
        },
    )


def test_a_careless_policy_is_noticed_on_every_table(world):
    careless = "CREATE POLICY open ON {} FOR ALL TO PUBLIC USING (true)"
    judge(
        "policies added",
        {
            name: notices(catalogue.wrong_policies, careless.format(name))
            for name in catalogue.tables()
        },
    )


@pytest.mark.parametrize("change", ["NO FORCE", "DISABLE"])
def test_every_table_without_enable_or_force_is_noticed(world, change):
    guarded = set(catalogue.tables()) - catalogue.PLAIN_TABLES
    judge(
        f"row security: {change}",
        {
            name: notices(catalogue.open_tables, f"ALTER TABLE {name} {change} ROW LEVEL SECURITY")
            for name in guarded
        },
    )


def test_every_right_too_many_is_noticed(world):
    judge(
        "rights granted",
        {
            f"{name} to {who}": notices(catalogue.wrong_rights, f"GRANT SELECT ON {name} TO {who}")
            for name in catalogue.tables()
            for who in ("bailey_worker", "PUBLIC")
        },
    )


def test_every_door_left_open_is_noticed(world):
    changes = {
        "for everybody": "GRANT EXECUTE ON FUNCTION {} TO PUBLIC",
        "with any search path": "ALTER FUNCTION {} RESET search_path",
        "with its caller's rights": "ALTER FUNCTION {} SECURITY INVOKER",
    }
    doors = [(name, "janitor") for name in catalogue.DOORS]
    doors += [(name, "bailey_owner") for name in catalogue.OWNERS_FUNCTIONS]
    judge(
        "doors",
        {
            f"{name} {how}": notices(
                catalogue.wrong_functions, f"SET LOCAL ROLE {owner}", change.format(name)
            )
            for name, owner in doors
            for how, change in changes.items()
        },
    )


HOLES: dict[str, tuple[Callable[[], list[str]], str]] = {
    "a table nobody knows": (catalogue.unknown_tables, "CREATE TABLE extra (a int)"),
    "a client's table without a wall": (
        catalogue.open_tables,
        "CREATE TABLE extra (tenant_id bigint)",
    ),
    "a partition without a wall": (
        catalogue.open_tables,
        "CREATE TABLE extra PARTITION OF incidents_observation"
        " FOR VALUES FROM ('2031-01-01') TO ('2031-02-01')",
    ),
    "a view": (catalogue.open_views, "CREATE VIEW leak AS SELECT * FROM incidents_message"),
    "a materialised view": (
        catalogue.open_views,
        "CREATE MATERIALIZED VIEW leak AS SELECT * FROM incidents_message",
    ),
    "a function nobody named": (
        catalogue.wrong_functions,
        "CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ),
    "a key that is unique over all": (
        catalogue.loose_uniques,
        "CREATE UNIQUE INDEX extra ON incidents_incident (number, id)",
    ),
    "a sequence that all may read": (
        catalogue.sequences_of_others,
        "GRANT SELECT ON SEQUENCE tenants_tenant_id_seq TO PUBLIC",
    ),
}


def test_other_holes_in_the_catalogue_are_noticed(world):
    found = {name: notices(check, statement) for name, (check, statement) in HOLES.items()}
    for on, name in catalogue.rows(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint"
        " WHERE contype = 'f' AND array_length(conkey, 1) = 2"
    ):
        gone = f"ALTER TABLE {on} DROP CONSTRAINT {name}"
        found[f"key {name}"] = notices(catalogue.loose_keys, gone)
    judge("other holes", found)


PERSON, TOKEN = "door_person(text, uuid)", "door_api_token(text)"
# What a door asks of its caller or of its row: the text that goes, and a question that is then
# answered otherwise to this login.
DOOR_CHECKS = {
    "which surface asks": (
        *(PERSON, "AND session_user IN ('bailey_portal', 'bailey_console')", "AND false"),
        *("DATABASE_URL_PORTAL", "SELECT door_person('bo@keep.example', NULL) IS NULL"),
    ),
    "is the person active": (
        *(PERSON, "AND is_active", "", "DATABASE_URL_CONSOLE"),
        "SELECT door_person('ina@keep.example', NULL) IS NULL",
    ),
    "has the token expired": (
        *(TOKEN, "AND expires_at > now()", "", "DATABASE_URL_CONSOLE"),
        "SELECT door_api_token(encode(sha256('token-of-late'), 'hex')) IS NULL",
    ),
    "is she assigned": (
        *(PERSON, "WHERE a.person_id = one.id AND", "WHERE", "DATABASE_URL_CONSOLE"),
        "SELECT jsonb_array_length(door_person('bo@keep.example', NULL)->'tenant_ids') = 1",
    ),
}


def is_true(login: str, question: str) -> bool:
    with signed_in_as(login):
        return bool(catalogue.rows(question)[0][0])


def replace_door(definition: str) -> None:
    with transaction.atomic():
        execute("SET LOCAL ROLE janitor", definition)


def test_every_question_of_a_door_is_missed(world):
    found = {}
    for name, (door, text, instead, login, question) in DOOR_CHECKS.items():
        ((definition,),) = catalogue.rows("SELECT pg_get_functiondef(%s::regprocedure)", door)
        assert text in definition, f"{door} no longer says {text}"
        assert is_true(login, question)
        replace_door(definition.replace(text, instead))
        try:
            found[name] = not is_true(login, question)
        finally:
            replace_door(definition)
    judge("questions of doors", found)


def patterns(tree: str) -> dict[str, URLPattern]:
    """Every address of a URL tree by its name."""

    def walk(resolver: URLResolver) -> Iterator[URLPattern]:
        for each in resolver.url_patterns:
            if isinstance(each, URLPattern):
                yield each
            else:
                yield from walk(each)

    return {str(each.name): each for each in walk(get_resolver(tree))}


@contextmanager
def unguarded(pattern: URLPattern) -> Iterator[None]:
    """The view without its guards."""
    view: Any = pattern.callback
    if hasattr(view, "cls"):
        with mock.patch.object(view.cls, "permission_classes", []):
            yield
        return
    while hasattr(view, "__wrapped__"):
        view = view.__wrapped__
    assert view is not pattern.callback, "there is no guard"
    with mock.patch.object(pattern, "callback", view):
        yield


@pytest.mark.parametrize(
    ("name", "rows", "what"),
    [
        ("console", table(CONSOLE), "pages"),
        ("console", table(API), "API"),
        ("portal", table(PORTAL), "portal"),
    ],
    ids=["pages", "api", "portal"],
)
def test_every_guard_of_a_view_is_missed(name, rows, what, world):
    found = {}
    with surface(name):
        anonymous = visitors(world, name)["anonymous"]
        views = patterns(URL_TREES[name])
        for row in rows:
            if row.answers["nobody"] in ("in", "401"):
                with unguarded(views[row.route]):
                    found[f"{row.method} {row.route}"] = any(mistakes_of(row, anonymous, world))
    judge(f"guards of views: {what}", found)


def test_a_scope_that_is_too_wide_is_noticed_by_every_route(world):
    """As if Bo's scope held all clients: each route that names a thing gives it away."""
    everybody = (world.acme.tenant.id, world.globex.tenant.id)
    wide = mock.patch(
        "tenants.middleware.tenant_scope",
        lambda role, _, **more: tenant_scope(role, everybody, **more),
    )
    found = {}
    with surface("console"):
        bo = visitors(world, "console")["bo"]
        with wide:
            for row in table(CONSOLE) + table(API):
                is_guarded = row.object != "-" and row.answers["bo"] not in ("405", "409")
                # What somebody has opened is hers alone, whatever her scope.
                if is_guarded and row.object not in ("text", "html"):
                    found[f"{row.method} {row.route}"] = any(mistakes_of(row, bo, world))
    judge("scope too wide", found)


# The answer holds a secret that is kept nowhere; or it is a question, which changes nothing.
NOT_REPEATED = {
    *("api-access-links", "api-queue-orders-foresee", "api-modes-rehearse"),
    *("api-held-release-many-foresee", "api-incident-release-foresee"),
    *("api-pull-everywhere-foresee", "api-block-everywhere-foresee", "api-incidents-bulk-foresee"),
}


def replays(row: Row, visitor: Visitor, world: World) -> bool:
    """Is a repeated POST with a key answered from memory?"""
    ids = world.acme.ids
    address, body = address_of(row, ids, visitor), body_for(row, ids)
    headers = {**visitor.headers, "Idempotency-Key": "the same key"}
    with transaction.atomic():
        answers = [
            visitor.client.post(address, body, content_type="application/json", headers=headers)
            for _ in range(2)
        ]
        transaction.set_rollback(True)
    return bool(answers[1].get("Idempotency-Replayed") == "true")


def test_every_post_without_its_key_is_noticed(world):
    found, unrepeated = {}, []
    with surface("console"):
        mo = visitors(world, "console")["token of mo"]
        views = patterns("console.urls")
        for row in table(API):
            is_refused = not row.answers["mo"].startswith("2")
            if row.method != "POST" or is_refused or row.route in NOT_REPEATED:
                continue
            view: Any = views[row.route].callback
            if not replays(row, mo, world):
                unrepeated.append(row.route)
                continue
            with mock.patch.object(view.cls, "post", view.cls.post.__wrapped__):
                found[row.route] = not replays(row, mo, world)
    assert unrepeated == []
    judge("idempotency", found)


def opens(visitor: Visitor, world: World, *, may: bool, reason: str) -> bool:
    """Does Bo get the original?"""
    clients = [world.acme.tenant.id]
    address = f"/api/v1/messages/{world.acme.ids['message']}/original"
    with transaction.atomic():
        with tenant_scope(Role.ANALYST, clients, provider_id=world.cast.provider.id):
            Person.objects.filter(id=world.cast.bo.id).update(may_open_content=may)
        answer = visitor.ask("POST", address, {"reason": reason})
        transaction.set_rollback(True)
    return answer.status_code == 200


def test_every_condition_of_opening_content_is_missed(world):
    reason = BODIES["api-message-original"]["reason"]
    with surface("console"):
        bo = visitors(world, "console")["token of bo"]
        assert opens(bo, world, may=True, reason=reason)
        assert not opens(bo, world, may=False, reason=reason)
        assert not opens(bo, world, may=True, reason="why")
        found = {}
        with mock.patch("incidents.content.check_may_open"):
            found["the right"] = opens(bo, world, may=False, reason=reason)
        with mock.patch("incidents.content.SHORTEST_REASON", 0):
            found["the reason"] = opens(bo, world, may=True, reason="why")
    judge("content", found)


def test_how_many_were_noticed(capsys):
    assert NOTICED, "this test adds up what those before it found"
    noticed, total = (sum(counts) for counts in zip(*NOTICED.values(), strict=True))
    with capsys.disabled():
        print()
        for group, (some, of) in NOTICED.items():
            print(f"  {group:30} {some:4} of {of}")
        print(f"  noticed in all {noticed} of {total} ({noticed / total:.1%})")
    assert noticed == total
