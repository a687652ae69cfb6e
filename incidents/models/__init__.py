"""What: mail, what was seen of it, incidents, actions and evidence."""

from incidents.models.account import AccountSign
from incidents.models.campaign import (
    Campaign,
    CampaignLink,
    Edge,
    LinkedIncident,
    LinkedMail,
    MessageTrait,
    Recomputation,
    Regrouping,
)
from incidents.models.disagreement import Disagreement, LateVerdicts, StandingOrder
from incidents.models.evidence import ContentAccess, Evidence, Report
from incidents.models.finding import Finding
from incidents.models.incident import GroupKey, Incident, IncidentMessage
from incidents.models.interference import Interference
from incidents.models.ledger import LedgerDay, LedgerEntry, WarningMark
from incidents.models.mail import (
    Answer,
    Backlog,
    Delivery,
    MailTrait,
    Message,
    Observation,
    Sighting,
    TraceKey,
    TraitCount,
)
from incidents.models.mode import LayerMode, PullProposal
from incidents.models.releases import AllowedCopy, ReleaseLook
from incidents.models.remediation import Intent, Job
from incidents.models.renewal import Renewal, RenewalCopy
from incidents.models.skills import PersonSkill, SkillNeed
from incidents.models.sla import Pause, SlaPlan
from incidents.models.userreport import HerdAct, ReportTerms, UserReport
from incidents.models.work import (
    Attachment,
    CallNote,
    ClientWord,
    Comment,
    Mention,
    Quiet,
    SavedView,
    Suppression,
    Task,
    TaskTemplate,
)

__all__ = [
    "AccountSign",
    "AllowedCopy",
    "Answer",
    "Attachment",
    "Backlog",
    "CallNote",
    "Campaign",
    "CampaignLink",
    "ClientWord",
    "Comment",
    "ContentAccess",
    "Delivery",
    "Disagreement",
    "Edge",
    "Evidence",
    "Finding",
    "GroupKey",
    "HerdAct",
    "Incident",
    "IncidentMessage",
    "Intent",
    "Interference",
    "Job",
    "LateVerdicts",
    "LayerMode",
    "LedgerDay",
    "LedgerEntry",
    "LinkedIncident",
    "LinkedMail",
    "MailTrait",
    "Mention",
    "Message",
    "MessageTrait",
    "Observation",
    "Pause",
    "PersonSkill",
    "PullProposal",
    "Quiet",
    "Recomputation",
    "Regrouping",
    "ReleaseLook",
    "Renewal",
    "RenewalCopy",
    "Report",
    "ReportTerms",
    "SavedView",
    "Sighting",
    "SkillNeed",
    "SlaPlan",
    "StandingOrder",
    "Suppression",
    "Task",
    "TaskTemplate",
    "TraceKey",
    "TraitCount",
    "UserReport",
    "WarningMark",
]
