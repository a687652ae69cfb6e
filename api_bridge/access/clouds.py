"""Where the clouds answer, and the operator's own one (the sandbox, a test).

A person chooses a name; addresses are set here and by the operator, never typed into a page.
Source: https://learn.microsoft.com/graph/deployments, read November 2026.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from tenants.errors import WrongInput


@dataclass(frozen=True, slots=True, kw_only=True)
class MicrosoftCloud:
    """``people_url``: where browsers are sent to; programs go to ``authority_url``."""

    words: str
    authority_url: str
    api_url: str
    people_url: str = ""
    ca_file: str = ""


_CLOUDS = {
    "global": MicrosoftCloud(
        words="Microsoft 365",
        authority_url="https://login.microsoftonline.com",
        api_url="https://graph.microsoft.com",
    ),
    "us": MicrosoftCloud(
        words="Microsoft 365 US Government (GCC High)",
        authority_url="https://login.microsoftonline.us",
        api_url="https://graph.microsoft.us",
    ),
    "dod": MicrosoftCloud(
        words="Microsoft 365 US Government (DoD)",
        authority_url="https://login.microsoftonline.us",
        api_url="https://dod-graph.microsoft.us",
    ),
    "china": MicrosoftCloud(
        words="Microsoft 365 operated by 21Vianet",
        authority_url="https://login.partner.microsoftonline.cn",
        api_url="https://microsoftgraph.chinacloudapi.cn",
    ),
}
OWN = "own"
GOOGLE = "google"


def clouds() -> dict[str, MicrosoftCloud]:
    """By name; the operator's own one comes first, where there is one."""
    own = settings.OTHER_CLOUD
    if not own:
        return dict(_CLOUDS)
    https, people, ca_file = own
    words = f"The cloud at {https.removeprefix('https://')}"
    cloud = MicrosoftCloud(
        words=words, authority_url=https, api_url=https, people_url=people, ca_file=ca_file
    )
    return {OWN: cloud, **_CLOUDS}


def google_clouds() -> dict[str, str]:
    """Words by name; the operator's own one comes first, where there is one."""
    own = clouds().get(OWN)
    return ({OWN: own.words} if own else {}) | {GOOGLE: "Google Workspace"}


def cloud_named(name: str) -> MicrosoftCloud:
    """Raises ``WrongInput``."""
    found = clouds().get(name)
    if found is None:
        raise WrongInput("This cloud is not known here. Choose one from the list.")
    return found
