"""Who is good at what, and what each kind of incident needs, as pages and the API show it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from console.queries.bulk import colleagues_in_sight
from incidents.models import Incident
from incidents.services.skills import Skills, read_needs, skills_by_person
from tenants.errors import NotThere
from tenants.models import Person


@dataclass(frozen=True, slots=True)
class PersonRow:
    """``may_change``: by the reader."""

    person: Person
    skills: list[str]
    may_change: bool = False


@dataclass(frozen=True, slots=True)
class KindRow:
    """``skills`` empty: for everybody.  ``lacking``: those that nobody has."""

    kind: str
    label: str
    skills: list[str]
    lacking: list[str]


def skill_rows(reader: Person) -> list[PersonRow]:
    """The reader's colleagues in sight and herself, by name."""
    people = {person.id: person for person in [*colleagues_in_sight(), reader]}
    skills = skills_by_person()
    is_lead = reader.role == Person.Role.LEAD
    return [
        PersonRow(
            person, sorted(skills.get(person.id, Skills())), is_lead or person.id == reader.id
        )
        for person in sorted(people.values(), key=lambda each: (each.name, each.id))
    ]


def access_colleague(person_id: UUID) -> tuple[Person, list[str]]:
    """Somebody of the provider's staff and her skills.  Raises ``NotThere``."""
    person = Person.objects.filter(id=person_id, tenant=None, is_active=True).first()
    if person is None:
        raise NotThere
    return person, sorted(skills_by_person().get(person.id, Skills()))


def kind_rows() -> list[KindRow]:
    needs = read_needs()
    return [
        KindRow(kind, label, sorted(skills), sorted(skills - needs.known))
        for kind, label in Incident.Kind.choices
        for skills in [needs.by_kind.get(kind, Skills())]
    ]
