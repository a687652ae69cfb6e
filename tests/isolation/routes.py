"""Who gets what from which address: the table of STYLE and PROMISES 14.

One line is one route and method.  ``object`` is the kind of thing that its address names, ``-``
none.  A cell is the status for somebody who asks for a thing of a client of hers, ``in`` a redirect
to the sign-in.  What is not in a cell holds for all: a thing of somebody else's client, and one
that does not exist, answer 404 with the same body, whatever the method.

Console: Mo (lead), Ana (both clients), Bo (Acme only); *reader*: Pia and Gus, the clients' own
people; *token*: API tokens of all three (``201/403``: of Mo, of the others); *nobody*: not signed
in, a session or token that has expired, or whose person is no longer active.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tests.api_bridge.sandbox.workspace import service_account

CONSOLE = """
route              method  object     mo  ana  bo   reader token nobody
healthz            GET     -          200 200  200  200    200   200
root               GET     -          302 302  302  302    302   302
login              GET     -          200 200  200  200    200   200
login              POST    -          422 422  422  422    422   422
logout             GET     -          405 405  405  405    405   405
logout             POST    -          302 302  302  302    302   302
queue              GET     -          200 200  200  in     in    in
handled            GET     -          200 200  200  in     in    in
health             GET     -          200 200  200  in     in    in
mail               GET     -          200 200  200  in     in    in
mail_csv           GET     -          200 200  200  in     in    in
trace              GET     delivery   200 200  200  in     in    in
held               GET     -          200 200  200  in     in    in
held_csv           GET     -          200 200  200  in     in    in
queues             GET     -          200 200  200  in     in    in
queues_csv         GET     -          200 200  200  in     in    in
queue_order        GET     queue-item 200 200  200  in     in    in
queue_order        POST    queue-item 302 302  302  in     in    in
queue_order_all    GET     -          200 200  200  in     in    in
queue_order_all    POST    -          409 409  409  in     in    in
queue_batch        GET     queue-batch 200 200 200  in     in    in
queue_batch_stop   GET     queue-batch 405 405 405  405    405   405
queue_batch_stop   POST    queue-batch 302 302 302  in     in    in
entity             GET     -          200 200  200  in     in    in
entity_graph       GET     -          302 302  302  in     in    in
incident_graph     GET     incident   200 200  200  in     in    in
ledger             GET     -          200 200  200  in     in    in
ledger_figure      GET     -          200 200  200  in     in    in
clients            GET     -          200 200  200  in     in    in
groups             GET     -          200 200  200  in     in    in
group_new          GET     -          200 403  403  in     in    in
group_new          POST    -          302 403  403  in     in    in
group_change       GET     own-group  200 403  403  in     in    in
group_change       POST    own-group  302 403  403  in     in    in
group_remove       GET     own-group  405 405  405  405    405   405
group_remove       POST    own-group  302 403  403  in     in    in
skills             GET     -          200 200  200  in     in    in
person_skills      GET     -          404 404  404  in     in    in
person_skills      POST    -          404 404  404  in     in    in
kind_skills        GET     -          200 403  403  in     in    in
kind_skills        POST    -          302 403  403  in     in    in
jobs               GET     -          200 200  200  in     in    in
components         GET     -          200 200  200  in     in    in
client             GET     client     200 200  200  in     in    in
client_new         GET     -          200 403  403  in     in    in
client_new         POST    -          200 403  403  in     in    in
onboard            GET     client     200 200  200  in     in    in
onboard_domain     GET     client     200 403  403  in     in    in
onboard_domain     POST    client     200 403  403  in     in    in
onboard_recipients GET     client     200 403  403  in     in    in
onboard_recipients POST    client     200 403  403  in     in    in
onboard_policy     GET     client     200 403  403  in     in    in
onboard_policy     POST    client     302 403  403  in     in    in
onboard_gates      GET     client     200 403  403  in     in    in
onboard_gates      POST    client     302 403  403  in     in    in
onboard_look       GET     client     405 405  405  405    405   405
onboard_look       POST    client     302 302  302  in     in    in
onboard_trial      GET     client     200 403  403  in     in    in
onboard_trial      POST    client     200 403  403  in     in    in
onboard_behind     GET     client     200 403  403  in     in    in
onboard_behind     POST    client     302 403  403  in     in    in
access             GET     client     200 200  200  in     in    in
access_ask         GET     client     405 405  405  405    405   405
access_ask         POST    client     200 403  403  in     in    in
access_pushes      GET     client     405 405  405  405    405   405
access_pushes      POST    client     302 403  403  in     in    in
access_scopes      GET     client     405 405  405  405    405   405
access_scopes      POST    client     409 403  403  in     in    in
access_link        GET     client     200 403  403  in     in    in
access_link        POST    client     200 403  403  in     in    in
access_link_withdraw GET   consent-link 405 405 405 405    405   405
access_link_withdraw POST  consent-link 302 403 403 in     in    in
access_host        GET     -          404 404  404  in     in    in
access_host        POST    -          404 404  404  in     in    in
scan_back          GET     client     200 200  200  in     in    in
scan_back_new      GET     client     200 403  403  in     in    in
scan_back_new      POST    client     200 403  403  in     in    in
scan_back_stop     GET     scan-back  405 405  405  405    405   405
scan_back_stop     POST    scan-back  302 403  403  in     in    in
scan_back_go_on    GET     scan-back  405 405  405  405    405   405
scan_back_go_on    POST    scan-back  409 403  403  in     in    in
scan_back_pull     GET     scan-back  200 200  200  in     in    in
scan_back_pull     POST    scan-back  200 200  200  in     in    in
scan_back_report   GET     scan-back  405 405  405  405    405   405
scan_back_report   POST    scan-back  302 302  302  in     in    in
scan_back_list     GET     scan-back  200 200  200  in     in    in
mailbox_counts     GET     -          200 200  200  in     in    in
consent_return     GET     -          404 404  404  in     in    in
registrations      GET     -          200 200  200  in     in    in
registration       GET     -          200 403  403  in     in    in
registration       POST    -          200 403  403  in     in    in
google_account     GET     -          200 403  403  in     in    in
google_account     POST    -          200 403  403  in     in    in
google_account_remove GET  -          200 403  403  in     in    in
google_account_remove POST -          302 403  403  in     in    in
recipients         GET     client     200 200  200  in     in    in
recipient_remove   GET     mailbox    405 405  405  405    405   405
recipient_remove   POST    mailbox    409 403  403  in     in    in
domain_way         GET     domain     200 403  403  in     in    in
domain_way         POST    domain     302 403  403  in     in    in
client_hubs        GET     client     200 200  200  in     in    in
client_interference GET    client     200 200  200  in     in    in
client_blindspots GET      client     200 200  200  in     in    in
client_blindspots_list GET client     200 200  200  in     in    in
client_traced      GET     client     200 200  200  in     in    in
client_gaps        GET     client     200 200  200  in     in    in
client_gaps_list   GET     client     200 200  200  in     in    in
client_grouping    GET     client     200 200  200  in     in    in
client_grouping    POST    client     302 302  302  in     in    in
client_grouping_decide GET client     405 405  405  405    405   405
client_grouping_decide POST client    302 302  302  in     in    in
client_warnings    GET     client     200 200  200  in     in    in
client_warnings    POST    client     302 302  302  in     in    in
client_accounts    GET     client     200 200  200  in     in    in
client_accounts_look GET   client     405 405  405  405    405   405
client_accounts_look POST  client     302 302  302  in     in    in
client_accounts_terms GET  client     200 403  403  in     in    in
client_accounts_terms POST client     302 403  403  in     in    in
mailbox_settings   GET     mailbox    200 200  200  in     in    in
account_sign       GET     account-sign 200 200 200 in     in    in
incident_step      GET     incident   400 400  400  in     in    in
incident_step      POST    incident   400 400  400  in     in    in
account_step_undo  GET     account-step 200 200 200 in     in    in
account_step_undo  POST    account-step 302 302 302 in     in    in
account_step_withdraw GET  account-step 200 200 200 in     in    in
account_step_withdraw POST account-step 409 403 403 in     in    in
client_outbound    GET     client     200 200  200  in     in    in
client_outbound_terms GET  client     200 403  403  in     in    in
client_outbound_terms POST client     302 403  403  in     in    in
client_outbound_host GET   client     200 403  403  in     in    in
client_outbound_host POST  client     302 403  403  in     in    in
client_outbound_host_remove GET client 405 405 405  405    405   405
client_outbound_host_remove POST client 302 403 403 in     in    in
client_outbound_login GET  client     200 403  403  in     in    in
client_outbound_login POST client     200 403  403  in     in    in
client_outbound_key GET    client     200 403  403  in     in    in
client_outbound_key POST   client     409 403  403  in     in    in
submission_login_end GET   submission-login 200 403 403 in in    in
submission_login_end POST  submission-login 302 403 403 in in    in
signing_key_check  GET     signing-key 405 405 405  405    405   405
signing_key_check  POST    signing-key 302 302 302  in     in    in
signing_key_sign   GET     signing-key 200 403 403  in     in    in
signing_key_sign   POST    signing-key 302 403 403  in     in    in
signing_key_retire GET     signing-key 200 403 403  in     in    in
signing_key_retire POST    signing-key 302 403 403  in     in    in
sender_stop_lift   GET     sender-stop 200 200 200  in     in    in
sender_stop_lift   POST    sender-stop 302 302 302  in     in    in
incident           GET     incident   200 200  200  in     in    in
incident_story_csv GET     incident   200 200  200  in     in    in
log_entry          GET     log-entry  200 200  200  in     in    in
incident_take      GET     incident   405 405  405  405    405   405
incident_take      POST    incident   302 302  302  in     in    in
incident_pull      GET     incident   200 200  200  in     in    in
incident_pull      POST    incident   302 302  302  in     in    in
incident_restore   GET     incident   200 200  200  in     in    in
incident_restore   POST    incident   302 302  302  in     in    in
incident_block     GET     incident   200 200  200  in     in    in
incident_block     POST    incident   302 302  302  in     in    in
incident_resolve   GET     incident   200 200  200  in     in    in
incident_resolve   POST    incident   302 302  302  in     in    in
incident_share     GET     incident   200 200  200  in     in    in
incident_share     POST    incident   302 302  302  in     in    in
incident_reopen    GET     incident   200 200  200  in     in    in
incident_reopen    POST    incident   409 409  409  in     in    in
incident_report    GET     incident   200 200  200  in     in    in
incident_report    POST    incident   302 302  302  in     in    in
incident_read      GET     incident   405 405  405  405    405   405
incident_read      POST    incident   302 302  302  in     in    in
held_refuse        GET     held       200 200  200  in     in    in
held_refuse        POST    held       200 200  200  in     in    in
incident_look      GET     incident   405 405  405  405    405   405
incident_look      POST    incident   302 302  302  in     in    in
incident_together  GET     incident   200 200  200  in     in    in
incident_merge     GET     incident   405 405  405  405    405   405
incident_merge     POST    incident   302 302  302  in     in    in
incident_split     GET     incident   405 405  405  405    405   405
incident_split     POST    incident   400 400  400  in     in    in
incident_move      GET     incident   405 405  405  405    405   405
incident_move      POST    incident   400 400  400  in     in    in
incident_join_campaign GET incident   405 405  405  405    405   405
incident_join_campaign POST incident  409 409  409  in     in    in
incident_leave_campaign GET incident  405 405  405  405    405   405
incident_leave_campaign POST incident 302 302  302  in     in    in
regrouping_undo    GET     regrouping 405 405  405  405    405   405
regrouping_undo    POST    regrouping 302 302  302  in     in    in
campaign           GET     incident   200 200  200  in     in    in
campaign_pull      GET     incident   200 200  200  in     in    in
campaign_pull      POST    incident   200 200  200  in     in    in
campaign_block     GET     incident   200 200  200  in     in    in
campaign_block     POST    incident   200 200  200  in     in    in
job_group          GET     group      200 200  200  in     in    in
incident_assign    GET     incident   200 200  200  in     in    in
incident_assign    POST    incident   302 302  302  in     in    in
incident_triage    GET     incident   405 405  405  405    405   405
incident_triage    POST    incident   302 302  302  in     in    in
incident_ticket    GET     incident   200 200  200  in     in    in
incident_ticket    POST    incident   302 302  302  in     in    in
incident_comment   GET     incident   200 200  200  in     in    in
incident_comment   POST    incident   302 302  302  in     in    in
incident_call      GET     incident   200 200  200  in     in    in
incident_call      POST    incident   302 302  302  in     in    in
incident_wait      GET     incident   200 200  200  in     in    in
incident_wait      POST    incident   409 409  409  in     in    in
incident_answer    GET     incident   200 200  200  in     in    in
incident_answer    POST    incident   302 302  302  in     in    in
incident_quiet     GET     incident   200 200  200  in     in    in
incident_quiet     POST    incident   302 302  302  in     in    in
incident_wake      GET     incident   405 405  405  405    405   405
incident_wake      POST    incident   409 409  409  in     in    in
incident_task      GET     incident   405 405  405  405    405   405
incident_task      POST    incident   302 302  302  in     in    in
attachment         GET     attachment 200 200  200  in     in    in
task_settle        GET     task       405 405  405  405    405   405
task_settle        POST    task       302 302  302  in     in    in
incidents_bulk         GET     -          200 200  200  in     in    in
incidents_bulk         POST    -          200 200  200  in     in    in
view_save          GET     -          200 200  200  in     in    in
view_save          POST    -          302 302  302  in     in    in
view_remove        GET     -          405 405  405  405    405   405
view_remove        POST    -          404 404  404  in     in    in
mentions           GET     -          200 200  200  in     in    in
suppressions           GET     -          200 200  200  in     in    in
suppression_add       GET     -          200 200  200  in     in    in
suppression_add       POST    -          302 302  302  in     in    in
suppression_remove    GET     suppression 405 405 405  405    405   405
suppression_remove    POST    suppression 302 302 302  in     in    in
task_templates         GET     -          200 200  200  in     in    in
task_templates         POST    -          302 403  403  in     in    in
kpis               GET     -          200 200  200  in     in    in
kpi_incidents      GET     -          200 200  200  in     in    in
sla                GET     -          200 200  200  in     in    in
sla_default        GET     -          200 200  200  in     in    in
sla_default        POST    -          302 403  403  in     in    in
sla_targets        GET     -          200 200  200  in     in    in
client_sla         GET     client     200 200  200  in     in    in
client_statement   GET     client     200 200  200  in     in    in
client_statement   POST    client     302 302  302  in     in    in
client_sla         POST    client     302 403  403  in     in    in
message            GET     message    200 200  200  in     in    in
message_open       GET     message    200 200  200  in     in    in
message_open       POST    message    302 302  302  in     in    in
message_report     GET     message    200 200  200  in     in    in
message_report     POST    message    302 302  302  in     in    in
message_content    GET     text       200 200  200  in     in    in
message_frame      GET     html       200 200  200  in     in    in
held_release       GET     held       200 200  200  in     in    in
held_release       POST    held       302 403  403  in     in    in
release_look       POST    release-look 302 302 302  in     in    in
held_release_all   GET     -          200 200  200  in     in    in
held_release_all   POST    -          400 400  400  in     in    in
incident_release   GET     incident   200 200  200  in     in    in
incident_release   POST    incident   400 400  400  in     in    in
held_digest        GET     -          200 200  200  in     in    in
held_digest        POST    -          302 302  302  in     in    in
held_delete        GET     held       200 200  200  in     in    in
held_delete        POST    held       409 409  409  in     in    in
message_keep       GET     message    200 200  200  in     in    in
message_keep       POST    message    302 302  302  in     in    in
client_keep        GET     client     200 200  200  in     in    in
client_keep        POST    client     302 302  302  in     in    in
client_sent        GET     client     200 200  200  in     in    in
legal_hold_end     GET     legal-hold 200 403  403  in     in    in
legal_hold_end     POST    legal-hold 302 403  403  in     in    in
disagreements      GET     -             200 200  200  in     in    in
disagreement       GET     disagreement  200 200  200  in     in    in
disagreement_rehearse GET  disagreement  405 405  405  405    405   405
disagreement_rehearse POST disagreement  302 302  302  in     in    in
disagreement_accept GET    disagreement  200 200  200  in     in    in
disagreement_accept POST   disagreement  302 302  302  in     in    in
disagreement_dismiss GET   disagreement  200 200  200  in     in    in
disagreement_dismiss POST  disagreement  302 302  302  in     in    in
rules              GET     -             200 200  200  in     in    in
rule_new           GET     -             200 200  200  in     in    in
rule_new           POST    -             302 302  302  in     in    in
rules_export       GET     -             200 200  200  in     in    in
rules_import       GET     -             200 200  200  in     in    in
rules_import       POST    -             200 200  200  in     in    in
rule_remove        GET     gateway-rule  405 405  405  405    405   405
rule_remove        POST    gateway-rule  302 302  302  in     in    in
rehearsal          GET     rehearsal     200 200  200  in     in    in
rehearsal_save     GET     rehearsal     200 200  200  in     in    in
rehearsal_save     POST    rehearsal     302 302  302  in     in    in
rehearsal_list     GET     rehearsal     200 200  200  in     in    in
policy_provider    GET     -             200 200  200  in     in    in
policy_provider    POST    -             302 403  403  in     in    in
policy_group       GET     own-group     200 200  200  in     in    in
policy_group       POST    own-group     302 403  403  in     in    in
policy_client      GET     client        200 200  200  in     in    in
policy_client      POST    client        302 302  302  in     in    in
policy_domain      GET     domain        200 200  200  in     in    in
policy_domain      POST    domain        302 302  302  in     in    in
policy_directory   GET     directory-group 200 200 200 in  in    in
policy_directory   POST    directory-group 302 302 302 in  in    in
policy_mailbox     GET     mailbox       200 200  200  in     in    in
policy_mailbox     POST    mailbox       302 302  302  in     in    in
policy_change      GET     policy-change 200 200  200  in     in    in
policy_change_make GET     policy-change 200 200  200  in     in    in
policy_change_make POST    policy-change 302 302  302  in     in    in
policy_push_new    GET     -             200 200  200  in     in    in
policy_push_new    POST    -             302 302  302  in     in    in
policy_push        GET     policy-push   200 200  200  in     in    in
policy_push_approve GET    policy-push   200 200  200  in     in    in
policy_push_approve POST   policy-push   302 302  302  in     in    in
policy_push_stop   GET     policy-push   405 405  405  405    405   405
policy_push_stop   POST    policy-push   302 302  302  in     in    in
policy_push_retry  GET     policy-push   405 405  405  405    405   405
policy_push_retry  POST    policy-push   409 409  409  in     in    in
orders             GET     -             200 200  200  in     in    in
order_withdraw     GET     order         200 200  200  in     in    in
order_withdraw     POST    order         302 302  302  in     in    in
user_reports       GET     -             200 200  200  in     in    in
report_terms       GET     client        200 200  200  in     in    in
report_terms       POST    client        302 302  302  in     in    in
late_verdicts      GET     client        200 200  200  in     in    in
late_verdicts      POST    client        302 302  302  in     in    in
modes              GET     client        200 200  200  in     in    in
renewal            GET     renewal       200 200  200  in     in    in
renewal_answer     GET     renewal       200 200  200  in     in    in
renewal_answer     POST    renewal       302 302  302  in     in    in
mode_set           GET     client        200 403  403  in     in    in
mode_set           POST    client        200 403  403  in     in    in
proposal_approve   GET     proposal 405 405  405  405    405   405
proposal_approve   POST    proposal 409 409  409  in     in    in
proposal_decline   GET     proposal 200 200  200  in     in    in
proposal_decline   POST    proposal 302 302  302  in     in    in
job                GET     job        200 200  200  in     in    in
job_stop           GET     job        200 200  200  in     in    in
job_stop           POST    job        302 302  302  in     in    in
report_file        GET     report     200 200  200  in     in    in
"""

API = """
route                  method  object        mo  ana  bo   reader token nobody
api-root               GET     -             200 200  200  401    200   401
api-schema             GET     -             200 200  200  200    200   200
api-nothing            GET     -             404 404  404  401    404   401
api-tenants            GET     -             200 200  200  401    200   401
api-tenants            POST    -             201 403  403  401 201/403   401
api-tenant             GET     client        200 200  200  401    200   401
api-incidents          GET     -             200 200  200  401    200   401
api-incident           GET     incident      200 200  200  401    200   401
api-incident-story     GET     incident      200 200  200  401    200   401
api-incident-pull      POST    incident      202 202  202  401    202   401
api-incident-restore   POST    incident      202 202  202  401    202   401
api-incident-report    POST    incident      202 202  202  401    202   401
api-incident-take      POST    incident      200 200  200  401    200   401
api-incident-share     POST    incident      200 200  200  401    200   401
api-incident-unshare   POST    incident      200 200  200  401    200   401
api-incident-look      POST    incident      202 202  202  401    202   401
api-pull-everywhere    POST    incident      202 202  202  401    202   401
api-block-everywhere   POST    incident      202 202  202  401    202   401
api-pull-everywhere-foresee  POST incident   200 200  200  401    200   401
api-block-everywhere-foresee POST incident   200 200  200  401    200   401
api-statement          POST    client        202 202  202  401    202   401
api-incident-resolve   POST    incident      200 200  200  401    200   401
api-incident-reopen    POST    incident      409 409  409  401    409   401
api-incident-together  GET     incident      200 200  200  401    200   401
api-incident-merge     POST    incident      200 200  200  401    200   401
api-incident-split     POST    incident      400 400  400  401    400   401
api-incident-move      POST    incident      400 400  400  401    400   401
api-incident-join-campaign POST incident     409 409  409  401    409   401
api-incident-leave-campaign POST incident    200 200  200  401    200   401
api-regrouping-undo    POST    regrouping    200 200  200  401    200   401
api-incidents-bulk     POST    -             200 200  200  401    200   401
api-incidents-bulk-foresee POST -            200 200  200  401    200   401
api-incident-assign    POST    incident      200 200  200  401    200   401
api-incident-ticket    POST    incident      200 200  200  401    200   401
api-incident-triage    POST    incident      200 200  200  401    200   401
api-incident-contain   POST    incident      409 409  409  401    409   401
api-incident-wait      POST    incident      409 409  409  401    409   401
api-incident-answer    POST    incident      200 200  200  401    200   401
api-incident-snooze    POST    incident      200 200  200  401    200   401
api-incident-mute      POST    incident      200 200  200  401    200   401
api-incident-wake      POST    incident      409 409  409  401    409   401
api-incident-comments  GET     incident      200 200  200  401    200   401
api-incident-comments  POST    incident      201 201  201  401    201   401
api-incident-attachments GET   incident      200 200  200  401    200   401
api-attachment         GET     attachment    200 200  200  401    200   401
api-attachment-content GET     attachment    200 200  200  401    200   401
api-incident-calls     GET     incident      200 200  200  401    200   401
api-incident-calls     POST    incident      201 201  201  401    201   401
api-incident-tasks     GET     incident      200 200  200  401    200   401
api-incident-tasks     POST    incident      201 201  201  401    201   401
api-incident-similar   GET     incident      200 200  200  401    200   401
api-task-settle        POST    task          200 200  200  401    200   401
api-mentions           GET     -             200 200  200  401    200   401
api-colleagues         GET     client        200 200  200  401    200   401
api-suppressions       GET     -             200 200  200  401    200   401
api-suppressions       POST    new-rule      201 201  201  401    201   401
api-suppression        GET     suppression   200 200  200  401    200   401
api-suppression-remove POST    suppression   200 200  200  401    200   401
api-task-templates     GET     -             200 200  200  401    200   401
api-task-templates     POST    -             201 403  403  401    201/403 401
api-views              GET     -             200 200  200  401    200   401
api-views              POST    -             201 201  201  401    201   401
api-view-remove        POST    -             404 404  404  401    404   401
api-groups             GET     -             200 200  200  401    200   401
api-groups             POST    -             201 403  403  401    201/403 401
api-group              GET     own-group     200 200  200  401    200   401
api-group-change       POST    own-group     200 403  403  401    200/403 401
api-group-remove       POST    own-group     204 403  403  401    204/403 401
api-skills             GET     -             200 200  200  401    200   401
api-skill-needs        POST    -             200 403  403  401    200/403 401
api-person-skills      POST    -             404 404  404  401    404   401
api-kpis               GET     -             200 200  200  401    200   401
api-kpi-incidents      GET     -             200 200  200  401    200   401
api-sla                GET     -             200 200  200  401    200   401
api-sla-plans          GET     -             200 200  200  401    200   401
api-sla-plans          POST    new-rule      201 403  403  401    201/403 401
api-sla-forecast       GET     -             200 200  200  401    200   401
api-sla-targets        GET     -             200 200  200  401    200   401
api-messages           GET     -             200 200  200  401    200   401
api-message            GET     message       200 200  200  401    200   401
api-message-original   POST    message       200 200  200  401    200   401
api-message-acquire    POST    message       202 202  202  401    202   401
api-message-report     POST    message       202 202  202  401    202   401
api-deliveries         GET     -             200 200  200  401    200   401
api-delivery           GET     delivery      200 200  200  401    200   401
api-delivery-allowed   GET     delivery      200 200  200  401    200   401
api-delivery-trace     GET     delivery      200 200  200  401    200   401
api-observations       GET     -             200 200  200  401    200   401
api-observation        GET     observation   200 200  200  401    200   401
api-held               GET     -             200 200  200  401    200   401
api-held-mail          GET     held          200 200  200  401    200   401
api-held-release       POST    held          202 403  403  401 202/403   401
api-held-release-many  POST    -             409 409  409  401    409   401
api-held-release-many-foresee POST -         200 200  200  401    200   401
api-incident-release   POST    incident      409 409  409  401    409   401
api-incident-release-foresee POST incident   200 200  200  401    200   401
api-held-refuse        POST    held          409 409  409  401    409   401
api-held-delete        POST    held          409 409  409  401    409   401
api-held-same-rule     GET     held          200 200  200  401    200   401
api-wishes             GET     -             200 200  200  401    200   401
api-sent-mail          GET     -             200 200  200  401    200   401
api-legal-holds        GET     -             200 200  200  401    200   401
api-legal-holds        POST    new-hold      201 201  201  401    201   401
api-legal-hold-end     POST    legal-hold    200 403  403  401    200/403 401
api-mailboxes          GET     -             200 200  200  401    200   401
api-mailbox-remove     POST    mailbox       409 403  403  401 409/403   401
api-domain-change      POST    domain        200 403  403  401 200/403   401
api-onboarding         GET     client        200 200  200  401    200   401
api-onboarding-domains POST    client        201 403  403  401 201/403   401
api-onboarding-recipients POST client        400 403  403  401 400/403   401
api-onboarding-policy  POST    client        200 403  403  401 200/403   401
api-onboarding-gates   POST    client        200 403  403  401 200/403   401
api-onboarding-look    POST    client        202 202  202  401    202   401
api-onboarding-trial   POST    client        400 403  403  401 400/403   401
api-onboarding-behind  POST    client        200 403  403  401 200/403   401
api-digests            GET     -             200 200  200  401    200   401
api-digests            POST    -             201 201  201  401    201   401
api-digest             GET     digest        200 200  200  401    200   401
api-held-foresight     GET     held          200 200  200  401    200   401
api-release-looks      GET     -             200 200  200  401    200   401
api-release-look       GET     release-look  200 200  200  401    200   401
api-release-look-again POST    release-look  202 202  202  401    202   401
api-late-verdicts      GET     client        200 200  200  401    200   401
api-late-verdicts      POST    client        200 200  200  401    200   401
api-modes              GET     client        200 200  200  401    200   401
api-modes              POST    client        409 403  403  401    409/403 401
api-modes-rehearse     POST    client        200 200  200  401    200   401
api-renewals           GET     -             200 200  200  401    200   401
api-renewal            GET     renewal       200 200  200  401    200   401
api-renewal-answer     POST    renewal       200 200  200  401    200   401
api-pull-proposals     GET     -             200 200  200  401    200   401
api-pull-proposal      GET     proposal 200 200  200  401    200   401
api-pull-proposal-approve POST proposal 409 409  409  401    409   401
api-pull-proposal-decline POST proposal 200 200  200  401    200   401
api-interference       GET     client        200 200  200  401    200   401
api-user-reports       GET     -             200 200  200  401    200   401
api-user-report        GET     user-report   200 200  200  401    200   401
api-report-terms       GET     client        200 200  200  401    200   401
api-report-terms       POST    client        200 200  200  401    200   401
api-hubs               GET     client        200 200  200  401    200   401
api-grouping           GET     client        200 200  200  401    200   401
api-grouping           POST    client        202 202  202  401    202   401
api-grouping-decide    POST    client        200 200  200  401    200   401
api-blindspots         GET     client        200 200  200  401    200   401
api-blindspots-list    GET     client        200 200  200  401    200   401
api-traced             GET     client        200 200  200  401    200   401
api-conservation       GET     client        200 200  200  401    200   401
api-gaps               GET     client        200 200  200  401    200   401
api-gaps-list          GET     client        200 200  200  401    200   401
api-access             GET     client        200 200  200  401    200   401
api-access-links       POST    client        201 403  403  401    201/403 401
api-google-account     GET     -             200 403  403  401    200/403 401
api-google-account     POST    -             200 403  403  401    200/403 401
api-google-account-remove POST -             204 403  403  401    204/403 401
api-scan-back          GET     client        200 200  200  401    200   401
api-scan-back          POST    client        409 403  403  401    409/403 401
api-scan-back-stop     POST    scan-back     200 403  403  401    200/403 401
api-scan-back-go-on    POST    scan-back     409 403  403  401    409/403 401
api-scan-back-findings GET     scan-back     200 200  200  401    200   401
api-scan-back-pull     GET     scan-back     200 200  200  401    200   401
api-scan-back-pull     POST    scan-back     409 409  409  401    409   401
api-scan-back-report   POST    scan-back     202 202  202  401    202   401
api-mailbox-counts     GET     -             200 200  200  401    200   401
api-disagreements      GET     -             200 200  200  401    200   401
api-disagreement       GET     disagreement  200 200  200  401    200   401
api-disagreement-rehearse POST disagreement  200 200  200  401    200   401
api-disagreement-accept POST   disagreement  200 200  200  401    200   401
api-disagreement-dismiss POST  disagreement  200 200  200  401    200   401
api-rehearsals         GET     -             200 200  200  401    200   401
api-rehearsals         POST    new-rehearsal 201 201  201  401    201   401
api-rehearsal          GET     rehearsal     200 200  200  401    200   401
api-rehearsal-save     POST    rehearsal     200 200  200  401    200   401
api-rehearsal-list     GET     rehearsal     200 200  200  401    200   401
api-standing-orders    GET     -             200 200  200  401    200   401
api-standing-order     GET     order         200 200  200  401    200   401
api-order-withdraw     POST    order         200 200  200  401    200   401
api-accesses           GET     -             200 200  200  401    200   401
api-actions            GET     -             200 200  200  401    200   401
api-action             GET     action        200 200  200  401    200   401
api-jobs               GET     -             200 200  200  401    200   401
api-job                GET     job           200 200  200  401    200   401
api-job-stop           POST    job           202 202  202  401    202   401
api-reports            GET     -             200 200  200  401    200   401
api-report             GET     report        200 200  200  401    200   401
api-report-file        GET     report        200 200  200  401    200   401
api-entity             GET     -             400 400  400  401    400   401
api-entity-mails       GET     -             400 400  400  401    400   401
api-entity-incidents   GET     -             400 400  400  401    400   401
api-ledger             GET     -             200 200  200  401    200   401
api-ledger-figure      GET     -             200 200  200  401    200   401
api-gateway-rules      GET     -             200 200  200  401    200   401
api-gateway-rules      POST    new-rule      201 201  201  401    201   401
api-gateway-rule       GET     gateway-rule  200 200  200  401    200   401
api-gateway-rule-remove POST   gateway-rule  200 200  200  401    200   401
api-policy             GET     -             200 200  200  401    200   401
api-policy             POST    -             201 403  403  401    201/403 401
api-group-policy       GET     own-group     200 200  200  401    200   401
api-group-policy       POST    own-group     201 403  403  401    201/403 401
api-client-policy      GET     client        200 200  200  401    200   401
api-client-policy      POST    client        201 201  201  401    201   401
api-policy-changes     GET     -             200 200  200  401    200   401
api-policy-change      GET     policy-change 200 200  200  401    200   401
api-policy-change-make POST    policy-change 200 200  200  401    200   401
api-policy-templates   GET     -             200 200  200  401    200   401
api-policy-templates   POST    -             201 403  403  401    201/403 401
api-policy-template-remove POST -            404 404  404  401    404   401
api-client-accounts    GET     client        200 200  200  401    200   401
api-client-accounts-look POST  client        202 202  202  401    202   401
api-account-signs      GET     -             200 200  200  401    200   401
api-account-sign       GET     account-sign  200 200  200  401    200   401
api-mailbox-snapshots  GET     -             200 200  200  401    200   401
api-account-steps      GET     -             200 200  200  401    200   401
api-account-step       GET     account-step  200 200  200  401    200   401
api-account-step-undo  POST    account-step  202 202  202  401    202   401
api-account-step-withdraw POST account-step  409 403  403  401    409/403 401
api-incident-steps     POST    incident      400 400  400  401    400   401
api-client-outbound    GET     client        200 200  200  401    200   401
api-sender-stops       GET     -             200 200  200  401    200   401
api-sender-stop        GET     sender-stop   200 200  200  401    200   401
api-sender-stop-lift   POST    sender-stop   204 204  204  401    204   401
api-queues             GET     -             200 200  200  401    200   401
api-queued             GET     queue-item    200 200  200  401    200   401
api-queued-order       POST    queue-item    202 202  202  401    202   401
api-queue-hops         GET     -             200 200  200  401    200   401
api-queue-orders       POST    -             409 409  409  401    409   401
api-queue-orders-foresee POST  -             200 200  200  401    200   401
api-queue-batch        GET     queue-batch   200 200  200  401    200   401
api-queue-batch-stop   POST    queue-batch   200 200  200  401    200   401
api-gates              GET     -             200 200  200  401    200   401
api-policy-pushes      GET     -             200 200  200  401    200   401
api-policy-pushes      POST    new-rehearsal 202 202  202  401    202   401
api-policy-push        GET     policy-push   200 200  200  401    200   401
api-policy-push-approve POST   policy-push   202 202  202  401    202   401
api-policy-push-stop   POST    policy-push   200 200  200  401    200   401
api-policy-push-retry  POST    policy-push   409 409  409  401    409   401
"""

PORTAL = """
route              method  object     reader staff token nobody
healthz            GET     -          200    200   200   200
root               GET     -          302    302   302   302
login              GET     -          200    200   200   200
login              POST    -          422    422   422   422
logout             GET     -          405    405   405   405
logout             POST    -          302    302   302   302
portal             GET     -          200    in    in    in
portal_incidents   GET     -          200    in    in    in
portal_access      GET     -          200    in    in    in
portal_access_right GET    -          200    in    in    in
portal_access_right POST   -          200    in    in    in
portal_held        GET     -          200    in    in    in
portal_digest      GET     -          200    in    in    in
portal_digest      POST    -          200    in    in    in
portal_held_ask    GET     held       200    in    in    in
portal_held_ask    POST    held       200    in    in    in
held_link          GET     -          404    404   404   404
held_link          POST    -          404    404   404   404
connect            GET     -          404    404   404   404
connect_step       GET     -          405    405   405   405
connect_step       POST    -          404    404   404   404
connect_return     GET     -          404    404   404   404
portal_answer      GET     incident   200    in    in    in
portal_answer      POST    incident   200    in    in    in
portal_reports     GET     -          200    in    in    in
portal_incident    GET     incident   200    in    in    in
portal_found       GET     found-report 200  in    in    in
report_file        GET     report     200    in    in    in
portal_attachment  GET     attachment 200    in    in    in
"""

# Machines: a person's token is worth nothing here, a gate's signature is everything.
INGEST = """
route                method  object  token nobody
healthz              GET     -       200   200
graph-notifications  GET     -       405   405
graph-notifications  POST    -       400   400
google-push          GET     -       405   405
google-push          POST    -       404   404
ship                 GET     -       405   405
ship                 POST    -       401   401
ship-evidence        GET     -       401   401
ship-evidence        PUT     -       401   401
ship-evidence        POST    -       405   405
gate-commands        GET     -       401   401
gate-commands        POST    -       405   405
gate-queue           GET     -       405   405
gate-queue           POST    -       401   401
"""

# WebSockets: yes, or refused.
LIVE = """
route  surface  mo  ana bo  reader nobody
live   console  yes yes yes no     no
live   portal   no  no  no  yes    no
"""

# What a POST sends, so that it would be done if it were allowed.
BODIES: dict[str, dict[str, Any]] = {
    "incident_pull": {"reason": "It is phishing"},
    "incident_restore": {"reason": "It was harmless"},
    "job_stop": {"reason": "It was harmless"},
    "incident_reopen": {"reason": "More of it came"},
    "incident_resolve": {
        "classification": "benign",
        "cause_code": "expected",
        "cause": "A newsletter",
    },
    "incident_block": {"days": "7", "reason": "It goes on"},
    "incident_report": {"audience": "internal"},
    "incident_merge": {"number": "2", "reason": "The same hand"},
    "incident_split": {"reason": "Another hand"},
    "incident_move": {"number": "2", "reason": "Another hand"},
    "incident_join_campaign": {"number": "2", "reason": "The same hand"},
    "incident_leave_campaign": {"reason": "Another hand"},
    "api-incident-merge": {"number": "2", "reason": "The same hand"},
    "api-incident-split": {"reason": "Another hand"},
    "api-incident-move": {"number": "2", "reason": "Another hand"},
    "api-incident-join-campaign": {"number": "2", "reason": "The same hand"},
    "api-incident-leave-campaign": {"reason": "Another hand"},
    "message_open": {"what": "text", "reason": "The client asked"},
    "client_warnings": {"is_on": "no"},
    "client_accounts_terms": {"sensitivity": "high"},
    "incident_step": {"kind": "disable", "target": ""},
    "api-incident-steps": {"kind": "disable"},
    "client_outbound_terms": {
        "is_on": "on",
        "next_hop_host": "smtp.keep.example",
        "next_hop_port": "587",
        "messages_per_hour": "9",
        "recipients_per_hour": "9",
        "stop_threats": "5",
        "stop_minutes": "10",
        "stop_refusals": "0",
    },
    "client_outbound_host": {"network": "203.0.113.77", "note": "Berlin"},
    "client_outbound_host_remove": {"network": "203.0.113.5/32"},
    "client_outbound_login": {"purpose": "Scanners"},
    "sender_stop_lift": {"reason": "Sessions renewed"},
    "api-sender-stop-lift": {"reason": "Sessions renewed"},
    "api-queued-order": {"action": "retry"},
    "api-queue-orders": {"action": "free", "reason": "It is back", "counted": 1},
    "api-queue-orders-foresee": {"action": "retry"},
    "queue_order_all": {"reason": "It is back", "counted": "1"},
    "api-grouping-decide": {"accept": True, "reason": "Read through"},
    "client_grouping_decide": {"do": "accept", "reason": "Read through"},
    "message_report": {"verdict": "phish", "reason": "The bank did not write it"},
    "api-message-report": {"verdict": "phish", "reason": "The bank did not write it"},
    "held_release": {"reason": "It is expected"},
    "held_release_all": {"reason": "It is expected"},
    "incident_release": {"reason": "It is expected"},
    "api-held-release-many": {"copies": [str(UUID(int=1))], "reason": "It is expected"},
    "api-held-release-many-foresee": {"copies": [str(UUID(int=1))]},
    "held_digest": {"address": "cfo@acme.example"},
    "api-legal-holds": {"reason": "A lawsuit"},
    "api-legal-hold-end": {"reason": "It is over"},
    "api-domain-change": {"host": "mail.elsewhere.example"},
    "api-onboarding-domains": {"name": "new.example", "host": "mail.elsewhere.example"},
    "api-onboarding-recipients": {"recipients": [{"address": "who@nowhere.example"}]},
    "api-onboarding-policy": {"template": ""},
    "api-onboarding-gates": {"gates": ["mx1"]},
    "api-onboarding-trial": {"recipient": "who@nowhere.example", "gate": "mx1"},
    "api-onboarding-behind": {"despite": True},
    "api-tenants": {"name": "Initech", "slug": "initech"},
    "api-digests": {"mailbox": "cfo@acme.example"},
    "held_delete": {"reason": "It is rubbish"},
    "message_keep": {"reason": "A lawsuit"},
    "client_keep": {"reason": "A lawsuit"},
    "legal_hold_end": {"reason": "It is over"},
    "api-held-refuse": {"reason": "It is a forgery"},
    "api-held-delete": {"reason": "It is rubbish"},
    "disagreement_accept": {"reason": "It is clear"},
    "disagreement_dismiss": {"reason": "A drill"},
    "rule_new": {"kind": "block", "match": "sender", "value": "eve@evil.example", "days": "30"},
    **{
        f"policy_{level}": {"version": "0", "held.keep_days": "90"}
        for level in ("provider", "group", "client", "domain", "directory", "mailbox")
    },
    "api-policy": {"version": 0, "states": {"held.keep_days": 90}},
    "api-group-policy": {"version": 0, "states": {"held.keep_days": 90}},
    "api-client-policy": {"version": 0, "states": {"held.keep_days": 90}},
    "policy_push_new": {"what": "template:Strict", "clients": ["acme"]},
    "policy_push_approve": {"reason": "Agreed"},
    "api-policy-pushes": {"template": "Strict"},
    "api-policy-push-approve": {"reason": "Agreed"},
    "policy_change_make": {"reason": "They asked", "despite": "on"},
    "api-policy-change-make": {"reason": "They asked", "despite": True},
    "api-policy-templates": {"name": "Ours", "values": {"held.keep_days": 90}},
    "rehearsal_save": {"reason": "It goes on", "despite": "on"},
    "order_withdraw": {"reason": "It is over"},
    "report_terms": {"mailbox": "", "herd_mode": "dry_run", "herd_reporters": "4"},
    "api-report-terms": {"herd_mode": "dry_run"},
    "late_verdicts": {"rule_mode": "ask", "most_copies": "9", "rule_days": "9"},
    "api-late-verdicts": {"rule_mode": "ask"},
    "mode_set": {"mode": "ask"},
    "proposal_decline": {"reason": "A drill"},
    "renewal_answer": {"answer": "none", "reason": "A drill"},
    "api-renewal-answer": {"answer": "none", "reason": "A drill"},
    "api-modes": {"mode": "ask", "rehearsal": "none"},
    "api-modes-rehearse": {"mode": "auto"},
    "api-pull-proposal-decline": {"reason": "A drill"},
    "api-disagreement-dismiss": {"reason": "A drill"},
    "api-rehearsals": {"do": "add_rule", "value": "eve@evil.example"},
    "api-rehearsal-save": {"reason": "It goes on", "despite": "true"},
    "api-incident-resolve": {"classification": "benign", "cause": "A newsletter"},
    "api-message-original": {"reason": "The client asked"},
    "api-gateway-rules": {"value": "eve@evil.example"},
}
SOON = (datetime.now(UTC) + timedelta(days=2)).isoformat()
AGREEMENT = {
    "name": "Agreed",
    "time_zone": "Europe/Berlin",
    "day_0": "09:00-17:00",
    **{
        f"{severity}_{name}": value
        for severity in ("critical", "high", "medium", "low")
        for name, value in (("triage", "30"), ("hours", "business"))
    },
}
BODIES |= {
    "incident_assign": {"owner": ""},
    "incident_comment": {"text": "Seen", "audience": "internal"},
    "incident_call": {"whom": "The client", "said": "No payment was made"},
    "incident_ticket": {"ticket": "4711", "link": "https://desk.example/4711"},
    "incident_wait": {"cause": "client_answer", "asked": "Was it paid?"},
    "incident_answer": {"answer": "It was not"},
    "incident_quiet": {"kind": "snoozed", "hours": "24", "reason": "Tomorrow"},
    "incident_task": {"title": "Call the bank"},
    "task_settle": {"state": "done"},
    "incidents_bulk": {"action": "triage", "hours": "24", "incident": str(UUID(int=1))},
    "view_save": {"name": "Mine"},
    "suppression_add": {
        "client": "acme",
        "match": "kind",
        "value": "spam",
        "hours": "24",
        "reason": "Known",
    },
    "task_templates": {"kind": "phish", "steps": "Look"},
    "client_statement": {
        "first_day": "2026-11-01",
        "last_day": "2026-11-30",
        "audience": "client",
    },
    "sla_default": AGREEMENT,
    "client_sla": AGREEMENT,
    "onboard_gates": {"gates": ["mx1"]},
    "access_ask": {"purpose": "detect"},
    "scan_back_new": {"days": "8"},
    "scan_back_pull": {"digest": "another"},
    "scan_back_report": {"audience": "client"},
    "api-scan-back": {"days": 30},
    "api-scan-back-pull": {"digest": "another"},
    "api-scan-back-report": {"audience": "client"},
    "access_link": {"purposes": ["detect"]},
    "api-access-links": {"purposes": ["detect"]},
    "api-google-account": {
        "key_json": json.dumps(service_account("keep", "https://oauth2.googleapis.com/token"))
    },
    "queue_order": {"reason": "Again"},
    "onboard_behind": {"despite": "on"},
    "domain_way": {
        "host": "mail.example",
        "port": "25",
        "backup_port": "25",
        "tls": "may",
        "recipients_by": "list",
        "is_active": "on",
    },
    "group_new": {"name": "Gold"},
    "group_change": {"name": "Silver"},
    "kind_skills": {"skills": "fraud"},
    "person_skills": {"skills": "fraud"},
    "api-groups": {"name": "Gold"},
    "api-group-change": {"name": "Silver"},
    "api-skill-needs": {"kind": "bec", "skills": ["fraud"]},
    "api-person-skills": {"skills": ["fraud"]},
    "api-incidents-bulk": {"incidents": [str(UUID(int=1))], "action": "triage"},
    "api-incidents-bulk-foresee": {"incidents": [str(UUID(int=1))], "action": "triage"},
    "api-incident-assign": {"owner": None},
    "api-incident-ticket": {"ticket": "4711", "ticket_link": "https://desk.example/4711"},
    "api-incident-wait": {"cause": "client_answer", "asked": "Was it paid?"},
    "api-incident-snooze": {"until": SOON, "reason": "Tomorrow"},
    "api-incident-mute": {"until": SOON, "reason": "Known"},
    "api-incident-comments": {"text": "Seen"},
    "api-incident-calls": {"whom": "The client", "said": "No payment was made"},
    "api-incident-tasks": {"title": "Call the bank"},
    "api-task-settle": {"state": "done"},
    "api-suppressions": {"match": "kind", "value": "spam", "reason": "Known", "ends_at": SOON},
    "api-task-templates": {"kind": "phish", "steps": ["Look"]},
    "api-views": {"name": "Mine", "filters": {"tab": "team"}},
    "api-sla-plans": {
        "name": "Agreed",
        "time_zone": "Europe/Berlin",
        "weekly": [[["09:00", "17:00"]], [], [], [], [], [], []],
        "targets": {
            severity: {"triage": 30, "hours": "business"}
            for severity in ("critical", "high", "medium", "low")
        },
    },
}
# Arguments of addresses besides the object's id.
MORE_ARGUMENTS: dict[str, dict[str, object]] = {
    "held_link": {"token": "1-x"},
    "connect": {"token": "x"},
    "connect_step": {"token": "x"},
    "access_host": {"slug": "acme", "kind": "other"},
    "registration": {"purpose": "detect"},
    "google_account": {"purpose": "respond"},
    "google_account_remove": {"purpose": "respond"},
    "api-google-account": {"purpose": "respond"},
    "api-google-account-remove": {"purpose": "respond"},
    "queue_order": {"action": "retry"},
    "queue_order_all": {"action": "free"},
    "report_file": {"kind": "pdf"},
    "scan_back_list": {"figure": "all"},
    "ledger_figure": {"figure": "condemned"},
    "client_blindspots_list": {"fate": "seen"},
    "api-blindspots-list": {"fate": "seen"},
    "client_traced": {"fate": "unlooked"},
    "api-traced": {"fate": "unlooked"},
    "client_gaps_list": {"kind": "missed"},
    "api-gaps-list": {"kind": "missed"},
    "view_remove": {"view_id": UUID(int=1)},
    "person_skills": {"person_id": UUID(int=1)},
    "api-person-skills": {"object_id": str(UUID(int=1))},
    "kind_skills": {"kind": "bec"},
    "api-view-remove": {"object_id": str(UUID(int=1))},
    "api-policy-template-remove": {"object_id": str(UUID(int=1))},
    "kpi_incidents": {"figure": "detect"},
    "api-kpi-incidents": {"figure": "detect"},
    "sla_targets": {"figure": "open"},
    "api-sla-targets": {"figure": "open"},
    "api-ledger-figure": {"figure": "condemned"},
    "api-entity": {"kind": "sender"},
    "api-entity-mails": {"kind": "sender"},
    "api-entity-incidents": {"kind": "mailbox"},
    "api-report-file": {"kind": "pdf"},
    "rehearsal_list": {"name": "newly_held"},
    "api-rehearsal-list": {"name": "newly_held"},
    "google-push": {"token": "1." + "a" * 32 + "." + "b" * 40},
    "ship-evidence": {"tenant_id": 1, "digest": "a" * 64},
}


@dataclass(frozen=True, slots=True)
class Row:
    """``answers`` by column."""

    route: str
    method: str
    object: str
    answers: dict[str, str]


def table(text: str) -> list[Row]:
    head, *lines = text.strip().splitlines()
    names = head.split()
    found = []
    for line in lines:
        cells = dict(zip(names, line.split(), strict=True))
        route, method = cells.pop("route"), cells.pop("method", cells.pop("surface", ""))
        found.append(Row(route, method, cells.pop("object", "-"), cells))
    return found


TABLES = {
    "console": table(CONSOLE) + table(API),
    "portal": table(PORTAL),
    "ingest": table(INGEST),
}
