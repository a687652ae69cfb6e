"""What Postfix is told: its parameters, its services and what it looks for in a mail.

https://www.postfix.org/postconf.5.html and master.5.html (3.7, read 2026-11-22 and 2026-11-30).
``console/gateway_parts/postfix.py`` fills in ports and places.
"""

from __future__ import annotations

MAIN = """\
# Written by Bailey at each start.  Add your own parameters in {local}/main.cf.
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = {sbin}
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}
syslog_name = postfix

myhostname = {hostname}
inet_protocols = {protocols}
smtpd_banner = $myhostname ESMTP
default_process_limit = 300
# Without the gate nobody answers for logins, and smtpd ends: it is started again soon.
service_throttle_time = 2s
# Nobody is trusted for his address, and nothing is delivered here.
mynetworks =
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
local_transport = error:5.1.1 No such mailbox here

# From the gate's policy.
relay_domains = lmdb:{maps}/domains
relay_recipient_maps = lmdb:{maps}/recipients
transport_maps = texthash:{local}/transport, lmdb:{maps}/transport
unknown_relay_recipient_reject_code = 550

# The gate decides; where it does not answer, the sender keeps the mail.
smtpd_milters = unix:{socket}
# Notices of our own to a client's mailbox are looked at like all mail; others go as they are.
non_smtpd_milters = unix:{notices}
internal_mail_filter_classes = bounce
milter_default_action = tempfail
milter_protocol = 6
milter_connect_timeout = 10s
milter_command_timeout = 30s
milter_content_timeout = 180s
# Which mail of the gate's is which of the queue: the gate reads it from the log.
milter_header_checks = regexp:{etc}/trace_checks

# One mail in, one mail out.
smtpd_forbid_bare_newline = normalize
smtpd_forbid_bare_newline_exclusions =
smtpd_forbid_unauth_pipelining = yes
message_strip_characters = \\0
smtp_line_length_limit = 0
header_size_limit = 1024000
strict_rfc821_envelopes = yes
allow_percent_hack = no
swap_bangpath = no
append_dot_mydomain = no
append_at_myorigin = no
local_header_rewrite_clients =
smtpd_discard_ehlo_keywords = etrn
disable_vrfy_command = yes
smtputf8_enable = yes

smtpd_helo_required = yes
# Before its first policy the gate knows no client: everything is put off.
smtpd_relay_restrictions =
  check_recipient_access pipemap:{{static:state, lmdb:{maps}/state}},
  reject_unauth_destination
smtpd_sender_restrictions = check_sender_access regexp:{etc}/odd_senders
smtpd_recipient_restrictions = reject_non_fqdn_recipient,
  check_recipient_access regexp:{etc}/odd_recipients,
  reject_unauth_destination, reject_unlisted_recipient
smtpd_data_restrictions = reject_unauth_pipelining

# Nobody takes more than his share.
message_size_limit = {mail_bytes}
mailbox_size_limit = 0
smtpd_recipient_limit = 200
smtpd_timeout = 60s
smtpd_per_request_deadline = yes
smtpd_min_data_rate = 500
smtpd_soft_error_limit = 10
smtpd_hard_error_limit = 20
smtpd_junk_command_limit = 100
smtpd_error_sleep_time = 1s
smtpd_client_connection_count_limit = 100
smtpd_client_event_limit_exceptions =
smtpd_forbidden_commands = CONNECT GET POST PUT HEAD OPTIONS regexp:{{{{/^[^A-Z]/ Bogus}}}}

smtpd_tls_security_level = may
smtpd_tls_chain_files = {tls}
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtp_tls_security_level = may
# For next hops whose certificate must be good: the authorities that this machine trusts.
tls_append_default_CA = yes
smtp_tls_loglevel = 1

# Logins of those who submit mail: the gate knows them (seg_bridge/gate/outbound/sasl.py).
smtpd_sasl_type = dovecot
smtpd_sasl_path = {sasl}
smtpd_tls_auth_only = yes
# What clients send to others goes to the client's next mail server, else to their MX.
sender_dependent_default_transport_maps = lmdb:{maps}/senders
default_transport = outgoing

maximal_queue_lifetime = 5d
bounce_queue_lifetime = 1d
"""

