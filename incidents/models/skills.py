"""Who is good at what, and what a kind of incident needs."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from incidents.models.incident import Incident
from tenants.base import ScopedModel
from tenants.ids import new_id


class PersonSkill(ScopedModel):
    """``skill`` in small letters: ``fraud``, ``malware``, ``german``."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    person = models.ForeignKey("tenants.Person", on_delete=models.CASCADE, related_name="skills")
    skill = models.CharField(max_length=40)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["person", "skill"], name="person_skill_once")
        ]


class SkillNeed(ScopedModel):
    """Incidents of this kind are for people with this skill; of several skills one is enough."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=Incident.Kind.choices)
    skill = models.CharField(max_length=40)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "kind", "skill"], name="skill_need_once")
        ]
