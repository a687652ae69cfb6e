"""The portal: one client, read-only."""

from django.urls import path
from django.views.generic import RedirectView

from console.portal import consent, links, views
from console.views import people, reports
from console.views.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("", RedirectView.as_view(pattern_name="portal"), name="root"),
    path("portal/login", people.sign_in, name="login"),
    path("portal/logout", people.sign_out, name="logout"),
    path("portal/", views.portal, name="portal"),
    path("portal/incidents", views.portal_incidents, name="portal_incidents"),
    path("portal/incidents/<uuid:incident_id>", views.portal_incident, name="portal_incident"),
    path("portal/incidents/<uuid:incident_id>/answer", views.portal_answer, name="portal_answer"),
    path(
        "portal/attachments/<uuid:attachment_id>",
        views.portal_attachment,
        name="portal_attachment",
    ),
    path("portal/held", views.portal_held, name="portal_held"),
    path("portal/held/<uuid:delivery_id>/ask", views.portal_held_ask, name="portal_held_ask"),
    path("portal/held/digest", views.portal_digest, name="portal_digest"),
    path("portal/mail/<str:token>", links.held_link, name="held_link"),
    path("portal/connect/<str:token>", consent.connect, name="connect"),
    path("portal/connect/<str:token>/step", consent.connect_step, name="connect_step"),
    path("portal/consent", consent.connect_return, name="connect_return"),
    path("portal/access", views.portal_access, name="portal_access"),
    path("portal/access/right", views.portal_access_right, name="portal_access_right"),
    path("portal/found/<uuid:report_id>", views.portal_found, name="portal_found"),
    path("portal/reports", views.portal_reports, name="portal_reports"),
    path(
        "portal/reports/<uuid:report_id>.<str:kind>",
        reports.portal_report_file,
        name="report_file",
    ),
]
