"""What every room's tests use: database and broker, what lies beside the repository, a browser."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker
from pytest_django.fixtures import Settings

from console.gateway_parts import PartMissing
from console.launch.process import Command, Process
from tests import made_database
from tests.emptying import use_for_tests_that_commit
from tests.factories import Cast, make_cast
from tests.quick_hashes import use_quick_hashes
from tests.real_engines import RealClamd, RealRspamd, run_clamd, run_rspamd
from tests.services import SERVICES, Services
from tests.static_files import use_once_looked_up

ROOT = Path(__file__).resolve().parents[1]
# How long an example takes says how busy the machine is, not whether a law holds.
hypothesis_settings.register_profile(
    "bailey", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("bailey")
# Files are given out whole to the test processes, in this order and then as they are found.  What
# takes minutes comes first: at the end it would leave the others idle.  What mostly waits (for what
# was killed) goes to one process of tests, while the others keep the cores busy: to whoever gets a
# file of one test, the fifth file is given as well.  What shares a world stands together: a process
# makes it once for all files that follow each other.
FIRST = (
    *("crash/test_kills.py", "isolation/test_routes.py", "browser/test_journeys.py"),
    *("isolation/test_canaries.py", "launch/test_run.py", "isolation/", "console/api/"),
    *("seg_bridge/gate/test_crash.py", "browser/", "seg_bridge/test_end_to_end.py"),
    *("launch/test_gateway.py", "seg_bridge/test_full_gateway.py", "seg_bridge/gate/"),
    *("api_bridge/sandbox/test_process.py", "api_bridge/test_limits.py", "api_bridge/test_cache"),
)
use_once_looked_up()
use_quick_hashes()
MAKER = pytest.StashKey[Process]()


def pytest_configure(config: pytest.Config) -> None:
    """Where tests run in several processes: one makes the database while they look for tests."""
    if getattr(config.option, "numprocesses", None) and SERVICES.has_own_database:
        argv = (sys.executable, "-m", "tests.made_database")
        # What it says is said again by the first test that needs the database.
        config.stash[MAKER] = Process(Command(name="database", argv=argv, cwd=ROOT))


def pytest_unconfigure(config: pytest.Config) -> None:
    if maker := config.stash.get(MAKER, None):
        maker.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order of ``FIRST``; within a file as it stands."""

    @cache
    def place(path: Path) -> int:
        name = path.relative_to(ROOT / "tests").as_posix()
        return next((n for n, first in enumerate(FIRST) if name.startswith(first)), len(FIRST))

    items.sort(key=lambda item: place(item.path))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Packed files carry the second they were made in: two test processes would name them
    differently.
    """
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def services():
    """PostgreSQL and Valkey, running; their addresses are in DATABASE_URL… and REDIS_URL."""
    try:
        SERVICES.start(is_migrated=True)
        yield SERVICES
    finally:
        SERVICES.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(services: Services) -> None:
    """pytest-django asks for this before it makes the test database: the moment to start one."""


@pytest.fixture
def no_broker(settings: Settings, request: pytest.FixtureRequest) -> None:
    """Cache and channels of this test alone: the sign-in tries of others do not count in it."""
    memory = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {"default": {"BACKEND": memory, "LOCATION": request.node.nodeid}}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with the corpus and the vendors' specifications (BAILEY_SHARED or ../shared)."""
    folder = Path(os.environ.get("BAILEY_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here (BAILEY_SHARED names another)")
    return folder.resolve()


@pytest.fixture(scope="session")
def corpus_dir(shared_dir: Path) -> Path:
    """The labelled mail of the corpus, unpacked once per machine: mail/, manifest.csv, torture/."""
    archive = shared_dir / "corpus" / "dev.tar.xz"
    if not archive.is_file():
        pytest.skip(f"{archive} is not here")
    if shutil.which("tar") is None or shutil.which("xz") is None:
        pytest.skip("unpacking the corpus needs tar and xz")
    known = archive.stat()
    key = hashlib.sha256(f"{archive} {known.st_size} {known.st_mtime_ns}".encode()).hexdigest()[:12]
    home = Path(tempfile.gettempdir()) / f"bailey-corpus-{os.getuid()}-{key}"
    if not home.is_dir():
        scratch = Path(tempfile.mkdtemp(prefix="bailey-corpus-"))
        subprocess.run(["tar", "-xJf", archive, "-C", scratch], check=True)
        try:
            scratch.rename(home)
        except OSError:  # another test process was first
            shutil.rmtree(scratch)
    return home / "dev"


def _install_chromium() -> None:
    for argv in (
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", "chromium"],
    ):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(argv, check=False, capture_output=True, env=environment)


@pytest.fixture(scope="session")
def chromium(pytestconfig: pytest.Config) -> str:
    """Path of a Chromium; installed from Debian where we are root, else the journey is left out."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        capture = pytestconfig.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print("\nInstalling Chromium from Debian …", flush=True)
        _install_chromium()
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium here (root on Debian would install it)")
    return found


@pytest.fixture(scope="session")
def real_rspamd() -> Iterator[RealRspamd]:
    """One Rspamd for all tests; left out where Debian's package cannot be had."""
    try:
        with run_rspamd() as running:
            yield running
    except PartMissing as error:
        pytest.skip(f"no Rspamd here: {error}")


@pytest.fixture(scope="session")
def real_clamd() -> Iterator[RealClamd]:
    """A clamd that knows one signature; left out where Debian's package cannot be had."""
    try:
        with run_clamd() as running:
            yield running
    except PartMissing as error:
        pytest.skip(f"no ClamAV here: {error}")


@pytest.fixture(scope="session")
def browser_type_launch_args(chromium: str) -> dict[str, object]:
    """What pytest-playwright starts: Debian's Chromium; its sandbox does not work for root."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {"executable_path": chromium, "args": arguments, "headless": True}


@pytest.fixture
def cast(db: None) -> Cast:
    """Clients and people (tests/factories.py)."""
    return make_cast()


@pytest.fixture
def transactional_cast(transactional_db: None) -> Cast:
    """The same, committed: for tests with several connections or processes."""
    return make_cast()


@pytest.fixture(scope="session")
def django_db_setup(
    services: Services,
    django_test_environment: None,
    django_db_blocker: DjangoDbBlocker,
    request: pytest.FixtureRequest,
) -> Iterator[None]:
    """The database that came with our server, or one that pytest-django makes in another's."""
    if services.has_own_database:
        for known in (settings.DATABASES["default"], connection.settings_dict):
            known["NAME"] = made_database.NAME
    else:
        request.getfixturevalue("django_db_setup")
    use_for_tests_that_commit()
    yield
    # Connections of threads that are gone would keep the test database from being dropped.
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND usename = current_user"
        )
    connection.close()
