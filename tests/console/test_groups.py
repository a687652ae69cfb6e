"""Groups of clients: a lead makes them, and every list of clients' things is narrowed by them."""

from __future__ import annotations

import pytest
from django.db import ProgrammingError, transaction
from django.urls import reverse

from incidents.models import SavedView
from incidents.services.views import save_view, views_of
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.groups import access_group, group_choices, groups_in_sight, members_of, save_group
from tenants.models import AuditEntry, GroupMember, Tenant
from tests.console.test_work_pages import browser
from tests.incidents.work_on import open_incident, portal, staff

pytestmark = pytest.mark.usefixtures("no_broker")

# Pages and addresses of the API with a filter by client.
PAGES = (
    *("queue", "incidents_bulk", "disagreements", "ledger", "held", "mail", "jobs", "orders"),
    *("rules", "kpis", "sla", "handled"),
)
LISTS = (
    *("incidents", "messages", "deliveries", "held", "observations", "jobs", "actions", "reports"),
    *("gateway-rules", "disagreements", "standing-orders", "suppressions", "rehearsals"),
)
PERIODS = ("ledger", "ledger/condemned", "kpis", "kpis/detect", "sla", "sla/open")


def group(cast, name: str, *clients: Tenant) -> str:
    """The address of a new group."""
    with staff(cast):
        return f"group:{save_group(name=name, clients=clients, actor=cast.mo).id}"


def test_a_lead_makes_changes_and_removes_a_group_by_its_pages(cast):
    mo = browser(cast.mo)
    mo.post(reverse("group_new"), {"name": " Gold  clients ", "clients": ["acme", "globex"]})
    page = mo.get(reverse("groups")).content.decode()
    assert "Gold clients" in page
    with staff(cast):
        [gold] = groups_in_sight(cast.mo)
        assert [client.slug for client in gold.clients] == ["acme", "globex"]
    where = reverse("group_change", args=[gold.row.id])
    mo.post(where, {"name": "Gold", "clients": ["globex"]})
    with staff(cast):
        changed = access_group(cast.mo, gold.row.id)
        assert (changed.row.name, [each.slug for each in changed.clients]) == ("Gold", ["globex"])
        entry = AuditEntry.objects.get(action="tenants.group.changed")
        assert entry.detail == {
            "before": "Gold clients",
            "after": "Gold",
            "added": [],
            "removed": ["acme"],
        }
    mo.post(reverse("group_remove", args=[gold.row.id]))
    with staff(cast):
        assert groups_in_sight(cast.mo) == []
        assert not GroupMember.objects.exists()
        assert Tenant.objects.count() == 2


def test_only_a_lead_says_what_a_group_is(cast):
    address = group(cast, "Gold", cast.acme)
    ana = browser(cast.ana)
    assert ana.get(reverse("group_new")).status_code == 403
    assert "Add a group" not in ana.get(reverse("groups")).content.decode()
    with staff(cast), pytest.raises(NotAllowed):
        save_group(name="Mine", clients=[], actor=cast.ana)
    with staff(cast):
        assert members_of(address.removeprefix("group:")) == [cast.acme.id]


@pytest.mark.parametrize("name", ["", "x" * 81, "a\x00b"])
def test_a_group_needs_a_name(cast, name):
    with staff(cast), pytest.raises(WrongInput, match="name"):
        save_group(name=name, clients=[], actor=cast.mo)


def test_a_name_is_one_groups_whatever_its_letters(cast):
    group(cast, "Gold")
    with staff(cast), pytest.raises(Conflict, match="already"):
        save_group(name="GOLD", clients=[], actor=cast.mo)


def test_of_a_group_only_the_clients_in_sight_count(cast):
    both, other = group(cast, "Both", cast.acme, cast.globex), group(cast, "Other", cast.globex)
    empty = group(cast, "Empty")
    with staff(cast, cast.acme):
        assert [(each.row.name, len(each.clients)) for each in groups_in_sight(cast.bo)] == [
            ("Both", 1)
        ]
        assert group_choices() == [(both, "Both")]
        assert members_of(other.removeprefix("group:")) == []
    with staff(cast):
        assert {each.row.name for each in groups_in_sight(cast.mo)} == {"Both", "Other", "Empty"}
        assert empty not in dict(group_choices())
    denied = pytest.raises(ProgrammingError, match="permission denied")
    with portal(cast.acme), denied, transaction.atomic():
        groups_in_sight(cast.pia)


