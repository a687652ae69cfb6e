"""The Django project: pages and API that span rooms, for analysts and for clients."""

from console.celery import app as celery_app

__all__ = ["celery_app"]
