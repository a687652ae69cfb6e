"""Groups of the directory: followed with their members, and never emptied by a page that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from api_bridge.access.permissions import NEEDS, missing
from api_bridge.models import Connection
from incidents.modes import modes_of, set_mode
from tenants.audit import Actor
from tenants.models import Mailbox, MailboxGroup, MailboxGroupMember
from tests.api_bridge.sandbox.running import SandboxProcess
from tests.api_bridge.sync.conftest import Client, make_google_client
from tests.factories import Cast


def put(client: Client, *groups: dict[str, Any]) -> None:
    path = f"tenants/{client.company.tenant_id}/groups"
    client.company.cloud.admin("PUT", path, {"groups": list(groups)})


def group(client: Client, name: str, *members: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "members": [client.company.mail(each) for each in members], **more}


def listed(client: Client) -> None:
    """The worker once, as if the hourly list were due."""
    with client.scope():
        Connection.objects.update(list_due_at=Connection.objects.get().created_at)
    client.sync(everything=False)


def members(client: Client) -> dict[str, set[str]]:
    """Of each group that stands: the local parts of the mailboxes in it."""
    with client.scope():
        found: dict[str, set[str]] = {
            row.name: set() for row in MailboxGroup.objects.filter(gone_at=None)
        }
        for row in MailboxGroupMember.objects.select_related("group", "mailbox"):
            if row.group.gone_at is None:
                found[row.group.name].add(row.mailbox.address.partition("@")[0])
        return found


def trouble(client: Client) -> str:
    with client.scope():
        return str(Connection.objects.get().groups_error)


@pytest.fixture
def at_google(cast: Cast, cloud: SandboxProcess) -> Iterator[Client]:
    made = make_google_client(cast, cloud, "gamma")
    yield made
    made.company.close()


@pytest.fixture(params=["client_", "at_google"])
def host(request: pytest.FixtureRequest) -> Client:
    found: Client = request.getfixturevalue(request.param)
    return found


def test_groups_come_with_the_people_in_them_and_in_their_inner_groups(host: Client):
    put(
        host,
        group(host, "Board", "ana", groups=["Finance"]),
        group(host, "Finance", "cfo", groups=["Board"]),
        group(host, "Empty"),
    )
    listed(host)
    assert members(host) == {"Board": {"ana", "cfo"}, "Finance": {"ana", "cfo"}, "Empty": set()}
    assert trouble(host) == ""


def test_who_leaves_is_out_and_a_renamed_group_stays_the_same(host: Client):
    number = str(uuid4())
    put(host, group(host, "Board", "ana", "bo", id=number))
    listed(host)
    with host.scope():
        before = MailboxGroup.objects.get().id
    put(host, group(host, "Directors", "bo", id=number))
    listed(host)
    assert members(host) == {"Directors": {"bo"}}
    with host.scope():
        assert MailboxGroup.objects.get().id == before


def test_a_removed_group_decides_nothing_until_it_comes_back(client_: Client):
    put(client_, group(client_, "Board", "ana"))
    listed(client_)
    address = client_.company.mail("ana")
    with client_.scope():
        board = MailboxGroup.objects.get()
        set_mode(tenant=client_.tenant, mode="monitor", actor=Actor("Mo"), group=board)
    for groups, wanted in (((), "ask"), ((group(client_, "Board", "ana"),), "monitor")):
        put(client_, *groups)
        listed(client_)
        with client_.scope():
            assert modes_of(client_.tenant.id).of(address).mode == wanted
            assert MailboxGroup.objects.count() == 1


@pytest.mark.parametrize("match", ["/groups", "transitiveMembers"])
def test_a_page_that_fails_never_empties_a_group(client_: Client, match: str):
    put(client_, group(client_, "Board", "ana"), group(client_, "Finance", "cfo"))
    listed(client_)
    before = members(client_)
    put(client_, group(client_, "Sales", "bo"))
    put(client_, group(client_, "Board"), group(client_, "Finance"))
    fault = {"kind": "truncated_body", "match": match, "count": 50}
    client_.company.cloud.admin("POST", "faults", fault, 201)
    listed(client_)
    assert members(client_) == before
    assert "cannot be" in trouble(client_)
    client_.company.cloud.admin("DELETE", "faults", status=204)
    listed(client_)
    assert members(client_) == {"Board": set(), "Finance": set()}
    assert trouble(client_) == ""


def test_without_the_permission_mail_is_read_and_it_is_said(connect: Callable[[str], Client]):
    client_ = connect("delta")
    company = client_.company
    path = f"tenants/{company.tenant_id}"
    app = {"client_id": company.client_id, "secret": company.secret}
    roles = ["User.Read.All", "Mail.ReadWrite"]
    company.cloud.admin("PUT", path, {"domain": company.domain, "apps": [app | {"roles": roles}]})
    client_.sync()
    assert "groups cannot be listed" in trouble(client_)
    with client_.scope():
        assert Mailbox.objects.filter(state="active").count() == len(company.names)
    extra = [need.name for need in missing("detect", roles)]
    assert extra == [need.name for need in NEEDS["detect"] if need.is_extra]


def test_a_group_of_everybody_holds_whoever_is_listed(at_google: Client):
    put(at_google, group(at_google, "All", everyone=True))
    listed(at_google)
    assert members(at_google) == {"All": {"ana", "bo", "cfo"}}
