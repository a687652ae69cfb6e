"""The embedded servers come up, keep what they were given and go down."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import psycopg
import pytest
import redis

from console.launch.account import unprivileged_account
from console.launch.pglocal import LocalPostgres, find_binaries, is_passing_trouble
from console.launch.ports import free_port
from console.launch.process import start_ready
from console.launch.valkeylocal import LocalValkey


@pytest.fixture
def open_folder():
    """A folder that the account which runs the database may enter (pytest's own are private)."""
    with tempfile.TemporaryDirectory(prefix="bailey-servers-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def local_postgres(folder: Path) -> LocalPostgres:
    return LocalPostgres(
        folder / "postgres", port=free_port(), password="geheim'nis", log=folder / "log"
    )


def start(server: LocalPostgres):
    return start_ready(server.command(), server.is_ready, try_again=is_passing_trouble)


def test_postgres_keeps_rows_over_a_kill(open_folder):
    server = local_postgres(open_folder)
    assert server.prepare() is True
    process = start(server)
    try:
        with psycopg.connect(server.superuser_url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        os.kill(process.pid, signal.SIGKILL)
        process.end(5)
        assert server.prepare() is False
        process = start(server)
        with psycopg.connect(server.superuser_url()) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    finally:
        process.stop()
    assert process.poll() == 0


def test_postgres_has_what_the_product_needs(services):
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_available_extensions WHERE name IN ('pg_trgm', 'btree_gin')"
        ).fetchone()
    assert row == (2,)


def test_postgres_refuses_a_wrong_password(services):
    address = os.environ["DATABASE_URL"].rpartition("@")[2]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://bailey_owner:wrong@{address}")


def test_root_never_runs_postgres_itself():
    account = unprivileged_account()
    assert (account is not None) == (os.geteuid() == 0)
    assert account is None or account.uid != 0
    assert find_binaries(account).major >= 15


def test_valkey_keeps_a_list_over_a_stop_and_wants_its_password(tmp_path):
    broker = LocalValkey(
        tmp_path / "valkey", port=free_port(), password="geheimnis", log=tmp_path / "log"
    )
    broker.prepare()
    process = start_ready(broker.command(), lambda _: broker.is_ready())
    try:
        redis.Redis.from_url(broker.url).rpush("queue", "one", "two")
        process.stop()
        process = start_ready(broker.command(), lambda _: broker.is_ready())
        assert redis.Redis.from_url(broker.url).lrange("queue", 0, -1) == [b"one", b"two"]
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=broker.port).ping()
    finally:
        process.stop()
    assert (tmp_path / "valkey" / "valkey.conf").stat().st_mode & 0o777 == 0o600
