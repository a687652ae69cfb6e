"""The worker and the beat.  Tasks are rings; the truth about work is in PostgreSQL.

See tenants/work.py.
"""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import after_task_publish, beat_init, task_postrun, task_prerun, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
# Django's checks read every page there is, a second of a processor at each start of worker and
# beat, which show none; migrating makes them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

from django.conf import settings
from django.db import close_old_connections

from seg_bridge import sign_of_life
from tenants.work import load_handlers

SWEEP_S = 2.0
PARTITIONS_S = 3600.0
FORGET_S = 3600.0
DIGESTS_S = 300.0
RETENTION_S = 3600.0
COMPARE_S = 300.0
TITLES_S = 24 * 3600.0
DOMAINS_S = 3600.0
SIGHT_S = 3600.0

app = Celery("bailey", broker=settings.REDIS_URL)
app.autodiscover_tasks(["tenants", "incidents", "seg_bridge"])
app.conf.update(
    task_ignore_result=True,
    task_default_queue="intake",
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    task_acks_late=False,
    beat_schedule={
        "sweep": {"task": "tenants.ring_all", "schedule": SWEEP_S},
        "partitions": {"task": "incidents.keep_partitions", "schedule": PARTITIONS_S},
        "digests": {"task": "seg_bridge.want", "args": ["digest"], "schedule": DIGESTS_S},
        "retention": {"task": "seg_bridge.want", "args": ["retain"], "schedule": RETENTION_S},
        "domains": {"task": "seg_bridge.want", "args": ["onboard"], "schedule": DOMAINS_S},
        "sight": {"task": "seg_bridge.want", "args": ["access"], "schedule": SIGHT_S},
        "rare traits": {"task": "incidents.forget_rare_traits", "schedule": FORGET_S},
        "titles": {"task": "incidents.follow_titles", "schedule": TITLES_S},
        "interference": {"task": "incidents.want_compare", "schedule": COMPARE_S},
    },
    # The beat keeps no state worth a file.
    beat_schedule_filename=str(settings.VAR_DIR / "beat-schedule"),
)
# Celery's Django hook would close the connection around every task; it reads this key itself.
app.conf.update({"CELERY_DB_REUSE_MAX": 10**9})


@task_prerun.connect
@task_postrun.connect
def _honour_conn_max_age(**_: object) -> None:
    close_old_connections()


@worker_init.connect
def _begin_worker(**_: object) -> None:
    sign_of_life.forget()
    load_handlers()


@task_postrun.connect
def _tell_of_work(state: str = "", **_: object) -> None:
    if state == "SUCCESS":
        sign_of_life.give()


@beat_init.connect
def _begin_beat(**_: object) -> None:
    sign_of_life.forget()
    after_task_publish.connect(_tell_of_ring, weak=False)


def _tell_of_ring(**_: object) -> None:
    """In the beat alone: a worker rings, too, and that says nothing of its work."""
    sign_of_life.give()
