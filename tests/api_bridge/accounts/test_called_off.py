"""Steps that wait in a restored database are not carried out."""

from __future__ import annotations

import pytest
from django.utils import timezone

from api_bridge.accounts.models import AccountStep
from api_bridge.accounts.steps import order_step
from incidents.models import Incident
from tenants.standstill import begin_again
from tests.api_bridge.accounts.conftest import Watched
from tests.api_bridge.accounts.test_responding import again, case

__all__ = ["case"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_broker")]


@pytest.mark.parametrize(
    ("at_the_backup", "after"),
    [
        ({}, AccountStep.State.WITHDRAWN),
        ({"called_at": timezone.now()}, AccountStep.State.UNPROVEN),
        ({"state": AccountStep.State.UNKNOWN}, AccountStep.State.UNPROVEN),
    ],
)
def test_a_step_that_waits_is_called_off(
    watched: Watched, case: Incident, settings, tmp_path, at_the_backup, after
):
    settings.VAR_DIR = tmp_path
    with watched.yard.staff():
        order_step(incident=case, kind="disable", target="", actor=watched.yard.cast.mo)
    with watched.yard.worker():
        AccountStep.objects.update(**at_the_backup)
    counted = begin_again(timezone.now(), is_called_off=True)
    assert counted["steps on accounts"] == 1
    step = again(watched)
    assert step.state == after
    assert "restored from a backup" in step.words
    assert watched.shown()["is_enabled"]
