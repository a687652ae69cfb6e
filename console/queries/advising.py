"""A recommendation, and where its question stands."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from incidents.models import Incident


@dataclass(frozen=True, slots=True)
class Advice:
    """An action with its effect; ``href`` is the question that comes before it, "": there is none
    to press now.
    """

    text: str
    effect: str
    href: str
    icon: str


def question_of(incident: Incident, name: str) -> str:
    return reverse(f"incident_{name}", args=[incident.id])
