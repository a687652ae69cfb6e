"""Who is good at what, and which incidents that fits.

An incident needs one of the skills that its kind is mapped to, and its client's language where
somebody of the provider is known to speak it.  What nobody asked for is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from incidents.models import Incident, PersonSkill, SkillNeed
from tenants.audit import write_audit
from tenants.errors import WrongInput
from tenants.models import Person, Tenant
from tenants.people import must_lead

SKILLS_SET = "incidents.skills.set"
NEEDS_SET = "incidents.skill_needs.set"
MOST_SKILLS = 30
LONGEST_SKILL = 40
_BETWEEN = re.compile(r"[,;/]|\band\b|\bor\b", re.IGNORECASE)

Skills = frozenset[str]


@dataclass(frozen=True, slots=True)
class Needs:
    """``known``: every skill that somebody of the provider has."""

    by_kind: dict[str, Skills]
    known: Skills

    def of(self, kind: str, language: str) -> list[Skills]:
        """Sets of skills, of each of which one is needed."""
        spoken = frozenset(read_skills(_BETWEEN.split(language))) & self.known
        return [need for need in (self.by_kind.get(kind, Skills()), spoken) if need]

    def fits(self, skills: Skills, kind: str, language: str) -> bool:
        return all(need & skills for need in self.of(kind, language))


@dataclass(frozen=True, slots=True)
class Ranked:
    """``fits``: how many of the incidents that need a skill she has it for."""

    person: Person
    fits: int


def read_skills(texts: Iterable[str]) -> list[str]:
    """In small letters, each once, in order; empty ones are left out."""
    names = (" ".join(text.lower().split()) for text in texts)
    return list(dict.fromkeys(name for name in names if name))


def _checked(texts: Iterable[str]) -> list[str]:
    skills = read_skills(texts)
    if len(skills) > MOST_SKILLS:
        raise WrongInput(f"At most {MOST_SKILLS} skills.")
    for skill in skills:
        if len(skill) > LONGEST_SKILL or not skill.isprintable():
            raise WrongInput(f"A skill is a word or two, of at most {LONGEST_SKILL} characters.")
    return skills


def skills_by_person() -> dict[UUID, Skills]:
    """Of everybody of the provider who has any."""
    found: dict[UUID, set[str]] = {}
    for person_id, skill in PersonSkill.objects.values_list("person_id", "skill"):
        found.setdefault(person_id, set()).add(skill)
    return {person_id: Skills(skills) for person_id, skills in found.items()}


def read_needs() -> Needs:
    by_kind: dict[str, set[str]] = {}
    for kind, skill in SkillNeed.objects.values_list("kind", "skill"):
        by_kind.setdefault(kind, set()).add(skill)
    known = PersonSkill.objects.values_list("skill", flat=True).distinct()
    return Needs({kind: Skills(skills) for kind, skills in by_kind.items()}, Skills(known))


@transaction.atomic
def set_skills(*, person: Person, skills: Iterable[str], actor: Person) -> list[str]:
    """All that she is good at; what is left out she has no more.  Answers them as they are kept.

    Her own, or by a lead: raises ``NotAllowed`` for anybody else, and ``WrongInput``.
    """
    if actor.id != person.id:
        must_lead(actor)
    wanted = _checked(skills)
    before = _replace(PersonSkill, wanted, provider_id=person.provider_id, person_id=person.id)
    _record(SKILLS_SET, actor, ("person", person.id), before, wanted)
    return wanted


@transaction.atomic
def set_needs(*, kind: str, skills: Iterable[str], actor: Person) -> list[str]:
    """Which skills incidents of this kind are for; none: they are for everybody.

    Raises ``NotAllowed`` (it holds for all clients: a lead's) or ``WrongInput``.
    """
    must_lead(actor)
    if kind not in Incident.Kind.values:
        raise WrongInput("There is no such kind of incident.")
    wanted = _checked(skills)
    before = _replace(SkillNeed, wanted, provider_id=actor.provider_id, kind=kind)
    _record(NEEDS_SET, actor, ("kind", kind), before, wanted)
    return wanted


def _replace(model: Any, wanted: Sequence[str], **whose: Any) -> list[str]:
    """``model``: the table of these skills.  Answers those that stood there before."""
    rows = model.objects.filter(**whose)
    known = sorted(rows.values_list("skill", flat=True))
    rows.exclude(skill__in=wanted).delete()
    new = [skill for skill in wanted if skill not in known]
    model.objects.bulk_create(model(**whose, skill=skill) for skill in new)
    return known


def _record(
    action: str, actor: Person, what: tuple[str, object], before: list[str], after: list[str]
) -> None:
    write_audit(
        action,
        actor=actor,
        provider_id=actor.provider_id,
        object_kind=what[0],
        object_id=what[1],
        before=before,
        after=after,
    )


def fitting_skills(incidents: QuerySet[Incident], person: Person) -> QuerySet[Incident]:
    """Those that this person has the skills for."""
    needs, hers = read_needs(), skills_by_person().get(person.id, Skills())
    kinds = [kind for kind in Incident.Kind.values if needs.fits(hers, kind, "")]
    languages = Tenant.objects.exclude(contact_language="").values_list("id", "contact_language")
    foreign = [client for client, language in languages if not needs.fits(hers, "", language)]
    return incidents.filter(kind__in=kinds).exclude(tenant__in=foreign)


def rank_by_skill(people: Sequence[Person], incidents: Iterable[Incident]) -> list[Ranked]:
    """Who has the skills for most of these incidents first, else in the order given.

    Nobody ``fits`` where no skill is needed.  Incidents come with their client.
    """
    needs, skills = read_needs(), skills_by_person()
    wanted = [
        need
        for incident in incidents
        if (need := needs.of(incident.kind, incident.tenant.contact_language))
    ]
    ranked = [
        Ranked(
            person,
            sum(all(one & skills.get(person.id, Skills()) for one in need) for need in wanted),
        )
        for person in people
    ]
    return sorted(ranked, key=lambda each: -each.fits)
