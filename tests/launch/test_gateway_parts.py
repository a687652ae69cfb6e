"""Rspamd and ClamAV as parts: what they write, and what they say where they cannot run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from console.gateway_parts import PartMissing, PartSettings
from console.gateway_parts import debian as debian_module
from console.gateway_parts import rspamd as rspamd_module
from console.gateway_parts.clamav import ClamavPart
from console.gateway_parts.debian import Programs, find_programs, unpack
from console.gateway_parts.rspamd import RspamdPart
from console.launch.account import Account


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PartSettings:
    """Programs are where the test says: only what would be written is looked at."""
    there = Programs(Path("/"))
    monkeypatch.setattr(rspamd_module, "find_programs", lambda *_: there)
    monkeypatch.setattr(rspamd_module, "account_for", lambda _: None)
    ports = {name: port for port, name in enumerate(RspamdPart.ports, 4001)}
    return PartSettings(
        folder=tmp_path,
        logs=tmp_path / "log",
        hostname="mx1.keep.example",
        ports=ports | {"CLAMAV_PORT": 4100},
        dns=("127.0.0.1", 5353),
    )


def written(part: RspamdPart, settings: PartSettings) -> dict[str, str]:
    conf = settings.folder_of("rspamd") / "conf"
    files = part.plan(settings).files
    return {str(f.path.relative_to(conf)): f.text for f in files if conf in f.path.parents}


def test_rspamd_listens_on_loopback_only(settings):
    workers = {
        name: text for name, text in written(RspamdPart(), settings).items() if "worker" in name
    }
    sockets = [
        line
        for text in workers.values()
        for line in text.splitlines()
        if line.startswith("bind_socket")
    ]
    assert len(sockets) == 4
    (scan,) = [line for line in sockets if '"127.0.0.1:40' not in line]
    assert f'"{settings.folder_of("rspamd")}/scan/scan.sock mode=0666"' in scan
    assert RspamdPart().plan(settings).gate["BAILEY_RSPAMD_SCAN"] in scan
    assert workers["override.d/worker-proxy.inc"] == "enabled = false;\n"


def test_the_gate_asks_by_loopback_where_the_folder_is_too_long_for_a_socket(settings):
    deep = replace(settings, folder=settings.folder / ("x" * 100))
    assert RspamdPart().plan(deep).gate["BAILEY_RSPAMD_SCAN"].startswith("127.0.0.1:40")
    assert "scan.sock" not in written(RspamdPart(), deep)["override.d/worker-normal.inc"]


def test_rspamd_asks_nobody_on_the_internet(settings):
    files = written(RspamdPart(), settings)
    for name in ("rbl", "surbl", "asn", "rspamd_update", "url_redirector", "dcc", "neural"):
        assert files[f"override.d/{name}.conf"] == "enabled = false;\n"
    assert "rspamd.com" not in files["override.d/fuzzy_check.conf"]
    assert 'nameserver = ["127.0.0.1:5353"]' in files["override.d/options.inc"]


def test_rspamd_says_itself_that_it_ran_out_of_time_and_trusts_no_private_address(settings):
    options = written(RspamdPart(), settings)["override.d/options.inc"]
    assert "soft_reject_on_timeout = true;" in options
    assert "local_addrs = [];" in options


def test_the_controller_takes_nothing_without_its_password(settings):
    part = RspamdPart()
    controller = written(part, settings)["override.d/worker-controller.inc"]
    password = part.plan(settings).gate["BAILEY_RSPAMD_PASSWORD"]
    assert f'enable_password = "{password}"' in controller
    assert "secure_ip = [];" in controller
    assert len(password) == 48


def test_passwords_are_made_once_and_nobody_else_may_read_them(settings):
    part = RspamdPart()
    first, again = part.plan(settings).gate, part.plan(settings).gate
    assert first == again
    keys = settings.folder_of("rspamd") / "keys.json"
    assert keys.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(keys.read_text())) == {"store", "controller"}
    words = ("password =", "requirepass")
    secret = [f for f in part.plan(settings).files if any(word in f.text for word in words)]
    assert len(secret) == 3
    assert all(file.mode == 0o600 for file in secret)


def test_an_operators_own_file_stands_in_place_of_ours(settings):
    own = settings.folder_of("rspamd") / "local" / "override.d"
    own.mkdir(parents=True)
    (own / "rbl.conf").write_text("enabled = true;\n")
    assert written(RspamdPart(), settings)["override.d/rbl.conf"] == "enabled = true;\n"


def test_an_rspamd_that_is_not_there_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(rspamd_module, "find_programs", lambda *_: None)
    with pytest.raises(PartMissing, match=r"apt-get install .* rspamd"):
        RspamdPart(tmp_path).find()


def test_clamav_without_signatures_is_no_clamav(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "console.gateway_parts.clamav.find_programs", lambda *_: Programs(Path("/"))
    )
    with pytest.raises(PartMissing, match="no signatures"):
        ClamavPart(tmp_path, signatures=tmp_path).find()


def test_unpacked_programs_bring_their_libraries_along(tmp_path):
    program = tmp_path / "usr/bin/rspamd"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho $LD_LIBRARY_PATH\n")
    program.chmod(0o755)
    (tmp_path / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
    found = Programs(tmp_path)
    assert found.version("usr/bin/rspamd").endswith(f"{tmp_path}/usr/lib/x86_64-linux-gnu")
    assert found.rspamd_folders()["SHAREDIR"] == tmp_path / "usr/share/rspamd"
    assert find_programs("usr/bin/no-such-program", tmp_path) is None


def test_where_packages_cannot_be_had_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(PartMissing, match="there is no apt-get here"):
        unpack(["rspamd"], tmp_path / "x")


def test_root_is_told_where_its_engines_cannot_go(tmp_path, monkeypatch):
    monkeypatch.setattr(debian_module, "can_enter", lambda *_: False)
    monkeypatch.setattr(
        debian_module,
        "unprivileged_account",
        lambda: Account("nobody", 65534, 65534),
    )
    with pytest.raises(PartMissing, match="nobody, who runs the engines for root, cannot get"):
        debian_module.account_for(tmp_path / "not" / "there")
