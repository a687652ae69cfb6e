"""Groups of a tenant's directory: people and other groups in them.  Both clouds show the same."""

import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any

from api_bridge.sandbox.directory import BadDirectory, user_in
from api_bridge.sandbox.store import Store, marks


def put_groups(store: Store, tenant_id: str, wanted: object) -> None:
    """All groups of this tenant, in place of those it had.

    Each: ``name``, and, if need be, ``id`` (a GUID), ``mail``, ``members`` (addresses of users),
    ``groups`` (names of groups in it), ``everyone``.  Raises BadDirectory.
    """
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        raise BadDirectory("'groups' must be a list of objects")
    if store.row("SELECT 1 FROM tenant WHERE id = ?", tenant_id) is None:
        raise BadDirectory("no such tenant")
    ids = {str(each.get("name", "")): _id_of(tenant_id, each) for each in wanted}
    with store.transaction():
        store.execute("DELETE FROM directory_group WHERE tenant_id = ?", tenant_id)
        for each in wanted:
            _put_group(store, tenant_id, each, ids)


def _id_of(tenant_id: str, group: Mapping[str, Any]) -> str:
    name = str(group.get("name", "")).strip()
    if not name:
        raise BadDirectory("'name' must be a text that is not empty")
    return str(group.get("id") or uuid.uuid5(uuid.UUID(tenant_id), f"group {name}")).lower()


def _put_group(
    store: Store, tenant_id: str, group: Mapping[str, Any], ids: Mapping[str, str]
) -> None:
    group_id = ids[str(group["name"])]
    store.execute(
        "INSERT INTO directory_group VALUES (?, ?, ?, ?, ?)",
        group_id, tenant_id, str(group["name"]), group.get("mail"), bool(group.get("everyone")),
    )  # fmt: skip
    for address in group.get("members", []):
        user = user_in(store, tenant_id, str(address))
        if user is None:
            raise BadDirectory(f"no user {address!r} in this tenant")
        store.execute("INSERT OR IGNORE INTO group_user VALUES (?, ?)", group_id, user["number"])
    for name in group.get("groups", []):
        if name not in ids:
            raise BadDirectory(f"no group {name!r} in this list")
        store.execute("INSERT OR IGNORE INTO group_group VALUES (?, ?)", group_id, ids[name])


def groups_after(store: Store, tenant_id: str, after: str, most: int) -> list[sqlite3.Row]:
    """In the order of their ids, from the one after ``after`` on."""
    return store.rows(
        "SELECT * FROM directory_group WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?",
        tenant_id, after, most,
    )  # fmt: skip


def group_in(store: Store, tenant_id: str, group_id: str) -> sqlite3.Row | None:
    return store.row(
        "SELECT * FROM directory_group WHERE tenant_id = ? AND id = ?", tenant_id, group_id.lower()
    )


def inner_groups(store: Store, group_id: str) -> list[sqlite3.Row]:
    """The groups in it, at any depth; a circle ends where it began."""
    return store.rows(
        "WITH RECURSIVE below (id) AS (SELECT child FROM group_group WHERE parent = ? UNION "
        "SELECT group_group.child FROM group_group JOIN below ON group_group.parent = below.id) "
        "SELECT directory_group.* FROM directory_group JOIN below USING (id) WHERE id <> ? "
        "ORDER BY id",
        group_id, group_id,
    )  # fmt: skip


def people_in(store: Store, group_ids: list[str]) -> list[sqlite3.Row]:
    """The users in any of these groups, each once."""
    places = marks(group_ids)
    return store.rows(
        "SELECT DISTINCT user.* FROM user JOIN group_user ON group_user.mailbox = user.number "  # noqa: S608 - only marks
        f"WHERE group_user.parent IN ({places}) ORDER BY user.number",
        *group_ids,
    )
