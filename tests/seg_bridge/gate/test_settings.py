import os
import subprocess
import sys
from pathlib import Path

import pytest

from seg_bridge.gate.settings import BadSetting, read_settings

GOOD = {
    "BAILEY_GATE_NAME": "gate1",
    "BAILEY_GATE_SECRET": "ab" * 32,
    "BAILEY_GATE_DIR": "/var/lib/bailey",
    "BAILEY_GATE_HOSTNAME": "mx1.example.com",
}


def test_good_settings_are_read_with_their_defaults():
    settings = read_settings(GOOD)
    assert settings.listen == ("127.0.0.1", 2525)
    assert settings.ingest_url == "http://127.0.0.1:8002"
    assert settings.takes_xclient is False
    assert settings.dns is None


def test_engines_are_named_once_each_and_are_found_by_port_or_socket():
    named = {"BAILEY_GATE_ENGINES": "rspamd, clamav,rspamd", "BAILEY_CLAMAV": "/run/clamd.ctl"}
    settings = read_settings({**GOOD, **named, "BAILEY_RSPAMD_LEARN": "127.0.0.1:11334"})
    assert settings.engines == ("rspamd", "clamav")
    assert settings.clamav == Path("/run/clamd.ctl")
    assert settings.rspamd == ("127.0.0.1", 11333)
    assert settings.rspamd_learn == ("127.0.0.1", 11334)
    assert read_settings(GOOD).engines == ("embedded",)
    assert read_settings(GOOD).rspamd_learn is None


def test_a_submission_listener_has_its_own_address_and_certificate(tmp_path):
    assert read_settings(GOOD).submission is None
    pem = tmp_path / "submission.pem"
    wanted = {"BAILEY_GATE_SUBMISSION": "0.0.0.0:587", "BAILEY_GATE_CERTIFICATE": str(pem)}
    with pytest.raises(BadSetting, match=r"^BAILEY_GATE_CERTIFICATE is wrong"):
        read_settings({**GOOD, **wanted})
    pem.touch()
    settings = read_settings({**GOOD, **wanted})
    assert (settings.submission, settings.submission_tls) == (("0.0.0.0", 587), pem)
    with pytest.raises(BadSetting, match=r"^BAILEY_GATE_SUBMISSION is wrong"):
        read_settings({**GOOD, "BAILEY_GATE_SUBMISSION": "587"})


def test_a_milter_needs_the_listener_for_what_is_sent_apart():
    behind = {**GOOD, "BAILEY_GATE_MILTER": "/run/bailey/milter.sock"}
    with pytest.raises(BadSetting, match=r"^BAILEY_GATE_REINJECT is missing"):
        read_settings(behind)
    settings = read_settings(
        {**behind, "BAILEY_GATE_REINJECT": "127.0.0.1:2527", "BAILEY_GATE_PROCESSES": "2"}
    )
    assert settings.milter == Path("/run/bailey/milter.sock")
    assert settings.reinject == ("127.0.0.1", 2527)
    assert settings.processes == 2


@pytest.mark.parametrize(
    ("own", "expected"),
    [("host1.example", "host1.example"), ("my_host", "localhost"), ("", "localhost")],
)
def test_without_a_host_name_the_machines_own_counts_if_smtp_allows_it(monkeypatch, own, expected):
    monkeypatch.setattr("socket.gethostname", lambda: own)
    assert read_settings({**GOOD, "BAILEY_GATE_HOSTNAME": ""}).hostname == expected


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BAILEY_GATE_NAME", ""),
        ("BAILEY_GATE_NAME", "Gate 1"),
        ("BAILEY_GATE_SECRET", ""),
        ("BAILEY_GATE_SECRET", "ab" * 31),
        ("BAILEY_GATE_SECRET", "xy" * 32),
        ("BAILEY_GATE_DIR", ""),
        ("BAILEY_GATE_DIR", "/etc/passwd"),
        ("BAILEY_GATE_LISTEN", "2525"),
        ("BAILEY_GATE_LISTEN", "localhost:smtp"),
        ("BAILEY_GATE_HOSTNAME", "mx1 example"),
        ("BAILEY_INGEST_URL", "127.0.0.1:8002"),
        ("BAILEY_GATE_XCLIENT", "yes"),
        ("BAILEY_DNS", "127.0.0.1"),
        ("BAILEY_GATE_ENGINES", "embedded,spamassassin"),
        ("BAILEY_GATE_ENGINES", ","),
        ("BAILEY_RSPAMD_SCAN", "11333"),
        ("BAILEY_RSPAMD_LEARN", "localhost"),
        ("BAILEY_RSPAMD_PASSWORD", "two\r\nlines"),
        ("BAILEY_CLAMAV", "clamd.ctl"),
        ("BAILEY_GATE_MILTER", "milter.sock"),
        ("BAILEY_GATE_MILTER", "/run/" + "x" * 100),
        ("BAILEY_GATE_REINJECT", "2527"),
        ("BAILEY_GATE_POSTFIX", "/etc/passwd"),
        ("BAILEY_GATE_PROCESSES", "0"),
        ("BAILEY_GATE_PROCESSES", "2"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_should_look_like(variable, value):
    with pytest.raises(BadSetting, match=f"^{variable} is .* It should look like: "):
        read_settings({**GOOD, variable: value})


@pytest.mark.parametrize("module", ["seg_bridge.gate", "seg_bridge.gate.ship"])
def test_the_process_refuses_to_start_with_one_line_and_exit_code_2(module):
    root = Path(__file__).resolve().parents[3]
    environment = {"PATH": os.environ["PATH"], **GOOD, "BAILEY_GATE_SECRET": "short"}
    run = subprocess.run(
        [sys.executable, "-m", module],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert "BAILEY_GATE_SECRET is wrong" in run.stderr
