"""The gate as it is started in production, with the real reader and the embedded engine."""

import asyncio
import os
import signal
import socket
import sys

from seg_bridge.gate.journal import read_all
from seg_bridge.gate.policy import sign_snapshot
from seg_bridge.gate.records import observations
from seg_bridge.gate.snapshots import SnapshotKeeper
from tests.seg_bridge.gate.parts import SECRET, SmtpClient, mail_bytes, snapshot_of, tenant
from tests.seg_bridge.gate.processes import ROOT


def environment(folder, **changes):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "PATH": os.environ["PATH"],
        "BAILEY_GATE_NAME": "gate1",
        "BAILEY_GATE_SECRET": SECRET.hex(),
        "BAILEY_GATE_DIR": str(folder),
        "BAILEY_GATE_LISTEN": f"127.0.0.1:{port}",
        "BAILEY_GATE_HOSTNAME": "gate1.example",
        "BAILEY_INGEST_URL": "http://127.0.0.1:1",
        "BAILEY_DNS": "127.0.0.1:1",
        **changes,
    }, port


async def started(env):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "seg_bridge.gate",
        cwd=ROOT,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    return process, await asyncio.wait_for(process.stdout.readline(), 60)


async def test_the_process_scans_and_relays_by_the_policy_on_disk_and_ends_in_order(tmp_path, sink):
    SnapshotKeeper(tmp_path / "snapshot.json", gate="gate1", secret=SECRET).replace(
        sign_snapshot(snapshot_of(tenant("acme", 1, sink.hop)).as_json(), SECRET)
    )
    env, port = environment(tmp_path)
    process, first_line = await started(env)
    assert first_line == b"ready\n"
    client = await SmtpClient.connect("127.0.0.1", port)
    reply = await asyncio.wait_for(client.send(mail_bytes(), "info@acme.example"), 60)
    client.close()
    process.send_signal(signal.SIGTERM)
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert reply.startswith("250"), errors
    assert process.returncode == 0
    assert sink.recipients() == ["info@acme.example"]
    (seen,) = [each for record in read_all(tmp_path / "journal") for each in observations(record)]
    assert (seen["engine"], seen["action"]) == ("embedded", "delivered")
    assert "auth_unavailable" in {reason["code"] for reason in seen["reasons"]}


async def test_a_port_that_is_taken_is_named_with_the_variable_that_changes_it(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        env, _ = environment(tmp_path, BAILEY_GATE_LISTEN=f"127.0.0.1:{port}")
        process, first_line = await started(env)
        _, errors = await process.communicate()
    assert first_line == b""
    assert process.returncode == 2
    assert f"BAILEY_GATE_LISTEN=127.0.0.1:{port}" in errors.decode()
