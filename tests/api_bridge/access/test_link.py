"""The link for a client's admin: from its page to a grant, and whom it is no good to."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from api_bridge.access.links import make_link, withdraw_link
from api_bridge.access.models import Consent, ConsentLink, Grant, Purpose
from tenants.errors import Conflict
from tests.api_bridge.sandbox.running import Company

pytestmark = pytest.mark.urls("console.urls_portal")


@pytest.fixture(autouse=True)
def quiet(no_broker, settings):
    settings.ROOT_URLCONF = "console.urls_portal"


def made(yard, purposes=(Purpose.DETECT, Purpose.REMEDIATE)):
    """The path of a new link's page."""
    with yard.staff():
        address = make_link(tenant=yard.tenant, purposes=purposes, actor=yard.cast.mo)
    return urlsplit(address).path


def go(browser, path, purpose="detect"):
    """The way to Microsoft that the page shows."""
    page = browser.post(f"{path}/step", {"purpose": purpose})
    assert page.status_code == 200, page.content
    return page.context["address"]


def back(yard, browser, address, says="yes"):
    reply = yard.cloud.client.post(address, data={"tenant": yard.company.tenant_id, "answer": says})
    return browser.get("/portal/consent?" + urlsplit(reply.headers["location"]).query)


def test_an_admin_without_a_login_grants_one_and_refuses_the_other(yard):
    path, browser = made(yard), Client()
    page = browser.get(path)
    assert page.status_code == 200
    assert "Acme" in page.content.decode()
    with yard.worker():
        assert ConsentLink.objects.get().opened_at is None  # looking opens nothing
    reply = back(yard, browser, go(browser, path))
    assert (reply.status_code, reply.url) == (302, path)
    yard.serve()
    back(yard, browser, go(browser, path, "remediate"), says="no")
    text = browser.get(path).content.decode()
    assert "Granted" in text
    assert "You said no" in text
    with yard.worker():
        assert [grant.purpose for grant in Grant.objects.all()] == ["detect"]
        assert set(Consent.objects.values_list("stage", flat=True)) == {"granted", "refused"}


def test_an_opened_link_is_good_in_that_browser_for_ten_minutes(yard):
    path, first, second = made(yard), Client(), Client()
    address = go(first, path)
    assert second.get(path).status_code == 404
    assert second.post(f"{path}/step", {"purpose": "detect"}).status_code == 404
    assert back(yard, second, address).status_code == 404
    assert first.get(path).status_code == 200
    with yard.worker():
        ConsentLink.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
        Consent.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    assert first.get(path).status_code == 404
    assert back(yard, first, address).status_code == 404


def test_each_answer_of_a_link_must_come_from_the_tenant_that_detect_has_proven(yard):
    """Both come back before a worker looks at either."""
    stranger, path, browser = Company(yard.cloud), made(yard), Client()
    back(yard, browser, go(browser, path))
    reply = yard.cloud.client.post(
        go(browser, path, "remediate"), data={"tenant": stranger.tenant_id, "answer": "yes"}
    )
    browser.get("/portal/consent?" + urlsplit(reply.headers["location"]).query)
    yard.serve()
    with yard.worker():
        stages = dict(Consent.objects.values_list("purpose", "stage"))
        assert stages == {"detect": "granted", "remediate": "failed"}
        assert [grant.purpose for grant in Grant.objects.all()] == ["detect"]


def test_an_answer_counts_once(yard):
    path, browser = made(yard), Client()
    address = go(browser, path)
    assert back(yard, browser, address).status_code == 302
    assert back(yard, browser, address).status_code == 404
    assert browser.post(f"{path}/step", {"purpose": "detect"}).status_code == 404
    assert browser.post(f"{path}/step", {"purpose": "respond"}).status_code == 404  # not asked for


@pytest.mark.parametrize("ends", ["withdrawn", "too old", "unknown", "garbage"])
def test_links_that_are_no_good_get_one_answer(yard, ends):
    path, browser = made(yard), Client()
    with yard.staff():
        link = ConsentLink.objects.select_related("tenant").get()
        if ends == "withdrawn":
            withdraw_link(link=link, actor=yard.cast.mo)
            with pytest.raises(Conflict):
                withdraw_link(link=link, actor=yard.cast.mo)
        elif ends == "too old":
            ConsentLink.objects.update(open_until=timezone.now())
        elif ends == "unknown":
            path = f"/portal/connect/{'x' * 43}"
        else:
            path = "/portal/connect/%00%27"
    assert browser.get(path).status_code == 404
    assert browser.post(f"{path}/step", {"purpose": "detect"}).status_code == 404


def test_the_token_is_not_kept_and_the_address_is_told_to_nobody(yard):
    path, browser = made(yard), Client()
    token = path.rpartition("/")[2]
    with yard.worker():
        (row,) = ConsentLink.objects.values()
    assert token not in str(row)
    page = browser.get(path)
    assert page["Referrer-Policy"] == "same-origin"
    assert "no-store" in page["Cache-Control"]
    state = parse_qs(urlsplit(go(browser, path)).query)["state"][0]
    with yard.worker():
        assert state not in str(list(Consent.objects.values()))
