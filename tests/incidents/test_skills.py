"""Who is good at what: the queue's filter goes by it, and who has the skill is offered first."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from console.queries.queue import Filters, fitting
from incidents.models import Incident
from incidents.services.skills import (
    fitting_skills,
    rank_by_skill,
    read_needs,
    set_needs,
    set_skills,
    skills_by_person,
)
from tenants.errors import NotAllowed, WrongInput
from tenants.models import AuditEntry, Tenant
from tenants.scope import maintenance_scope
from tests.console.test_work_pages import browser
from tests.incidents.work_on import open_incident, staff

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def four(cast) -> dict[str, Incident]:
    """A phish and a fraud at each client; Globex speaks German or French."""
    found = {
        f"{kind} {tenant.slug}": open_incident(tenant, number)
        for number, kind in ((1, "phish"), (2, "bec"))
        for tenant in (cast.acme, cast.globex)
    }
    with maintenance_scope():
        for name, incident in found.items():
            Incident.objects.filter(id=incident.id).update(kind=name.partition(" ")[0])
        Tenant.objects.filter(id=cast.globex.id).update(contact_language="German, French")
    return found


def fits(person, four) -> set[str]:
    names = {incident.id: name for name, incident in four.items()}
    return {names[each.id] for each in fitting_skills(Incident.objects.all(), person)}


def test_what_nobody_asked_for_fits_everybody(cast, four):
    with staff(cast):
        assert fits(cast.ana, four) == set(four)
        set_skills(person=cast.ana, skills=["fraud"], actor=cast.ana)
        assert fits(cast.bo, four) == set(four)


def test_a_kind_needs_one_of_its_skills(cast, four):
    with staff(cast):
        set_needs(kind="bec", skills=["Fraud", " money  laundering"], actor=cast.mo)
        set_skills(person=cast.ana, skills=["FRAUD", "malware"], actor=cast.mo)
        assert fits(cast.ana, four) == set(four)
        assert fits(cast.bo, four) == {"phish acme", "phish globex"}
        assert read_needs().by_kind == {"bec": {"fraud", "money laundering"}}
        set_needs(kind="bec", skills=[], actor=cast.mo)
        assert fits(cast.bo, four) == set(four)


def test_a_language_that_somebody_speaks_is_needed_of_all(cast, four):
    with staff(cast):
        set_skills(person=cast.bo, skills=["german"], actor=cast.mo)
        assert fits(cast.bo, four) == set(four)
        assert fits(cast.ana, four) == {"phish acme", "bec acme"}
        set_skills(person=cast.ana, skills=["french"], actor=cast.mo)
        assert fits(cast.ana, four) == set(four), "one of the client's languages is enough"


def test_the_queue_has_it_as_a_filter_and_a_view_keeps_it(cast, four):
    with staff(cast):
        set_needs(kind="bec", skills=["fraud"], actor=cast.mo)
        found = fitting("team", cast.ana, Filters(fit="mine", client="acme"))
        assert [each.kind for each in found] == ["phish"]
        assert fitting("team", cast.ana, Filters(fit="nonsense")).count() == 4
    ana = browser(cast.ana)
    page = ana.get(reverse("queue"), {"tab": "team", "fit": "mine"}).content.decode()
    assert page.count("data-choose ") == 2
    assert '<option value="mine" selected>Fits my skills' in page
    answer = ana.post(reverse("view_save") + "?tab=team&fit=mine", {"name": "For me"})
    assert "fit=mine" in answer["Location"]


def test_who_has_the_skill_for_most_is_offered_first(cast, four):
    with staff(cast):
        set_needs(kind="bec", skills=["fraud"], actor=cast.mo)
        set_skills(person=cast.mo, skills=["fraud", "german"], actor=cast.mo)
        set_skills(person=cast.bo, skills=["fraud"], actor=cast.mo)
        people = [cast.ana, cast.bo, cast.mo]
        rows = list(Incident.objects.select_related("tenant").filter(kind="bec"))
        ranked = [(each.person.name, each.fits) for each in rank_by_skill(people, rows)]
        assert ranked == [("Mo", 2), ("Bo", 1), ("Ana", 0)]
    chosen = [f"{incident.id}.0" for incident in four.values()]
    page = browser(cast.mo).get(reverse("incidents_bulk"), {"incident": chosen}).content.decode()
    select = page.partition('<select name="owner"')[2].partition("</select>")[0]
    labels = re.findall(r'label="([^"]+)"|<option value="[^"]*"[^>]*>([^<]+)', select)
    assert ["".join(each) for each in labels] == [
        *("Nobody", "Have the skills", "Mo", "Bo", "Others", "Ana"),
    ]


def test_ones_own_skills_are_ones_own_to_say_and_all_others_a_leads(cast):
    ana, mo = browser(cast.ana), browser(cast.mo)
    own, others = (reverse("person_skills", args=[each.id]) for each in (cast.ana, cast.bo))
    assert ana.post(own, {"skills": "Fraud,  german ,fraud,"}).status_code == 302
    assert ana.post(others, {"skills": "fraud"}).status_code == 403
    assert mo.post(others, {"skills": "malware"}).status_code == 302
    with staff(cast):
        assert skills_by_person() == {
            cast.ana.id: {"fraud", "german"},
            cast.bo.id: {"malware"},
        }
        entry = AuditEntry.objects.filter(action="incidents.skills.set").earliest("at")
        assert entry.detail == {"before": [], "after": ["fraud", "german"]}
        with pytest.raises(NotAllowed):
            set_needs(kind="bec", skills=["fraud"], actor=cast.ana)
    assert ana.post(reverse("kind_skills", args=["bec"]), {"skills": "x"}).status_code == 403
    assert mo.post(reverse("kind_skills", args=["bec"]), {"skills": "tax"}).status_code == 302
    assert mo.post(reverse("kind_skills", args=["nothing"]), {"skills": "x"}).status_code == 404
    page = mo.get(reverse("skills")).content.decode()
    assert "nobody has tax" in page
    answer = ana.post(own, {"skills": ""})
    assert answer.status_code == 302
    with staff(cast):
        assert cast.ana.id not in skills_by_person()


@pytest.mark.parametrize("skills", [["x" * 41], ["a\x00b"], [str(n) for n in range(31)]])
def test_a_skill_is_a_word_or_two(cast, skills):
    with staff(cast), pytest.raises(WrongInput, match="skill"):
        set_skills(person=cast.ana, skills=skills, actor=cast.ana)


def test_the_api_says_and_takes_skills(cast):
    mo = browser(cast.mo)

    def post(address, body):
        return mo.post(f"/api/v1/{address}", body, content_type="application/json")

    said = post(f"skills/people/{cast.ana.id}", {"skills": ["Fraud"]})
    assert said.json() == {"skills": ["fraud"]}
    assert post("skills/needs", {"kind": "bec", "skills": ["fraud"]}).status_code == 200
    found = mo.get("/api/v1/skills").json()
    assert {"kind": "bec", "skills": ["fraud"]} in found["needs"]
    assert {row["name"]: row["skills"] for row in found["people"]} == {
        "Ana": ["fraud"],
        "Bo": [],
        "Mo": [],
    }
    assert post(f"skills/people/{cast.pia.id}", {"skills": ["x"]}).status_code == 404