@pytest.mark.parametrize("page", PAGES)
def test_every_list_with_a_filter_by_client_takes_a_group(cast, page):
    gold = group(cast, "Gold", cast.globex)
    answer = browser(cast.ana).get(reverse(page), {"client": gold})
    assert answer.status_code == 200
    shown = answer.content.decode()
    is_offered = f'<option value="{gold}" selected>Gold</option>' in shown
    assert is_offered or page in ("incidents_bulk", "handled"), "chosen before, or by the address"


def test_the_lists_show_the_groups_clients_and_no_others(cast):
    open_incident(cast.acme), open_incident(cast.globex)
    gold, ana = group(cast, "Gold", cast.globex), browser(cast.ana)
    for page in ("queue", "mail", "incidents_bulk"):
        wish = {"client": gold, "tab": "team"}
        shown = ana.get(reverse(page), wish).content.decode()
        table = shown.partition("<tbody>")[2]
        assert "Globex" in table, page
        assert "Acme" not in table, page
        nothing = {"client": "group:nonsense", "tab": "team"}
        assert "<tbody>" not in ana.get(reverse(page), nothing).content.decode(), page


def test_every_list_of_the_api_takes_a_group(cast):
    open_incident(cast.acme), open_incident(cast.globex)
    gold, ana = group(cast, "Gold", cast.globex).removeprefix("group:"), browser(cast.ana)
    for name in LISTS:
        rows = ana.get(f"/api/v1/{name}/", {"group": gold}).json()["results"]
        only = ana.get(f"/api/v1/{name}/", {"tenant": "globex"}).json()["results"]
        assert rows == only, name
        assert ana.get(f"/api/v1/{name}/", {"group": "nonsense"}).status_code == 400, name


def test_every_figure_of_the_api_takes_a_group(cast):
    open_incident(cast.acme), open_incident(cast.globex)
    gold, ana = group(cast, "Gold", cast.globex).removeprefix("group:"), browser(cast.ana)
    day = {"from": "2026-01-01", "to": "2026-01-31"}
    own = {"tenant": "", "as_of": ""}  # what each answer says of itself
    for name in PERIODS:
        of_group = ana.get(f"/api/v1/{name}", {**day, "group": gold}).json()
        of_client = ana.get(f"/api/v1/{name}", {**day, "tenant": "globex"}).json()
        assert of_group | own == of_client | own, name
        wrong = ana.get(f"/api/v1/{name}", {"group": gold, "tenant": "globex"})
        assert wrong.status_code == 400, name


def test_the_api_makes_changes_and_removes_a_group(cast):
    mo = browser(cast.mo)

    def post(address, body):
        return mo.post(f"/api/v1/{address}", body, content_type="application/json")

    made = post("groups", {"name": "Gold", "tenants": ["acme"]})
    assert (made.status_code, made.json()["tenants"]) == (201, ["acme"])
    where = f"groups/{made.json()['id']}"
    changed = post(f"{where}/change", {"name": "Silver", "tenants": ["globex"]})
    assert changed.json()["tenants"] == ["globex"]
    assert mo.get("/api/v1/groups").json() == [changed.json()]
    assert post("groups", {"name": "silver"}).status_code == 409
    assert post("groups", {"name": "New", "tenants": ["nobody"]}).status_code == 404
    assert post(f"{where}/remove", {}).status_code == 204
    assert mo.get("/api/v1/groups").json() == []


def test_a_view_keeps_a_group_and_stays_ones_own(cast):
    gold = group(cast, "Gold", cast.acme)
    with staff(cast):
        save_view(person=cast.ana, name="Gold", filters={"client": gold})
        assert [view.filters for view in views_of(cast.ana)] == [{"client": gold}]
        with pytest.raises(WrongInput, match="one client"):
            save_view(person=cast.ana, name="All", filters={"client": gold}, is_shared=True)
        assert SavedView.objects.count() == 1
    shown = browser(cast.ana).get(reverse("queue")).content.decode()
    assert f"client={gold.replace(':', '%3A')}" in shown
