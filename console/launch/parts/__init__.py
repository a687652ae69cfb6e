"""The gateway's engines as processes of our own: what to write, what to start, how it shows ready.

One module for each: `rspamd`, `clamav`. Each has a settings class and `plan(settings)`, which
returns its parts in the order of their start. Of the system's configuration only what the packages
ship is read, and nothing is touched. Programs come from `debian`: installed, or unpacked without
root.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console.launch.account import Account
from console.launch.process import Command, Process


class PartMissing(Exception):
    """A program that a part needs is not on this machine; the words say how to get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`files` are written before `command` starts, each readable by the command's account only;
    `folders` are made for it. `ready_within_s` is generous: a first start compiles its rules.
    """

    command: Command
    is_ready: Callable[[Process], bool]
    files: Mapping[Path, str] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    ready_within_s: float = 60.0

    @property
    def name(self) -> str:
        return self.command.name

    def prepare(self) -> None:
        """Write the files. May be repeated."""
        account = self.command.account
        for folder in self.folders:
            _make_folder(folder, account)
        for path, content in self.files.items():
            _make_folder(path.parent, account)
            path.touch(mode=0o600)
            path.write_text(content, encoding="utf-8")
            _give_to(path, account)


def _make_folder(folder: Path, account: Account | None) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent, account)
        folder.mkdir(mode=0o700)
        _give_to(folder, account)


def _give_to(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid)
