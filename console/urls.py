"""The console (analysts) and the API."""

from django.urls import include, path
from django.views.generic import RedirectView

from console.urls_clients import CLIENTS
from console.urls_incidents import INCIDENTS
from console.views import (
    components,
    entities,
    held,
    mail,
    message,
    people,
    policies,
    pushes,
    queues,
    reports,
    rules,
)
from console.views.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("api/v1/", include("console.api.urls")),
    path("", RedirectView.as_view(pattern_name="queue"), name="root"),
    path("console/login", people.sign_in, name="login"),
    path("console/logout", people.sign_out, name="logout"),
    path("console/mail", mail.mail, name="mail"),
    path("console/mail.csv", mail.mail_csv, name="mail_csv"),
    path("console/mail/<uuid:delivery_id>/trace", mail.trace, name="trace"),
    path("console/messages/<uuid:message_id>", message.message, name="message"),
    path("console/messages/<uuid:message_id>/open", message.message_open, name="message_open"),
    path(
        "console/messages/<uuid:message_id>/report", message.message_report, name="message_report"
    ),
    path(
        "console/messages/<uuid:message_id>/opened/<uuid:access_id>",
        message.message_content,
        name="message_content",
    ),
    path(
        "console/messages/<uuid:message_id>/frame/<uuid:access_id>",
        message.message_frame,
        name="message_frame",
    ),
    path("console/held", held.held, name="held"),
    path("console/held.csv", held.held_csv, name="held_csv"),
    path("console/held/release", held.held_release_all, name="held_release_all"),
    path(
        "console/incidents/<uuid:incident_id>/release",
        held.incident_release,
        name="incident_release",
    ),
    path("console/held/digest", held.held_digest, name="held_digest"),
    path("console/held/<uuid:delivery_id>/delete", held.held_delete, name="held_delete"),
    path("console/messages/<uuid:message_id>/keep", held.message_keep, name="message_keep"),
    path("console/clients/<slug:slug>/sent", held.client_sent, name="client_sent"),
    path("console/clients/<slug:slug>/keep", held.client_keep, name="client_keep"),
    path("console/legal-holds/<uuid:hold_id>/end", held.legal_hold_end, name="legal_hold_end"),
    path("console/held/<uuid:delivery_id>/refuse", held.held_refuse, name="held_refuse"),
    path("console/releases/<uuid:look_id>/look", held.release_look, name="release_look"),
    path("console/held/<uuid:delivery_id>/release", held.held_release, name="held_release"),
    path("console/queues", queues.queues, name="queues"),
    path("console/queues.csv", queues.queues_csv, name="queues_csv"),
    path("console/queues/<uuid:item_id>/<slug:action>", queues.queue_order, name="queue_order"),
    path("console/queues/all/<slug:action>", queues.queue_order_all, name="queue_order_all"),
    path("console/queues/orders/<uuid:batch_id>", queues.queue_batch, name="queue_batch"),
    path(
        "console/queues/orders/<uuid:batch_id>/stop",
        queues.queue_batch_stop,
        name="queue_batch_stop",
    ),
    path("console/entities", entities.entity, name="entity"),
    path("console/entities/graph", entities.entity_graph, name="entity_graph"),
    path(
        "console/incidents/<uuid:incident_id>/graph", entities.incident_graph, name="incident_graph"
    ),
    path("console/rules", rules.rules, name="rules"),
    path("console/rules/new", rules.rule_new, name="rule_new"),
    path("console/rules/export", rules.rules_export, name="rules_export"),
    path("console/rules/import", rules.rules_import, name="rules_import"),
    path("console/rules/<uuid:rule_id>/remove", rules.rule_remove, name="rule_remove"),
    path("console/rehearsals/<uuid:rehearsal_id>", rules.rehearsal, name="rehearsal"),
    path(
        "console/rehearsals/<uuid:rehearsal_id>/save", rules.rehearsal_save, name="rehearsal_save"
    ),
    path(
        "console/rehearsals/<uuid:rehearsal_id>/list/<slug:name>",
        rules.rehearsal_list,
        name="rehearsal_list",
    ),
    path("console/policies", policies.policy_provider, name="policy_provider"),
    path("console/policies/groups/<uuid:group_id>", policies.policy_group, name="policy_group"),
    path("console/policies/clients/<slug:slug>", policies.policy_client, name="policy_client"),
    path("console/policies/domains/<uuid:domain_id>", policies.policy_domain, name="policy_domain"),
    path(
        "console/policies/directory/<uuid:group_id>",
        policies.policy_directory,
        name="policy_directory",
    ),
    path(
        "console/policies/mailboxes/<uuid:mailbox_id>",
        policies.policy_mailbox,
        name="policy_mailbox",
    ),
    path("console/policies/changes/<uuid:change_id>", policies.policy_change, name="policy_change"),
    path(
        "console/policies/changes/<uuid:change_id>/make",
        policies.policy_change_make,
        name="policy_change_make",
    ),
    path("console/policies/push", pushes.policy_push_new, name="policy_push_new"),
    path("console/policies/pushes/<uuid:push_id>", pushes.policy_push, name="policy_push"),
    path(
        "console/policies/pushes/<uuid:push_id>/approve",
        pushes.policy_push_approve,
        name="policy_push_approve",
    ),
    path(
        "console/policies/pushes/<uuid:push_id>/stop",
        pushes.policy_push_stop,
        name="policy_push_stop",
    ),
    path(
        "console/policies/pushes/<uuid:push_id>/retry",
        pushes.policy_push_retry,
        name="policy_push_retry",
    ),
    path("console/reports/<uuid:report_id>.<str:kind>", reports.report_file, name="report_file"),
    path("console/components", components.components, name="components"),
    *INCIDENTS,
    *CLIENTS,
]
