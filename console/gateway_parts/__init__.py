"""What stands beside the gate in a full gateway: Postfix, Rspamd, ClamAV.  docs/gateway.md.

Each module holds one part, an object that says what it needs and plans its files and programs.
``manage.py gateway`` and the launcher write the files and start the programs; nothing outside the
part's own folder is touched.  A new part is a module and a line in ``registry.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from console.launch.account import Account
from console.launch.children import nothing_to_tend
from console.launch.process import Command, Process


class PartMissing(Exception):
    """The part can't run on this machine; the words say what to install or do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSettings:
    """One start.  ``ports`` has every variable that the part's ``ports`` names; ``dns`` None is the
    system's resolver; ``hostname`` is the gateway's own name in SMTP; ``gate_account`` who runs
    the gate, None: whoever starts the parts.
    """

    folder: Path
    logs: Path
    hostname: str
    ports: Mapping[str, int]
    host: str = "127.0.0.1"
    dns: tuple[str, int] | None = None
    gate_account: Account | None = None
    takes_xclient: bool = False

    @property
    def gate_folder(self) -> Path:
        """Where the gate's socket is, and what the gate writes for other parts."""
        return self.folder / "gate"

    def folder_of(self, part: str) -> Path:
        return self.folder / part


@dataclass(frozen=True, slots=True)
class PlannedFolder:
    """``owner`` None: whoever starts the part."""

    path: Path
    owner: Account | None = None
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """``is_kept``: one that is there already stays as it is."""

    path: Path
    text: str
    mode: int = 0o644
    owner: Account | None = None
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """One process of a part, and how it shows that it works.  ``tend`` is called each minute."""

    command: Command
    is_ready: Callable[[Process], bool]
    tend: Callable[[], None] = nothing_to_tend


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlan:
    """``prepare`` are commands to run once the files are there; ``check`` reads the configuration
    and ends with 0 where it is good.  ``gate`` is what the gate's environment needs to find the
    part.
    """

    folders: tuple[PlannedFolder, ...]
    files: tuple[PlannedFile, ...]
    prepare: tuple[tuple[str, ...], ...] = ()
    check: tuple[str, ...]
    programs: tuple[Program, ...]
    gate: Mapping[str, str] = field(default_factory=dict)


class Part(Protocol):
    """``packages`` are Debian's; ``ports`` maps variable to the port where it is not set.

    A part that is not ``is_needed`` runs where its programs are, and is not installed for anybody.
    """

    @property
    def name(self) -> str: ...

    @property
    def is_needed(self) -> bool: ...

    @property
    def packages(self) -> tuple[str, ...]: ...

    @property
    def ports(self) -> Mapping[str, int]: ...

    def find(self) -> str:
        """Version and place of its programs.  Raises ``PartMissing``."""
        ...

    def plan(self, settings: PartSettings) -> PartPlan:
        """Raises ``PartMissing``."""
        ...
