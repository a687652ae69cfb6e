"""The gateway's parts: found, installed, written, checked, started and stopped."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from console.gateway_parts import PartMissing, PartSettings, install
from console.gateway_parts.command import main
from console.gateway_parts.gateway import (
    Gateway,
    GatewayRuns,
    WrongGatewaySetting,
    only_one,
    read_run_file,
    read_settings,
)
from console.gateway_parts.postfix import PostfixPart, merge_parameters, rotate_log
from console.gateway_parts.prepare import gateway_home
from console.gateway_parts.registry import PARTS
from console.launch.account import Account
from console.launch.plan import WrongSetting, read_plan
from console.launch.ports import free_port
from seg_bridge.gate.limits import FrontLimits
from tests.real_engines import write_own

NOBODY = Account("nobody", 65534, 65534)


@pytest.fixture
def postfix():
    part = PostfixPart()
    try:
        install.install(part.packages)
        part.find()
    except PartMissing as missing:
        pytest.skip(f"no Postfix here: {missing}")
    return part


@pytest.fixture
def needed_parts(postfix):
    """All that a gateway cannot be without is here, whichever test runs first."""
    try:
        for part in PARTS:
            if part.is_needed:
                install.install(part.packages)
    except PartMissing as missing:
        pytest.skip(f"no whole gateway here: {missing}")


@pytest.fixture
def home():
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="bailey-gateway-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def settings(folder, **changes):
    ports = {name: port for part in PARTS for name, port in part.ports.items()}
    plain = PartSettings(folder=folder, logs=folder / "log", hostname="mx1.example", ports=ports)
    return replace(plain, **changes)


def test_the_gateway_is_embedded_unless_full_is_asked_for(tmp_path):
    assert not read_plan({}, tmp_path).has_full_gateway
    full = read_plan({"GATEWAY": "full"}, tmp_path)
    assert full.has_full_gateway
    assert full.ports["REINJECT_PORT"] == 2527
    with pytest.raises(WrongSetting, match="GATEWAY is 'half'; it should be embedded or full"):
        read_plan({"GATEWAY": "half"}, tmp_path)
    with pytest.raises(WrongSetting, match="REINJECT_PORT and GATE_PORT are both 2525"):
        read_plan({"GATEWAY": "full", "REINJECT_PORT": "2525"}, tmp_path)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("GATE_PORT", "smtp", "it should be a port, like 2525"),
        ("BAILEY_DNS", "localhost", "it should look like 127.0.0.1:53"),
        ("BAILEY_GATE_ACCOUNT", "no-such-account", "there is no such account here"),
    ],
)
def test_a_setting_that_is_none_is_named(tmp_path, variable, value, words):
    with pytest.raises(WrongGatewaySetting, match=rf"{variable} is '{value}'.*{words}"):
        read_settings({variable: value}, tmp_path)


def test_what_the_operator_says_replaces_what_we_say():
    ours = "# text\nfirst = 1\nsecond = a,\n  b\nthird = 3\n"
    theirs = "second = own\nfourth = 4\n"
    kept = "# text\nfirst = 1\nthird = 3\n"
    assert merge_parameters(ours, theirs) == f"{kept}\n# From local/main.cf.\n{theirs}"


def test_postfix_closes_its_traps(home, postfix):
    plan = postfix.plan(settings(home, takes_xclient=False))
    files = {file.path.name: file.text for file in plan.files}
    main_cf = dict(line.split(" = ", 1) for line in files["main.cf"].splitlines() if " = " in line)
    assert main_cf["milter_default_action"] == "tempfail"
    assert main_cf["smtpd_forbid_bare_newline"] == "normalize"
    assert main_cf["message_strip_characters"] == r"\0"
    assert main_cf["smtp_line_length_limit"] == "0"
    assert main_cf["local_transport"].startswith("error:")
    limits = FrontLimits()
    assert int(main_cf["message_size_limit"]) == limits.mail_bytes
    assert int(main_cf["smtpd_recipient_limit"]) == limits.recipients
    assert int(main_cf["smtpd_client_connection_count_limit"]) == limits.connections_per_ip
    assert "smtpd_client_event_limit_exceptions =" in files["main.cf"]
    assert "mynetworks =\n" in files["main.cf"]
    services = services_of(files["master.cf"])
    from_loopback = [name for name, text in services.items() if "xclient" in text]
    assert from_loopback == ["127.0.0.1:2529"], "where only the gate itself comes"
    without_milter = [name for name, text in services.items() if "smtpd_milters=\n" in text]
    assert without_milter == ["127.0.0.1:2527", "127.0.0.1:2528"]
    for name in ("127.0.0.1:2587", "127.0.0.1:2465"):
        assert "smtpd_milters=unix:" in services[name]
        assert "submission.sock" in services[name]
    assert main_cf["smtpd_tls_auth_only"] == "yes"
    assert "smtpd_tls_wrappermode=yes" in services["127.0.0.1:2465"]
    asking = [name for name, text in services.items() if "smtpd_sasl_auth_enable" in text]
    assert asking == ["127.0.0.1:2587", "127.0.0.1:2465"]


def services_of(master_cf: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in master_cf.splitlines(keepends=True):
        if line[:1] not in (" ", "#"):
            name = line.split()[0]
        found[name] = found.get(name, "") + line
    return found


def test_files_of_the_gates_account_are_its_own(home, postfix):
    plan = postfix.plan(settings(home, gate_account=NOBODY))
    owned = {item.path.name for item in (*plan.folders, *plan.files) if item.owner == NOBODY}
    assert {"maps", "gate", "mail.log", "domains", "state", "wishes"} <= owned
    # What root writes there, nobody else may have put a link in the place of.
    assert {"main.cf", "desk", "answers"} & owned == set()


def test_a_part_that_is_needed_and_missing_is_named(home, monkeypatch):
    class Nothing(PostfixPart):
        @override
        def find(self):
            raise PartMissing("it is not here")

    monkeypatch.setattr("console.gateway_parts.prepare.may_install", lambda: False)
    with pytest.raises(PartMissing, match="it is not here"):
        Gateway(settings(home), [Nothing()]).prepare()


def test_a_part_that_is_not_needed_is_left_out_with_its_reason(home):
    class Optional(PostfixPart):
        is_needed = False

        @override
        def find(self):
            raise PartMissing("it is not here")

    gateway = Gateway(settings(home), [Optional()])
    gateway.prepare()
    assert [missing.why for missing in gateway.left_out] == ["it is not here"]
    assert gateway.children() == []


def test_nothing_that_is_installed_starts_by_itself(tmp_path, monkeypatch):
    policy, seen = tmp_path / "policy-rc.d", []

    def run(argv, *, words=None):
        if "install" in argv:
            seen.append((policy.read_text(), stat.S_IMODE(policy.stat().st_mode), argv))
        return ""

    monkeypatch.setattr(install, "POLICY", policy)
    monkeypatch.setattr(install, "_run", run)
    monkeypatch.setattr(install, "is_installed", lambda package: package == "here")
    monkeypatch.setattr(install, "may_install", lambda: True)
    assert install.install(["here", "gone"]) == ["gone"]
    ((text, mode, argv),) = seen
    assert text.endswith("exit 101\n")
    assert mode == 0o755
    assert argv[-2:] == ("--no-install-recommends", "gone")
    assert not policy.exists()


def test_somebody_elses_policy_stays(tmp_path, monkeypatch):
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    monkeypatch.setattr(install, "POLICY", policy)
    with install._nothing_starts():
        assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    assert policy.exists()


def test_without_root_the_packages_are_named(monkeypatch):
    monkeypatch.setattr(install, "is_installed", lambda _: False)
    monkeypatch.setattr(install, "may_install", lambda: False)
    with pytest.raises(PartMissing, match="apt-get install postfix postfix-lmdb"):
        install.install(["postfix", "postfix-lmdb"])


def test_parts_live_where_their_accounts_get(tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    monkeypatch.setattr("console.gateway_parts.prepare.SHARED_HOME", shared)
    monkeypatch.setattr("console.gateway_parts.prepare.can_enter", lambda *_: False)
    home = gateway_home(tmp_path / "var", [NOBODY])
    assert home.parent == shared
    assert gateway_home(tmp_path / "var", [NOBODY]) == home, "and stay there"
    monkeypatch.setattr("console.gateway_parts.prepare.can_enter", lambda *_: True)
    assert gateway_home(tmp_path / "other", [NOBODY]) == tmp_path / "other" / "gateway"


def test_one_set_of_parts_for_one_folder(tmp_path):
    with only_one(tmp_path), pytest.raises(GatewayRuns, match="runs already"):
        only_one(tmp_path).__enter__()
    with only_one(tmp_path):
        pass


def test_a_run_file_that_nobody_holds_is_old(tmp_path):
    (tmp_path / "run.json").write_text('{"pid": 1}')
    assert read_run_file(tmp_path) is None
    with only_one(tmp_path):
        assert read_run_file(tmp_path) == {"pid": 1}


def test_a_large_mail_log_is_put_aside(tmp_path, monkeypatch):
    monkeypatch.setattr("console.gateway_parts.postfix.LOG_BYTES", 10)
    monkeypatch.setattr("console.gateway_parts.postfix.LOGS_KEPT", 2)
    reloads = []
    monkeypatch.setattr("subprocess.run", lambda argv, **_: reloads.append(argv[-1]))
    log = tmp_path / "mail.log"
    for number in range(4):
        log.write_text(f"many lines {number}\n")
        log.chmod(0o640)
        rotate_log(log, tmp_path)
        assert log.read_text() == ""
        assert stat.S_IMODE(log.stat().st_mode) == 0o640
    kept = sorted(tmp_path.glob("mail.log.*"))
    assert [path.read_text() for path in kept] == ["many lines 2\n", "many lines 3\n"]
    assert reloads == ["reload"] * 4


def test_up_status_down(home, postfix, needed_parts, monkeypatch, capfd):
    ports = {name: str(free_port()) for name in postfix.ports}
    monkeypatch.setenv("BAILEY_VAR", str(home))
    environment = {"PATH": os.environ["PATH"], "BAILEY_GATE_HOSTNAME": "mx1.example", **ports}
    write_own(home / "gateway", {})
    assert main(["status"], environment) == 3
    assert main(["check"], environment) == 0
    assert "the configuration is good" in capfd.readouterr().out
    assert main(["up"], environment) == 0
    try:
        said = capfd.readouterr().out
        assert f"BAILEY_GATE_REINJECT=127.0.0.1:{ports['REINJECT_PORT']}" in said
        assert main(["status"], environment) == 3, "there is no gate yet"
        told = capfd.readouterr().out
        assert "postfix      runs" in told
        assert "Postfix puts all mail off (451)" in told
        assert main(["up"], environment) == 1
        assert "runs already" in capfd.readouterr().err
    finally:
        assert main(["down"], environment) == 0
    assert main(["status"], environment) == 3
    assert "does not run" in capfd.readouterr().out
    assert not list((home / "gateway").glob("run.json"))
