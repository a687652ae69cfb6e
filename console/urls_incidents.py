"""Incidents and the work on them: part of ``console.urls``."""

from django.urls import path

from console.views import (
    campaign,
    disagreements,
    groups,
    incident,
    jobs,
    ledger,
    orders,
    queue,
    renewals,
    story,
    tending,
    times,
    together,
    work,
)

INCIDENTS = [
    path("console/", queue.queue, name="queue"),
    path("console/handled", queue.handled, name="handled"),
    path("console/health", queue.health, name="health"),
    path("console/incidents/<uuid:incident_id>", incident.incident, name="incident"),
    path("console/incidents/<uuid:incident_id>/take", incident.incident_take, name="incident_take"),
    path("console/incidents/<uuid:incident_id>/pull", incident.incident_pull, name="incident_pull"),
    path(
        "console/incidents/<uuid:incident_id>/restore",
        incident.incident_restore,
        name="incident_restore",
    ),
    path(
        "console/incidents/<uuid:incident_id>/block", incident.incident_block, name="incident_block"
    ),
    path(
        "console/incidents/<uuid:incident_id>/resolve",
        incident.incident_resolve,
        name="incident_resolve",
    ),
    path(
        "console/incidents/<uuid:incident_id>/share", incident.incident_share, name="incident_share"
    ),
    path(
        "console/incidents/<uuid:incident_id>/reopen",
        incident.incident_reopen,
        name="incident_reopen",
    ),
    path(
        "console/incidents/<uuid:incident_id>/report",
        incident.incident_report,
        name="incident_report",
    ),
    path("console/incidents/<uuid:incident_id>/look", incident.incident_look, name="incident_look"),
    path("console/incidents/<uuid:incident_id>/read", incident.incident_read, name="incident_read"),
    path(
        "console/incidents/<uuid:incident_id>/story.csv",
        story.incident_story_csv,
        name="incident_story_csv",
    ),
    path("console/log/<uuid:entry_id>", story.log_entry, name="log_entry"),
    path("console/incidents/<uuid:incident_id>/campaign", campaign.campaign, name="campaign"),
    path(
        "console/incidents/<uuid:incident_id>/campaign/pull",
        campaign.campaign_pull,
        name="campaign_pull",
    ),
    path(
        "console/incidents/<uuid:incident_id>/campaign/block",
        campaign.campaign_block,
        name="campaign_block",
    ),
    path(
        "console/incidents/<uuid:incident_id>/together",
        together.incident_together,
        name="incident_together",
    ),
    path(
        "console/incidents/<uuid:incident_id>/merge", together.incident_merge, name="incident_merge"
    ),
    path(
        "console/incidents/<uuid:incident_id>/split", together.incident_split, name="incident_split"
    ),
    path("console/incidents/<uuid:incident_id>/move", together.incident_move, name="incident_move"),
    path(
        "console/incidents/<uuid:incident_id>/campaign/join",
        together.incident_join_campaign,
        name="incident_join_campaign",
    ),
    path(
        "console/incidents/<uuid:incident_id>/campaign/leave",
        together.incident_leave_campaign,
        name="incident_leave_campaign",
    ),
    path(
        "console/regroupings/<uuid:regrouping_id>/undo",
        together.regrouping_undo,
        name="regrouping_undo",
    ),
    path(
        "console/incidents/<uuid:incident_id>/assign",
        tending.incident_assign,
        name="incident_assign",
    ),
    path(
        "console/incidents/<uuid:incident_id>/triage",
        tending.incident_triage,
        name="incident_triage",
    ),
    path(
        "console/incidents/<uuid:incident_id>/ticket",
        tending.incident_ticket,
        name="incident_ticket",
    ),
    path(
        "console/incidents/<uuid:incident_id>/comment",
        tending.incident_comment,
        name="incident_comment",
    ),
    path("console/incidents/<uuid:incident_id>/call", tending.incident_call, name="incident_call"),
    path("console/incidents/<uuid:incident_id>/wait", tending.incident_wait, name="incident_wait"),
    path(
        "console/incidents/<uuid:incident_id>/answer",
        tending.incident_answer,
        name="incident_answer",
    ),
    path(
        "console/incidents/<uuid:incident_id>/quiet", tending.incident_quiet, name="incident_quiet"
    ),
    path("console/incidents/<uuid:incident_id>/wake", tending.incident_wake, name="incident_wake"),
    path("console/incidents/<uuid:incident_id>/task", tending.incident_task, name="incident_task"),
    path("console/attachments/<uuid:attachment_id>", tending.attachment, name="attachment"),
    path("console/tasks/<uuid:task_id>", tending.task_settle, name="task_settle"),
    path("console/incidents/bulk", work.incidents_bulk, name="incidents_bulk"),
    path("console/views", work.view_save, name="view_save"),
    path("console/views/<uuid:view_id>/remove", work.view_remove, name="view_remove"),
    path("console/mentions", work.mentions, name="mentions"),
    path("console/suppressions", work.suppression_rules, name="suppressions"),
    path("console/suppressions/add", work.suppression_add, name="suppression_add"),
    path(
        "console/suppressions/<uuid:suppression_id>/remove",
        work.suppression_remove,
        name="suppression_remove",
    ),
    path("console/task-templates", work.task_templates, name="task_templates"),
    path("console/groups", groups.groups, name="groups"),
    path("console/groups/new", groups.group_new, name="group_new"),
    path("console/groups/<uuid:group_id>", groups.group_change, name="group_change"),
    path("console/groups/<uuid:group_id>/remove", groups.group_remove, name="group_remove"),
    path("console/skills", groups.skills, name="skills"),
    path("console/skills/people/<uuid:person_id>", groups.person_skills, name="person_skills"),
    path("console/skills/kinds/<slug:kind>", groups.kind_skills, name="kind_skills"),
    path("console/kpis", times.kpis, name="kpis"),
    path("console/kpis/<slug:figure>", times.kpi_incidents, name="kpi_incidents"),
    path("console/sla", times.sla, name="sla"),
    path("console/sla/default", times.sla_default, name="sla_default"),
    path("console/sla/<slug:figure>", times.sla_targets, name="sla_targets"),
    path("console/clients/<slug:slug>/sla", times.client_sla, name="client_sla"),
    path("console/clients/<slug:slug>/statement", times.client_statement, name="client_statement"),
    path("console/ledger", ledger.ledger, name="ledger"),
    path("console/ledger/<slug:figure>", ledger.ledger_figure, name="ledger_figure"),
    path("console/disagreements", disagreements.disagreements, name="disagreements"),
    path("console/disagreements/<uuid:item_id>", disagreements.disagreement, name="disagreement"),
    path(
        "console/disagreements/<uuid:item_id>/rehearse",
        disagreements.disagreement_rehearse,
        name="disagreement_rehearse",
    ),
    path(
        "console/disagreements/<uuid:item_id>/accept",
        disagreements.disagreement_accept,
        name="disagreement_accept",
    ),
    path(
        "console/disagreements/<uuid:item_id>/dismiss",
        disagreements.disagreement_dismiss,
        name="disagreement_dismiss",
    ),
    path("console/standing-orders", orders.orders, name="orders"),
    path(
        "console/standing-orders/<uuid:order_id>/withdraw",
        orders.order_withdraw,
        name="order_withdraw",
    ),
    path("console/clients/<slug:slug>/late-verdicts", orders.late_verdicts, name="late_verdicts"),
    path("console/renewals/<uuid:renewal_id>", renewals.renewal, name="renewal"),
    path(
        "console/renewals/<uuid:renewal_id>/answer", renewals.renewal_answer, name="renewal_answer"
    ),
    path("console/jobs", jobs.jobs, name="jobs"),
    path("console/jobs/<uuid:job_id>", jobs.job, name="job"),
    path("console/jobs/<uuid:job_id>/stop", jobs.job_stop, name="job_stop"),
    path("console/jobs/groups/<uuid:group_id>", campaign.job_group, name="job_group"),
]