MASTER = """\
# Written by Bailey at each start.
{host}:{port} inet n - n - - smtpd{xclient}
# From the gate itself: copies that it sends apart, and what is released.  No milter.
127.0.0.1:{reinject} inet n - n - - smtpd
  -o smtpd_milters=
  -o mynetworks=127.0.0.0/8
  -o smtpd_client_restrictions=permit_mynetworks,reject
  -o smtpd_relay_restrictions=reject_unauth_destination
  -o smtpd_recipient_restrictions=permit_mynetworks,reject
  -o smtpd_sender_restrictions=
  -o smtpd_data_restrictions=
  -o smtpd_authorized_xforward_hosts=127.0.0.0/8
  -o smtpd_tls_security_level=none
  -o smtpd_client_connection_count_limit=0
  -o smtpd_timeout=300s
  -o cleanup_service_name=cleanup-own
# What clients send, with STARTTLS and with TLS from the first byte: the gate says who may send, as
# whom and to whom, and sends it on itself.
{host}:{submission} inet n - n - - smtpd{xclient}
  -o syslog_name=postfix/submission
{submitted}
{host}:{submissions} inet n - n - - smtpd{xclient}
  -o syslog_name=postfix/submissions
  -o smtpd_tls_wrappermode=yes
{submitted}
# From the gate itself: what clients send, to anybody.  No milter.
127.0.0.1:{outgoing} inet n - n - - smtpd
  -o smtpd_milters=
  -o mynetworks=127.0.0.0/8
  -o smtpd_client_restrictions=permit_mynetworks,reject
  -o smtpd_relay_restrictions=permit_mynetworks,reject
  -o smtpd_recipient_restrictions=permit_mynetworks,reject
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_sender_restrictions=
  -o smtpd_data_restrictions=
  -o smtpd_tls_security_level=none
  -o smtpd_client_connection_count_limit=0
  -o smtpd_timeout=300s
  -o cleanup_service_name=cleanup-own
# From the gate itself: what one client sends to another comes in as all mail does, by the name of
# the host that submitted it.
127.0.0.1:{inside} inet n - n - - smtpd
  -o smtpd_authorized_xclient_hosts=127.0.0.1
  -o smtpd_tls_security_level=none
  -o smtpd_client_connection_count_limit=0
  -o smtpd_timeout=300s
cleanup unix n - n - 0 cleanup
# A trace that came from outside proves nothing: only here is one believed that is in the mail.
cleanup-own unix n - n - 0 cleanup
  -o header_checks=regexp:{etc}/trace_checks
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
# To mail hosts that get nothing without TLS, and nothing without a good certificate.
relay-must unix - - n - - smtp
  -o smtp_tls_security_level=encrypt
relay-verify unix - - n - - smtp
  -o smtp_tls_security_level=verify
  -o smtp_tls_verify_cert_match=hostname
# To everybody's MX: without our own words in the mail.
outgoing unix - - n - - smtp
  -o smtp_header_checks=regexp:{etc}/own_words
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

TRACE_CHECKS = """\
/^X-Bailey-Trace: v1; k=[^;]+; t=([0-9]+); u=([0-9A-Z]{26});/ INFO bailey t=$1 u=$2
/^X-Bailey-Sent: t=([0-9]+); u=([0-9A-Z]{26})$/ INFO bailey t=$1 u=$2 outbound
"""
OWN_WORDS = """\
/^X-Bailey-/ IGNORE
"""
# Postfix wants to see a refusal in this list; the gate has decided before it is reached.
SUBMITTED = """\
  -o smtpd_milters=unix:{submission}
  -o smtpd_sasl_auth_enable=yes
  -o {{ smtpd_relay_restrictions = check_client_access static:OK, reject }}
  -o {{ smtpd_recipient_restrictions = reject_non_fqdn_recipient,
    check_recipient_access regexp:{etc}/odd_recipients }}
  -o smtpd_reject_unlisted_recipient=no"""
# What two servers could read differently: routes, quotes, literals, more than one @.
ODD_RECIPIENTS = """\
/[%!"\\[\\]\\\\()<>,;:]/ 550 5.1.3 Addresses with routes or quotes are not taken
/@.*@/ 550 5.1.3 Addresses with routes or quotes are not taken
"""
ODD_SENDERS = """\
/^[^@<>]+$/ 501 5.1.7 The sender's address can't be read
"""
LOCAL_TRANSPORT = """\
# Exceptions to the next hops that the console knows, one on a line:
#   acme.example    lmtp:inet:127.0.0.1:24
#   globex.example  relay:[mail.globex.example]:25
# Postfix reads it when it starts (manage.py gateway reload).
"""


NO_POLICY_YET = "state 451 4.3.5 The gateway has no policy yet\n"
TABLES = ("domains", "recipients", "transport", "senders", "state")
