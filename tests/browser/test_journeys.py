"""The eight journeys, in a real Chromium against the real processes and the sandbox cloud."""

from __future__ import annotations

import base64
import csv
import io
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from console.demo.mails import DemoMail
from console.demo.stories import Author
from console.lib.sending import send_by_smtp
from tests.installation import Installation

pytestmark = pytest.mark.browser
SOON_MS = 60_000  # two cores, shared with everything else


@dataclass
class Town:
    """One running installation with the demo's people and clients, without its mail."""

    facts: dict[str, Any]

    def person(self, name: str) -> dict[str, str]:
        return next(one for one in self.facts["people"] if one["email"].startswith(f"{name}@"))

    def send(self, mail: DemoMail) -> None:
        host, _, port = self.facts["smtp"].rpartition(":")
        if mail.way == "inside":
            raw = base64.b64encode(mail.raw).decode()
            sent = {"from": mail.mail_from, "to": list(mail.recipients), "raw_base64": raw}
            address = f"{self.facts['sandbox']}/_sandbox/send"
            httpx.post(address, json=sent, timeout=30, trust_env=False).raise_for_status()
            return
        send_by_smtp(
            (host, int(port)),
            mail_from=mail.mail_from,
            recipients=mail.recipients,
            raw=mail.raw,
            client_ip=mail.client_ip,
            helo=mail.helo,
        )

    def folder_of(self, address: str, subject: str) -> str:
        """The name of the folder in which the sandbox cloud has this mail."""
        mailbox = httpx.get(
            f"{self.facts['sandbox']}/_sandbox/mailboxes/{address}", timeout=30, trust_env=False
        ).json()
        [found] = [
            folder["name"]
            for folder in mailbox["folders"]
            for mail in folder["messages"]
            if mail["subject"] == subject
        ]
        return str(found)


FRAUD = "Urgent payment today"


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    made = Installation(tmp_path_factory.mktemp("town"), is_migrated=True, DEMO_MAIL="0")
    try:
        yield Town(made.start())
    finally:
        made.remove()


@pytest.fixture(scope="module")
def fraud(town, in_browser):
    """The address of the incident that a fraud in the CFO's name opened at Acme."""
    town.send(Author().bec_cfo())
    return in_browser(_find_fraud, town)


def sign_in(browser, town: Town, name: str, *, at: str = "console"):
    page = browser.new_page(accept_downloads=True)
    page.set_default_timeout(SOON_MS)
    person = town.person(name)
    page.goto(f"{town.facts[at]}/{at}/login")
    page.fill("[name=email]", person["email"])
    page.fill("[name=password]", person["password"])
    page.click("button.primary")
    page.wait_for_selector("#main:not(.login)")
    return page


def row_about(page, subject: str):
    """The link of the queue's row that names this subject in its second line."""
    return page.locator("tr[data-row]", has_text=subject).locator("a.open")


def _find_fraud(browser, town: Town) -> str:
    page = sign_in(browser, town, "ana")
    row = row_about(page, FRAUD)
    row.wait_for()
    href = row.get_attribute("href")
    page.close()
    return f"{town.facts['console']}{href}"


def _log_in(browser, town: Town) -> None:
    page = browser.new_page()
    page.goto(town.facts["console"])
    assert "/console/login" in page.url
    page.fill("[name=email]", town.person("ana")["email"])
    page.fill("[name=password]", "not her password")
    page.click("button.primary")
    expect(page.get_by_role("alert")).to_contain_text("do not fit together")
    page.close()
    page = sign_in(browser, town, "ana")
    expect(page.locator("h1")).to_have_text("Incidents")
    page.close()


def test_an_analyst_logs_in(in_browser, town):
    in_browser(_log_in, town)


def _watch(browser, town: Town, mail: DemoMail) -> None:
    page = sign_in(browser, town, "ana")
    expect(page.locator("#live")).to_have_text("Live", timeout=SOON_MS)
    page.evaluate("window.sameDocument = true")
    row = row_about(page, "salary bands")
    assert row.count() == 0
    town.send(mail)
    row.wait_for()
    assert page.evaluate("window.sameDocument")
    page.close()


def test_she_watches_a_mail_arrive_live(in_browser, town, fraud):
    in_browser(_watch, town, Author().lateral())


