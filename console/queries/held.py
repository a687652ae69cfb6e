"""A held copy as somebody asks about it: what the same rule holds, and whether she may release."""

from __future__ import annotations

from dataclasses import dataclass, replace

from incidents.held import SameRule, held_by_same_rule
from incidents.layers import ReleaseRight
from incidents.models import Delivery
from incidents.release_rights import releasable, rights_of, role_of
from tenants.models import Person


@dataclass(frozen=True, slots=True)
class ReleaseQuestion:
    """``same``: others of the same rule, as far as this person may release them."""

    copy: Delivery
    same: SameRule
    right: ReleaseRight
    may: bool


def release_question(copy: Delivery, person: Person) -> ReleaseQuestion:
    """Needs a scope that names the provider."""
    right = rights_of([copy])[copy.id]
    same = same_rule_for(copy, person)
    return ReleaseQuestion(copy, same, right, role_of(person) in right.roles)


def same_rule_for(copy: Delivery, person: Person) -> SameRule:
    same = held_by_same_rule(copy)
    return replace(same, others=releasable(same.others, person))
