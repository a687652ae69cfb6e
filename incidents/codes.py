"""Closed lists of an incident's facts, as the API, the pages and the reports use them."""

CROSS_LAYER = {
    "found_by_looking_back": "Found by looking back at older mail: it did not come just now.",
    "gateway_passed_mailbox_condemned": "Passed by the gateway, condemned by the mailbox layer.",
    "gateway_bypassed": "It reached a mailbox from outside without passing the gateway.",
    "partly_held": "The gateway held some copies; others were delivered.",
    "gateway_held_mailbox_clean": "The gateway held copies; the mailbox layer holds others clean.",
    "gateway_condemned_delivered": "The gateway judged it a threat and delivered it by its policy.",
    "released_then_condemned": "A held copy was released; the mailbox layer then condemned it.",
    "gateway_condemned_late": "The gateway condemned it after it had delivered it.",
    "person_against_layer": "A person says otherwise than a layer.",
    "vendor_against_layer": "The mail host condemns what both layers passed.",
    "internal_only": "Sent from one of the client's own mailboxes to another.",
    "delivered_unscanned": "The gateway delivered it although an engine gave no answer.",
}

COUNTS = {
    "messages": "distinct mails",
    "copies": "copies, one for each recipient",
    "recipients": "distinct recipients",
    "delivered": "copies that the gateway passed or that arrived around it",
    "held": "copies that the gateway holds now",
    "rejected": "copies that the gateway refused",
    "deferred": "copies that the gateway put off",
    "in_inbox": "copies in an inbox or another folder that people read, now",
    "in_junk": "copies in a junk folder, now",
    "removed": "copies in Bailey's quarantine, now",
    "gone": "copies that are no longer in their mailbox",
    "unseen": "copies that were delivered and not yet seen in a mailbox",
    "read": "copies that were read",
    "clicked": "copies of which a link was opened, where the mail host says so",
    "replied": "copies that somebody answered, by the sent items",
    "forwarded": "copies that somebody passed on, by the sent items",
    "was_exposed": "copies that lay in an inbox at some time",
    "verified": "copies whose place was read from the mailbox itself",
}

# What caused an incident, as it is said when it is closed; words of one's own stand beside it.
CAUSES = {
    "gateway_missed": "The gateway did not recognise it",
    "allowed": "An allow entry or a lenient policy let it through",
    "released": "It was released from the gateway by mistake",
    "bypass": "It came around the gateway",
    "late": "It became harmful, or known, after delivery",
    "account": "An account was in other hands",
    "partner": "A partner's account was in other hands",
    "wrong_verdict": "A layer judged harmless mail wrongly",
    "expected": "Expected mail: a newsletter, a test, an exercise",
    "other": "Something else",
}
