"""What: mail, what was seen of it, incidents, actions and evidence."""

from incidents.models.disagreement import Disagreement, LateVerdicts, StandingOrder
from incidents.models.evidence import ContentAccess, Evidence, Report
from incidents.models.incident import GroupKey, Incident, IncidentMessage
from incidents.models.mail import (
    Backlog,
    Delivery,
    Message,
    Observation,
    Sighting,
    TraceKey,
    TraitCount,
)
from incidents.models.remediation import Intent, Job

__all__ = [
    "Backlog",
    "ContentAccess",
    "Delivery",
    "Disagreement",
    "Evidence",
    "GroupKey",
    "Incident",
    "IncidentMessage",
    "Intent",
    "Job",
    "LateVerdicts",
    "Message",
    "Observation",
    "Report",
    "Sighting",
    "StandingOrder",
    "TraceKey",
    "TraitCount",
]
