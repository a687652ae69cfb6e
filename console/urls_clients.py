"""Clients, their mail hosts and how they are connected: part of ``console.urls``."""

from django.urls import path

from console.views import (
    access,
    accounts,
    clients,
    gaps,
    grouping,
    modes,
    onboarding,
    outbound,
    scan_back,
    service_accounts,
    user_reports,
)

CLIENTS = [
    path("console/clients/<slug:slug>/accounts", accounts.client_accounts, name="client_accounts"),
    path(
        "console/clients/<slug:slug>/accounts/look",
        accounts.client_accounts_look,
        name="client_accounts_look",
    ),
    path(
        "console/clients/<slug:slug>/accounts/terms",
        accounts.client_accounts_terms,
        name="client_accounts_terms",
    ),
    path(
        "console/mailboxes/<uuid:mailbox_id>/settings",
        accounts.mailbox_settings,
        name="mailbox_settings",
    ),
    path("console/account-signs/<uuid:sign_id>", accounts.account_sign, name="account_sign"),
    path("console/incidents/<uuid:incident_id>/step", accounts.incident_step, name="incident_step"),
    path(
        "console/account-steps/<uuid:step_id>/undo",
        accounts.account_step_undo,
        name="account_step_undo",
    ),
    path(
        "console/account-steps/<uuid:step_id>/withdraw",
        accounts.account_step_withdraw,
        name="account_step_withdraw",
    ),
    path("console/clients/<slug:slug>/modes", modes.modes, name="modes"),
    path("console/clients/<slug:slug>/modes/set", modes.mode_set, name="mode_set"),
    path(
        "console/pull-proposals/<uuid:proposal_id>/approve",
        modes.proposal_approve,
        name="proposal_approve",
    ),
    path(
        "console/pull-proposals/<uuid:proposal_id>/decline",
        modes.proposal_decline,
        name="proposal_decline",
    ),
    path("console/clients", clients.clients, name="clients"),
    path("console/clients/new", onboarding.client_new, name="client_new"),
    path("console/clients/<slug:slug>/onboard", onboarding.onboard, name="onboard"),
    path(
        "console/clients/<slug:slug>/onboard/domain",
        onboarding.onboard_domain,
        name="onboard_domain",
    ),
    path(
        "console/clients/<slug:slug>/onboard/recipients",
        onboarding.onboard_recipients,
        name="onboard_recipients",
    ),
    path(
        "console/clients/<slug:slug>/onboard/policy",
        onboarding.onboard_policy,
        name="onboard_policy",
    ),
    path(
        "console/clients/<slug:slug>/onboard/gates", onboarding.onboard_gates, name="onboard_gates"
    ),
    path("console/clients/<slug:slug>/onboard/look", onboarding.onboard_look, name="onboard_look"),
    path(
        "console/clients/<slug:slug>/onboard/trial", onboarding.onboard_trial, name="onboard_trial"
    ),
    path(
        "console/clients/<slug:slug>/onboard/behind",
        onboarding.onboard_behind,
        name="onboard_behind",
    ),
    path("console/clients/<slug:slug>/mailbox", access.access, name="access"),
    path("console/clients/<slug:slug>/mailbox/ask", access.access_ask, name="access_ask"),
    path("console/clients/<slug:slug>/mailbox/pushes", access.access_pushes, name="access_pushes"),
    path("console/clients/<slug:slug>/mailbox/scopes", access.access_scopes, name="access_scopes"),
    path(
        "console/clients/<slug:slug>/mailbox/host/<slug:kind>",
        access.access_host,
        name="access_host",
    ),
    path("console/clients/<slug:slug>/mailbox/back", scan_back.scan_back, name="scan_back"),
    path(
        "console/clients/<slug:slug>/mailbox/back/new",
        scan_back.scan_back_new,
        name="scan_back_new",
    ),
    path("console/scan-backs/<uuid:run_id>/stop", scan_back.scan_back_stop, name="scan_back_stop"),
    path(
        "console/scan-backs/<uuid:run_id>/go-on", scan_back.scan_back_go_on, name="scan_back_go_on"
    ),
    path("console/scan-backs/<uuid:run_id>/pull", scan_back.scan_back_pull, name="scan_back_pull"),
    path(
        "console/scan-backs/<uuid:run_id>/report",
        scan_back.scan_back_report,
        name="scan_back_report",
    ),
    path(
        "console/scan-backs/<uuid:run_id>/list/<slug:figure>",
        scan_back.scan_back_list,
        name="scan_back_list",
    ),
    path("console/mailboxes.csv", access.mailbox_counts, name="mailbox_counts"),
    path("console/clients/<slug:slug>/mailbox/link", access.access_link, name="access_link"),
    path(
        "console/consent-links/<uuid:link_id>/withdraw",
        access.access_link_withdraw,
        name="access_link_withdraw",
    ),
    path("console/consent", access.consent_return, name="consent_return"),
    path("console/registrations", access.app_registrations, name="registrations"),
    path("console/registrations/<slug:purpose>", access.registration, name="registration"),
    path(
        "console/google-accounts/<slug:purpose>",
        service_accounts.google_account,
        name="google_account",
    ),
    path(
        "console/google-accounts/<slug:purpose>/remove",
        service_accounts.google_account_remove,
        name="google_account_remove",
    ),
    path("console/clients/<slug:slug>/recipients", onboarding.recipients, name="recipients"),
    path(
        "console/recipients/<uuid:mailbox_id>/remove",
        onboarding.recipient_remove,
        name="recipient_remove",
    ),
    path("console/domains/<uuid:domain_id>", onboarding.domain_way, name="domain_way"),
    path("console/clients/<slug:slug>", clients.client, name="client"),
    path("console/clients/<slug:slug>/hubs", grouping.client_hubs, name="client_hubs"),
    path("console/clients/<slug:slug>/grouping", grouping.client_grouping, name="client_grouping"),
    path(
        "console/clients/<slug:slug>/grouping/decide",
        grouping.client_grouping_decide,
        name="client_grouping_decide",
    ),
    path(
        "console/clients/<slug:slug>/blind-spots",
        clients.client_blindspots,
        name="client_blindspots",
    ),
    path(
        "console/clients/<slug:slug>/blind-spots/<slug:fate>",
        clients.client_blindspots_list,
        name="client_blindspots_list",
    ),
    path(
        "console/clients/<slug:slug>/blind-spots/exchange/<slug:fate>",
        clients.client_traced,
        name="client_traced",
    ),
    path("console/clients/<slug:slug>/found-late", gaps.client_gaps, name="client_gaps"),
    path(
        "console/clients/<slug:slug>/found-late/<slug:kind>",
        gaps.client_gaps_list,
        name="client_gaps_list",
    ),
    path("console/reported", user_reports.user_reports, name="user_reports"),
    path("console/clients/<slug:slug>/reported", user_reports.report_terms, name="report_terms"),
    path(
        "console/clients/<slug:slug>/interference",
        clients.client_interference,
        name="client_interference",
    ),
    path("console/clients/<slug:slug>/warnings", clients.client_warnings, name="client_warnings"),
    path("console/clients/<slug:slug>/outbound", outbound.client_outbound, name="client_outbound"),
    path(
        "console/clients/<slug:slug>/outbound/terms",
        outbound.client_outbound_terms,
        name="client_outbound_terms",
    ),
    path(
        "console/clients/<slug:slug>/outbound/hosts",
        outbound.client_outbound_host,
        name="client_outbound_host",
    ),
    path(
        "console/clients/<slug:slug>/outbound/hosts/remove",
        outbound.client_outbound_host_remove,
        name="client_outbound_host_remove",
    ),
    path(
        "console/clients/<slug:slug>/outbound/logins",
        outbound.client_outbound_login,
        name="client_outbound_login",
    ),
    path(
        "console/submission-logins/<uuid:login_id>/end",
        outbound.submission_login_end,
        name="submission_login_end",
    ),
    path(
        "console/clients/<slug:slug>/outbound/keys",
        outbound.client_outbound_key,
        name="client_outbound_key",
    ),
    path(
        "console/signing-keys/<uuid:key_id>/check",
        outbound.signing_key_check,
        name="signing_key_check",
    ),
    path(
        "console/signing-keys/<uuid:key_id>/sign",
        outbound.signing_key_sign,
        name="signing_key_sign",
    ),
    path(
        "console/signing-keys/<uuid:key_id>/retire",
        outbound.signing_key_retire,
        name="signing_key_retire",
    ),
    path(
        "console/stopped-senders/<uuid:stop_id>/lift",
        outbound.sender_stop_lift,
        name="sender_stop_lift",
    ),
]
