"""Whoever asks a service whether it works hears yes only where it does."""

from __future__ import annotations

import http.server
import os
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from typing_extensions import override

from console import healthy
from console.celery import _tell_of_work
from console.healthy import main
from seg_bridge import sign_of_life
from seg_bridge.gate.milter_wire import negotiate

GATE = {"BAILEY_GATE_NAME": "mx1", "BAILEY_GATE_SECRET": "00" * 32, "BAILEY_GATE_DIR": "/nowhere"}


@pytest.fixture
def alive(tmp_path, monkeypatch):
    path = tmp_path / "alive"
    monkeypatch.setenv(sign_of_life.VARIABLE, str(path))
    monkeypatch.setattr(sign_of_life, "_given_at_s", -sign_of_life.NOT_OFTENER_THAN_S)
    return path


@contextmanager
def one_answer(family, address, speak):
    """A listener that gives one connection to `speak`; yields its address."""
    with socket.socket(family) as listener:
        listener.bind(address)
        listener.listen()
        listener.settimeout(5)

        def serve():
            line, _ = listener.accept()
            with line:
                speak(line)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            thread.join()


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_surface_is_asked_by_a_name_that_it_answers_for(status, monkeypatch, capsys):
    hosts = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            hosts.append(self.headers["Host"])
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        @override
        def log_message(self, format, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        monkeypatch.setitem(healthy.PORTS, "portal", server.server_port)
        told = {"BAILEY_HOSTS": "portal.example,other.example"}
        assert main(["portal"], told) == (0 if status == 200 else 1)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert hosts == ["portal.example"]
    told = capsys.readouterr()
    assert f"answers {status}" in (told.out if status == 200 else told.err)


def test_nobody_there_is_not_healthy(monkeypatch, capsys, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setitem(healthy.PORTS, "console", free.getsockname()[1])
        assert main(["console"], {}) == 1
    milter = {**GATE, "BAILEY_GATE_REINJECT": "127.0.0.1:1"}
    assert main(["gate"], {**milter, "BAILEY_GATE_MILTER": str(tmp_path / "none.sock")}) == 1
    assert main(["gate"], {}) == 1
    assert "BAILEY_GATE_NAME is missing" in capsys.readouterr().err
    assert main(["gateway"], {"GATE_PORT": "none"}) == 1
    assert main(["everything"], {}) == main([], {}) == 2


@pytest.mark.parametrize(
    ("greeting", "status"), [(b"220 mx1\r\n", 0), (b"421 no\r\n", 1), (b"", 1)]
)
def test_a_gate_that_speaks_smtp_greets(greeting, status):
    with one_answer(socket.AF_INET, ("127.0.0.1", 0), lambda line: line.sendall(greeting)) as at:
        assert main(["gate"], {**GATE, "BAILEY_GATE_LISTEN": f"{at[0]}:{at[1]}"}) == status


@pytest.mark.parametrize("is_well", [True, False])
def test_a_gate_behind_postfix_negotiates(is_well, tmp_path):
    """By the very answer that the gate gives, to an offer that it takes."""

    def speak(line):
        offer = line.recv(512)
        line.sendall(negotiate(offer[5:])[0] if is_well else b"")

    path = str(tmp_path / "milter.sock")
    told = {**GATE, "BAILEY_GATE_MILTER": path, "BAILEY_GATE_REINJECT": "127.0.0.1:1"}
    with one_answer(socket.AF_UNIX, path, speak):
        assert main(["gate"], told) == (0 if is_well else 1)


@pytest.mark.parametrize("service", healthy.FRESH_S)
def test_what_has_no_port_is_known_by_its_work(service, alive, capsys):
    told = {sign_of_life.VARIABLE: str(alive)}
    assert main([service], {}) == main([service], told) == 1
    sign_of_life.give()
    assert main([service], told) == 0
    long_ago = time.time() - healthy.FRESH_S[service] - 1
    os.utime(alive, (long_ago, long_ago))
    assert main([service], told) == 1
    assert "has done nothing for" in capsys.readouterr().err
    sign_of_life.forget()
    assert not alive.exists()


def test_only_a_task_that_was_done_is_a_sign(alive):
    _tell_of_work(state="FAILURE")
    assert not alive.exists()
    _tell_of_work(state="SUCCESS")
    assert alive.exists()


def test_a_sign_that_cannot_be_written_harms_nobody(alive, monkeypatch):
    monkeypatch.setenv(sign_of_life.VARIABLE, "/nowhere/alive")
    sign_of_life.give()
    monkeypatch.delenv(sign_of_life.VARIABLE)
    sign_of_life.forget()
    sign_of_life.give()
    assert not alive.exists()