def _open(browser, town: Town, address: str) -> None:
    page = sign_in(browser, town, "ana")
    row_about(page, FRAUD).click()
    assert page.url == address
    story = page.locator(".story")
    expect(story).to_contain_text("Let it through.")
    expect(story).to_contain_text("Judged fraud")
    expect(page.locator(".case")).to_contain_text("2 in inbox")
    expect(page.locator(".act .primary")).to_have_text("Approve: pull 2 copies")
    page.close()


def test_she_opens_an_incident(in_browser, town, fraud):
    in_browser(_open, town, fraud)


def _read(browser, town: Town, address: str) -> list[str]:
    page = sign_in(browser, town, "ana")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.locator("section", has=page.locator("h2", has_text="The mail")).locator("a.open").click()
    expect(page.locator("main")).not_to_contain_text("bank details have changed")
    for button, what in (("Open the text", ".mail-text"), ("Open as HTML", "iframe.mail-frame")):
        mail = page.url
        page.click(f"text={button}")
        page.fill("dialog [name=reason]", "Is a new account named?")
        page.click("dialog button.primary")
        page.wait_for_selector(what)
        page.goto(mail)
    expect(page.locator("main")).to_contain_text("Is a new account named?")
    page.close()
    return [url for url in asked if not url.startswith(town.facts["console"])]


def test_she_reads_the_mail_safely(in_browser, town, fraud):
    assert in_browser(_read, town, fraud) == []


def _act(browser, town: Town, address: str, button: str) -> None:
    page = sign_in(browser, town, "ana")
    page.goto(address)
    page.locator(".act a.btn", has_text=button).click()
    page.locator("dialog button.primary").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#progress .tag")).to_have_text("Done", timeout=SOON_MS)
    page.close()


def test_she_pulls_it_sees_it_gone_from_the_mailbox_and_restores_it(in_browser, town, fraud):
    whom = Author().bec_cfo().recipients
    assert {town.folder_of(address, FRAUD) for address in whom} == {"Inbox"}

    in_browser(_act, town, fraud, "Pull with a reason of yours")
    assert {town.folder_of(address, FRAUD) for address in whom} == {"Bailey Quarantine"}

    in_browser(_act, town, fraud, "Restore")
    assert {town.folder_of(address, FRAUD) for address in whom} == {"Inbox"}


def _make_report(browser, town: Town, address: str, audience: str) -> dict[str, bytes]:
    page = sign_in(browser, town, "ana")
    page.goto(address)
    page.click("text=Make a report")
    page.select_option("dialog [name=audience]", audience)
    page.click("dialog button.primary")
    files = {}
    for kind in ("PDF", "CSV"):
        link = page.locator("main a", has_text=kind).first
        link.wait_for()
        with page.expect_download() as download:
            link.click()
        files[kind] = download.value.path().read_bytes()
    page.close()
    return files


def test_she_downloads_the_report_as_pdf_and_csv(in_browser, town, fraud):
    files = in_browser(_make_report, town, fraud, "internal")

    assert files["PDF"].startswith(b"%PDF-")
    rows = list(csv.reader(io.StringIO(files["CSV"].decode("utf-8-sig"))))
    assert len(rows) > 2
    assert any("it@acme.example" in cell for row in rows for cell in row)


def _share(browser, town: Town, address: str) -> None:
    page = sign_in(browser, town, "ana")
    page.goto(address)
    page.click("text=Share with the client")
    page.click("dialog button.primary")
    expect(page.locator("main")).to_contain_text("sees this incident since")
    page.close()


def _portal(browser, town: Town) -> tuple[int, str]:
    """How many incidents the client sees, and the page of the one."""
    page = sign_in(browser, town, "pia", at="portal")
    links = page.locator("article h2 a")
    n = links.count()
    text = ""
    if n:
        links.first.click()
        page.wait_for_selector(".story")
        text = page.locator("main").inner_text()
    page.close()
    return n, text


def test_a_client_sees_in_the_portal_only_what_was_shared(in_browser, town, fraud):
    assert in_browser(_portal, town)[0] == 0

    in_browser(_share, town, fraud)
    seen, text = in_browser(_portal, town)
    assert seen == 1
    assert "it@acme.example" in text
    assert "Score" not in text
