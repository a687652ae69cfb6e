"""Pages of the daily work: two browsers at one incident, comments with a preview, figures."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape, strip_tags

from console.queries import kpis, similar, sla
from console.queries.kpis import MEASURES, figures, incidents_behind
from console.queries.similar import similar_to
from console.queries.work import work_of
from incidents.codes import COUNTS
from incidents.models import Comment, GroupKey, Incident, Mention, SavedView, SlaPlan
from incidents.regroup import merge_incidents
from incidents.services import resolve_incident
from incidents.services.tickets import keep_ticket
from incidents.sla.attest import opened_between
from tenants.errors import NotThere
from tenants.ids import new_id
from tests.incidents.work_on import open_incident, staff

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def phish(cast) -> Incident:
    return open_incident(cast.acme)


def browser(person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def hidden_fields(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: value for name, value in found if name != "csrfmiddlewaretoken"}


def test_two_browsers_at_one_incident(cast, phish):
    """Both open the same form; the second is told who was first, and nothing of hers is done."""
    ana, bo = browser(cast.ana), browser(cast.bo)
    where = reverse("incident_resolve", args=[phish.id])
    forms = [hidden_fields(each.get(where).content.decode()) for each in (ana, bo)]
    assert forms[0]["revision"] == forms[1]["revision"]
    said = {"classification": "benign", "cause_code": "expected"}

    first = ana.post(where, {**forms[0], **said, "cause": "Ana says so"})
    wish, page = {**forms[1], **said, "cause": "Bo says so"}, f"http://testserver{where}"
    second = bo.post(where, wish, headers={"Referer": page})
    foreign = bo.post(where, wish, headers={"Referer": "https://evil.example/"})

    assert first.status_code == 302
    assert second.status_code == 409
    assert "Ana resolved it at" in second.content.decode()
    assert f'href="{page}">Look at it again' in second.content.decode()
    assert "evil.example" not in foreign.content.decode()
    with staff(cast):
        assert Incident.objects.get(id=phish.id).cause == "Ana says so"


def test_the_second_owner_is_told_in_a_toast(cast, phish):
    ana, bo = browser(cast.ana), browser(cast.bo)
    where = reverse("incident_assign", args=[phish.id])
    form = hidden_fields(bo.get(where).content.decode())
    ana.post(reverse("incident_triage", args=[phish.id]), {"revision": "0"})
    toast = bo.post(where, {**form, "owner": str(cast.bo.id)}, headers={"HX-Request": "true"})
    assert toast["HX-Retarget"] == "#toasts"
    assert "Ana changed the state at" in toast.content.decode()


@pytest.mark.parametrize("page", ["queue", "incident"])
def test_what_somebody_has_closed_meanwhile_is_not_taken(cast, phish, page):
    ana, where = browser(cast.ana), reverse("incident_take", args=[phish.id])
    shown = ana.get(reverse(page, args=[phish.id] if page == "incident" else []))
    form = hidden_fields(shown.content.decode().partition(where)[2].partition("</form>")[0])
    with staff(cast):
        resolve_incident(incident=phish, actor=cast.bo, classification="benign", cause="A drill")
    assert ana.post(where, form).status_code == 409
    with staff(cast):
        assert Incident.objects.get(id=phish.id).owner_id is None


def test_who_closes_is_told_what_stays_within_reach(cast, phish):
    page = browser(cast.ana).get(reverse("incident_resolve", args=[phish.id])).content.decode()
    assert "1 copy is still within somebody's reach: closing leaves it there." in unescape(page)


def test_a_step_without_words_is_refused_aloud(cast, phish):
    ana = browser(cast.ana)
    answer = ana.post(reverse("incident_task", args=[phish.id]), {"title": " "}, follow=True)
    assert "No task was added: This field is required." in answer.content.decode()


def test_what_the_client_would_read_is_shown_before_it_is_written(cast, phish):
    ana, where = browser(cast.ana), reverse("incident_comment", args=[phish.id])
    said = {"text": "Please change your password <b>", "audience": "client"}
    preview = ana.post(where, said)
    page = preview.content.decode()
    with staff(cast):
        assert not Comment.objects.exists()
    assert "Acme will read this" in page
    assert "Please change your password &lt;b&gt;" in page

    answer = ana.post(where, hidden_fields(page) | {"text": said["text"]})
    assert answer.status_code == 302
    with staff(cast):
        assert Comment.objects.get().audience == "client"
    shown = ana.get(reverse("incident", args=[phish.id])).content.decode()
    assert 'data-tone="info"><header><b>The client sees this' in shown


def test_an_internal_comment_needs_no_second_yes_and_looks_different(cast, phish):
    ana = browser(cast.ana)
    ana.post(
        reverse("incident_comment", args=[phish.id]),
        {"text": "Odd", "audience": "internal", "mentions": [str(cast.bo.id)]},
    )
    shown = ana.get(reverse("incident", args=[phish.id])).content.decode()
    assert 'data-tone="warn"><header><b>Internal' in shown
    assert "Odd" in browser(cast.bo).get(reverse("mentions")).content.decode()
    with staff(cast):
        assert Mention.objects.get().seen_at is None
    browser(cast.bo).get(reverse("incident", args=[phish.id]))
    with staff(cast):
        assert Mention.objects.get().seen_at is not None


def test_its_ticket_stands_in_the_header_and_finds_it(cast, phish):
    ana, where = browser(cast.ana), reverse("incident_ticket", args=[phish.id])
    shown = reverse("incident", args=[phish.id])
    said = hidden_fields(ana.get(where).content.decode()) | {"ticket": "T-4711"}
    bad = ana.post(where, said | {"link": "javascript:alert(1)"})
    assert bad.status_code == 400
    assert "begins with https" in bad.content.decode()

    link = "https://desk.example/t?id=4711&view=1"
    assert ana.post(where, said | {"link": link}).status_code == 302
    header = ana.get(shown).content.decode().partition("<h1>")[0]
    assert f'href="{escape(link)}" target="_blank" rel="noreferrer noopener"' in header
    form = ana.get(where).content.decode()
    assert ('value="T-4711"' in form, f'value="{escape(link)}"' in form) == (True, True)
    assert shown in ana.get(reverse("queue"), {"q": "t-4711"}).content.decode()
    assert shown not in ana.get(reverse("queue"), {"q": "T-4712"}).content.decode()


def test_the_ticket_of_what_was_merged_stays_in_the_header_when_its_own_is_taken_off(cast, phish):
    ana, shown = browser(cast.ana), reverse("incident", args=[phish.id])
    others = [open_incident(cast.acme, number) for number in (2, 3)]

    def header():
        page = ana.get(shown).content.decode().partition("<h1>")[0]
        return " ".join(strip_tags(page.rpartition("Ticket")[2]).split())

    with staff(cast):
        for each, ticket in ((phish, "T-1"), (others[0], "T-2"), (others[1], "T-3")):
            keep_ticket(incident=each, actor=cast.ana, ticket=ticket, link="")
        for each in others:
            phish.refresh_from_db()
            merge_incidents(kept=phish, gone=each, actor=cast.ana, reason="one attack")
    numbers = tuple(each.number for each in others)
    assert header().startswith("T-1 · T-2 (#{}) · T-3 (#{})".format(*numbers))
    ana.post(reverse("incident_ticket", args=[phish.id]), {"ticket": "", "link": ""})
    assert header().startswith("T-2 (#{}) · T-3 (#{})".format(*numbers))


def test_a_search_names_what_is_closed(cast, phish):
    ana = browser(cast.ana)
    ana.post(reverse("incident_ticket", args=[phish.id]), {"ticket": "T-4711"})
    with staff(cast):
        phish.refresh_from_db()
        resolve_incident(incident=phish, actor=cast.ana, classification="benign", cause="A letter")
    for named in (f"#{phish.number}", "T-4711"):
        page = ana.get(reverse("queue"), {"q": named}).content.decode()
        assert "No incident fits" in page
        assert reverse("incident", args=[phish.id]) in page.partition("Named so")[2]


def test_waiting_moves_it_to_its_tab_and_back(cast, phish):
    ana = browser(cast.ana)

    def tab(name):
        return "Invoice" in ana.get(reverse("queue"), {"tab": name}).content.decode()

    assert (tab("mine"), tab("waiting")) == (True, False)
    ana.post(
        reverse("incident_wait", args=[phish.id]),
        {"revision": "0", "cause": "client_answer", "asked": "Was it paid?"},
    )
    assert (tab("mine"), tab("waiting")) == (False, True)
    page = ana.get(reverse("incident", args=[phish.id])).content.decode()
    assert "Was it paid?" in page
    ana.post(reverse("incident_answer", args=[phish.id]), {"answer": "It was not"})
    assert (tab("mine"), tab("waiting")) == (True, False)


def test_many_at_once_shows_a_result_for_each(cast, phish):
    other = open_incident(cast.globex)
    ana = browser(cast.ana)
    choice = re.findall(
        r'name="incident" value="([^"]+)"', ana.get(reverse("incidents_bulk")).content.decode()
    )
    assert {each.partition(".")[0] for each in choice} == {str(phish.id), str(other.id)}
    browser(cast.bo).post(reverse("incident_triage", args=[phish.id]), {"revision": "0"})
    said = {"incident": choice, "action": "assign", "owner": str(cast.ana.id), "hours": "24"}
    seen = ana.post(reverse("incidents_bulk"), said).content.decode()
    assert "Assign to Ana: 1 of 2 would be done" in seen
    assert "Bo changed the state" in seen
    by_client = re.findall(r"<tr><td>(\w+)</td><td class=.num.>(\d)</td>", seen)
    assert by_client == [("Acme", "0"), ("Globex", "1")]
    with staff(cast):
        assert not Incident.objects.exclude(owner_name="").exists(), "nothing is done yet"
    hidden = re.findall(r'<input type="hidden" name="(\w+)"(?: value="([^"]*)")?', seen)
    form: dict[str, list[str]] = {}
    for name, value in hidden:
        form.setdefault(name, []).append(value)
    done = ana.post(reverse("incidents_bulk"), form).content.decode()
    assert "Done: 1 of 2" in done
    assert "Bo changed the state" in done
    with staff(cast):
        assert Incident.objects.get(id=other.id).owner_name == "Ana"


def test_the_queue_narrows_what_is_chosen_from(cast, phish):
    open_incident(cast.globex)
    page = browser(cast.ana).get(reverse("incidents_bulk"), {"client": "acme"}).content.decode()
    assert page.count('name="incident"') == 1


def test_chosen_rows_of_the_queue_lead_to_a_form_with_exactly_these(cast, phish):
    """Without a script: the checkboxes belong to a form of their own, sent by GET."""
    other, third = open_incident(cast.globex), open_incident(cast.acme, 2)
    ana = browser(cast.ana)
    page = ana.get(reverse("queue"), {"tab": "team"}).content.decode()
    values = re.findall(r'name="incident" value="([^"]+)" form="choose"', page)
    assert {each.partition(".")[0] for each in values} == {
        *(str(each.id) for each in (phish, other, third)),
    }
    assert f'<form id="choose" hidden action="{reverse("incidents_bulk")}">' in page
    chosen = [each for each in values if each.startswith((str(phish.id), str(other.id)))]
    form = ana.get(
        reverse("incidents_bulk"),
        {"chosen": "yes", "incident": [*chosen, f"{new_id()}.0", chosen[0]]},
    ).content.decode()
    assert re.findall(r'name="incident" value="([^"]+)"', form) == chosen
    assert "2 chosen; 1 is not there, or not yours" in form
    done = ana.post(
        reverse("incidents_bulk"),
        {"incident": chosen, "action": "triage", "hours": "24", "seen": "yes"},
    )
    assert "Done: 2 of 2" in done.content.decode()
    with staff(cast):
        assert Incident.objects.get(id=third.id).state == "new"


def test_choosing_nothing_is_said_and_chooses_nothing(cast, phish):
    answer = browser(cast.ana).get(reverse("incidents_bulk"), {"chosen": "yes"})
    assert answer.status_code == 400
    assert "Choose at least one incident." in answer.content.decode()


def test_somebody_elses_incident_among_the_chosen_is_not_shown_and_refused_as_not_found(
    cast, phish
):
    foreign = open_incident(cast.globex)
    bo, chosen = browser(cast.bo), [f"{phish.id}.0", f"{foreign.id}.0", f"{new_id()}.0"]
    form = bo.get(reverse("incidents_bulk"), {"incident": chosen}).content.decode()
    assert str(foreign.id) not in form
    assert "1 chosen; 2 are not there, or not yours" in form
    said = {"incident": chosen, "action": "triage", "hours": "24"}
    seen = bo.post(reverse("incidents_bulk"), said).content.decode()
    assert "1 of 3 would be done" in seen
    assert "Not there, or not yours" in seen
    assert "Globex" not in seen
    said["seen"] = "yes"
    done = bo.post(reverse("incidents_bulk"), said).content.decode()
    assert "Done: 1 of 3" in done
    assert done.count("There is nothing here that you may see.") == 2
    assert "Globex" not in done
    with staff(cast):
        assert Incident.objects.get(id=foreign.id).state == "new"


def test_a_view_keeps_the_queues_filters(cast, phish):
    ana = browser(cast.ana)
    where = reverse("view_save") + "?tab=team&client=acme&kind=phish"
    answer = ana.post(where, {"name": "Acme's phish"})
    assert "client=acme" in answer["Location"]
    with staff(cast):
        kept = SavedView.objects.get().filters
    assert kept == {"tab": "team", "client": "acme", "kind": "phish"}
    page = ana.get(reverse("queue")).content.decode()
    assert "Acme&#x27;s phish" in page
    [address] = re.findall(r'class="chip" href="([^"]+)"', page)
    assert set(address.partition("?")[2].split("&amp;")) == {
        *("tab=team", "client=acme", "kind=phish")
    }


def test_an_agreement_with_a_client_by_its_form(cast):
    mo, where = browser(cast.mo), reverse("client_sla", args=["acme"])
    page = mo.get(where).content.decode()
    said = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page)) | {
        f"{severity}_hours": "business" for severity in ("critical", "high", "medium", "low")
    }
    said |= {"time_zone": "Europe/Berlin", "day_5": "10:00-12:00 13:00-14:00", "holidays": ""}
    ana = browser(cast.ana)
    assert "A lead agrees it." in ana.get(where).content.decode()
    assert ana.post(where, said).status_code == 403
    assert mo.post(where, said).status_code == 302
    with staff(cast):
        plan = SlaPlan.objects.get()
    assert plan.weekly[5] == [["10:00", "12:00"], ["13:00", "14:00"]]
    assert plan.targets["high"] == {
        "triage": 30,
        "contain": 60,
        "resolve": 1440,
        "hours": "business",
    }
    wrong = mo.post(where, said | {"day_5": "ten to twelve"})
    assert wrong.status_code == 400


class TestFigures:
    @pytest.fixture
    def opened(self, cast):
        """Ten incidents that took 1 to 10 minutes to triage, and one that nobody has taken."""
        now = timezone.now()
        with staff(cast):
            for n in range(1, 12):
                incident = Incident.objects.create(
                    tenant=cast.acme,
                    number=n,
                    title="x",
                    kind="phish",
                    severity="high",
                    counts=dict.fromkeys(COUNTS, 0),
                    first_seen_at=now,
                    last_seen_at=now,
                )
                start = incident.opened_at
                taken = start + timedelta(minutes=n) if n <= 10 else None
                Incident.objects.filter(id=incident.id).update(
                    triaged_at=taken, first_seen_at=start - timedelta(seconds=n)
                )
        return opened_between(now - timedelta(days=1), now + timedelta(days=1))

    def test_median_p90_and_n(self, cast, opened):
        with staff(cast):
            found = {figure.measure.key: figure for figure in figures(opened)}
        triage, detect = found["triage"], found["detect"]
        assert (triage.n, triage.median) == (10, timedelta(minutes=5, seconds=30))
        assert triage.p90 == timedelta(minutes=9, seconds=6)
        assert (detect.n, detect.median) == (11, timedelta(seconds=6))
        assert (found["resolve"].n, found["resolve"].median) == (0, None)

    def test_each_figure_is_the_time_between_the_two_moments_that_its_formula_names(self, cast):
        """Every step at another distance, so that none stands for another."""
        now = timezone.now()
        minutes = {"triaged_at": 3, "acted_at": 5, "contained_at": 11, "resolved_at": 17}
        with staff(cast):
            incident = open_incident(cast.acme)
            start = incident.opened_at
            steps = {name: start + timedelta(minutes=n) for name, n in minutes.items()}
            Incident.objects.update(first_seen_at=start - timedelta(minutes=2), **steps)
            found = figures(opened_between(now - timedelta(days=1), now + timedelta(days=1)))
        took = {figure.measure.key: figure.median for figure in found}
        steps_min = {"detect": 2, "triage": 3, "act": 5, "contain": 11, "resolve": 17}
        assert took == {key: timedelta(minutes=n) for key, n in steps_min.items()}
        for measure in MEASURES.values():
            words = f"{measure.end} − {measure.start.removesuffix('_at')}"
            assert measure.formula.startswith(words)

    def test_every_figure_is_as_long_as_its_list(self, cast, opened):
        with staff(cast):
            for figure in figures(opened):
                behind: Any = incidents_behind(figure.measure.key, opened)
                took = [row.took for row in behind]
                assert len(took) == figure.n
                assert took == sorted(took, reverse=True)

    @pytest.mark.parametrize(
        ("route", "figure", "module", "most"),
        [("kpi_incidents", "triage", kpis, 10), ("sla_targets", "open", sla, 11)],
    )
    def test_every_page_of_a_list_together_is_as_long_as_the_figure(
        self, cast, opened, monkeypatch, route, figure, module, most
    ):
        monkeypatch.setattr(module, "PAGE", 4)
        ana, where, found = browser(cast.ana), reverse(route, args=[figure]), []
        ask = "?target=triage&from=&client="
        while ask:
            answer = ana.get(where + ask)
            assert answer.status_code == 200
            page = answer.content.decode()
            found += re.findall(r"/console/incidents/([0-9a-f-]{36})", page)
            ask = answer.context["older"]
        assert len(found) == len(set(found)) == most
        assert ana.get(where, {"cursor": "WyJ4IiwieCJd"}).status_code == 400

    def test_too_many_to_be_reckoned_at_once_hide_nothing_else(self, cast, opened, monkeypatch):
        monkeypatch.setattr(sla, "MOST", 1)
        page = browser(cast.ana).get(reverse("sla")).content.decode()
        assert "More than 1 incidents opened then" in page
        assert "What holds" in page

    def test_a_figure_that_does_not_exist(self, opened):
        with pytest.raises(NotThere):
            incidents_behind("luck", opened)

    def test_the_page_and_the_api_say_the_same_with_the_formula(self, cast, opened):
        ana = browser(cast.ana)
        page = ana.get(reverse("kpis")).content.decode()
        answer = ana.get("/api/v1/kpis/").json()
        for measure in MEASURES.values():
            assert escape(measure.formula) in page
        triage = next(each for each in answer["figures"] if each["key"] == "triage")
        assert (triage["n"], triage["median_s"], triage["p90_s"]) == (10, 330, 546)
        listed = ana.get("/api/v1/kpis/triage/?page_size=500").json()["results"]
        assert len(listed) == triage["n"]
        assert [each["tenant"] for each in answer["clients"]] == ["acme"]


def test_like_this_one_says_why_and_what_it_turned_out_to_be(cast, phish):
    there = open_incident(cast.globex)
    with staff(cast):
        resolve_incident(
            incident=there, actor=cast.ana, classification="true_positive", cause="A lookalike"
        )
        [like] = similar_to(phish)
    assert like.incident.id == there.id
    assert "the same content" in like.why
    assert "the same sender" in like.why
    page = browser(cast.ana).get(reverse("incident", args=[phish.id])).content.decode()
    assert "A lookalike" in page.partition("Like this one")[2]


def test_what_stands_open_at_other_clients_is_not_told_twice(cast, phish):
    there = open_incident(cast.globex)
    with staff(cast):
        assert [like.incident for like in work_of(phish).similar] == [there]
        assert work_of(phish, {there.id}).similar == []


def test_like_this_one_is_cut_after_the_likest_in_one_order(cast, phish, monkeypatch):
    """Many share two bands of text, two share all of the content: these come first, by time."""
    same = [open_incident(cast.globex), open_incident(cast.globex, 2, sender="eve@evil.example")]
    others = [open_incident(cast.acme, number) for number in range(3, 9)]
    with staff(cast):
        own = GroupKey.objects.filter(incident=phish)[0]
        for each, kind, value in (
            *((phish, "text", value) for value in ("a", "b")),
            *((each, "text", value) for each in others for value in ("a", "b")),
            (same[1], "content", own.value),
        ):
            GroupKey.objects.create(
                tenant=each.tenant,
                incident=each,
                message=each.memberships.first().message,
                kind=kind,
                value=value,
                last_seen_at=timezone.now(),
            )
        monkeypatch.setattr(similar, "_MOST_MET", 4)
        found = [like.incident.number for like in similar_to(phish)]
        assert found == [like.incident.number for like in similar_to(phish)]
        assert [like.incident for like in similar_to(phish)][:2] == same[::-1]
        assert found[2:] == [others[-1].number, others[-2].number]


def test_like_this_one_looks_back_half_a_year_by_the_sender(cast, phish):
    there = open_incident(cast.globex, 2, sender=phish.sender)
    with staff(cast):
        for days, n in ((179, 1), (181, 0)):
            seen_at = timezone.now() - timedelta(days=days)
            Incident.objects.filter(id=there.id).update(last_seen_at=seen_at)
            assert len(similar_to(phish)) == n


def test_like_this_one_knows_no_client_that_is_not_hers(cast, phish):
    open_incident(cast.globex)
    with staff(cast, cast.acme):
        assert similar_to(phish) == []
    page = browser(cast.bo).get(reverse("incident", args=[phish.id])).content.decode()
    assert "Like this one" not in page
