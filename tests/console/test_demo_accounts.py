"""The demo's stories of accounts: what happens comes before what is done about it, and suffices."""

from __future__ import annotations

from api_bridge.accounts.graph_read import rules_of
from api_bridge.accounts.judge import MONEY_WORDS, QUIET_FOLDERS
from api_bridge.accounts.models import AccountStep
from console.demo.accounts import HIDING_RULE, MISUSED, TAKEN, usual_account
from console.demo.mails import AccountAct, DemoMail
from console.demo.stories import Author
from console.demo.world import CAST, CLIENTS
from seg_bridge.outbound.models import OutboundTerms
from tenants.models import Person

ROLES = {one.email: one for one in CAST}


def test_the_account_is_taken_before_it_writes_and_looked_at_before_anybody_acts():
    steps = list(Author().opening())
    acts = [
        (n, each.what)
        for n, each in enumerate(steps)
        if isinstance(each, AccountAct) and each.mailbox == TAKEN
    ]
    [(lure, mail)] = [
        (n, one) for n, one in enumerate(steps) if isinstance(one, DemoMail) and one.way == "inside"
    ]
    [taken], [look] = ([n for n, what in acts if what == each] for each in ("taken", "look"))
    assert taken < lure < look
    assert mail.mail_from == TAKEN
    done = [n for n, what in acts if what in ("step", "call", "take")]
    assert done
    assert min(done) > look


def test_enough_is_known_of_the_account_and_its_rule_hides_mail():
    assert len(usual_account()["sign_ins"]) == 3  # so many make a country usual
    [rule] = rules_of([{"id": "r-1", "isEnabled": True, **HIDING_RULE}])
    assert {value for _, value in rule.criteria} <= set(MONEY_WORDS)
    assert rule.moves_to == "conversationhistory"
    assert "conversation history" in QUIET_FOLDERS


def test_each_act_on_an_account_is_one_of_a_person_who_may():
    for act in (each for each in Author().opening() if isinstance(each, AccountAct)):
        person = ROLES[act.by]
        is_lead = person.role == Person.Role.LEAD
        assert is_lead or act.client in person.clients, act
        assert act.client in [client.slug for client in CLIENTS]
        if act.what == "step":
            assert act.kind in AccountStep.Kind.values
            assert act.reason
            assert is_lead or act.kind != AccountStep.Kind.REVOKE_GRANT
        if act.what == "end_login":
            assert is_lead
        if act.what == "call":
            assert act.contact is not None
            assert act.reason


def test_enough_spam_goes_out_for_a_stop_and_one_more_is_refused():
    spam = [one for one in Author().opening() if isinstance(one, DemoMail) and one.way == "out"]
    assert {one.mail_from for one in spam} == {MISUSED}
    assert len(spam) == OutboundTerms().stop_threats + 1
    assert len({one.raw for one in spam}) == len(spam)
