from collections.abc import Iterator

import pytest

from tests.api_bridge.sandbox.running import Company, SandboxProcess


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """One sandbox for the whole run; a test makes its own company in it."""
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as process:
        yield process
        assert process.stop() == 0


@pytest.fixture
def other(cloud: SandboxProcess) -> Iterator[Company]:
    """A second tenant, which must never be seen by the first."""
    made = Company(cloud)
    yield made
    made.close()


@pytest.fixture
def company(cloud: SandboxProcess) -> Iterator[Company]:
    made = Company(cloud)
    yield made
    made.close()
    cloud.admin("DELETE", "faults", status=204)
