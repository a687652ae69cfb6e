"""Mail that lies in a mailbox becomes an observation, once."""

from __future__ import annotations

from api_bridge.models import MailboxSync
from incidents.words import Direction, Place, Verdict
from tenants.models import Mailbox


def test_a_connection_lists_its_mailboxes(client_):
    with client_.scope():
        boxes = {box.address: box for box in Mailbox.objects.all()}
        assert set(boxes) == {client_.company.mail(name) for name in ("ana", "bo", "cfo")}
        ana = boxes[client_.company.mail("ana")]
        assert (ana.display_name, ana.job_title) == ("Ana Test", "Tester")
        assert ana.external_id == client_.company.ids["ana"]
        assert MailboxSync.objects.count() == 3


def test_a_mail_becomes_one_observation_and_one_delivery(client_):
    message_id = client_.company.receive("ana")
    client_.sync()
    (seen,) = client_.observations()
    assert seen.source == f"graph:{client_.company.mail('ana')}"
    assert (seen.internet_message_id, seen.recipient) == (message_id, client_.company.mail("ana"))
    assert (seen.verdict, seen.place) == (Verdict.CLEAN, Place.INBOX)
    assert (seen.direction, seen.trace_state) == (Direction.INBOUND, "missing")
    (delivery,) = client_.deliveries()
    assert delivery.is_bypass
    assert delivery.mailbox_item_id == seen.mailbox_item_id
    assert delivery.place == Place.INBOX


def test_reading_again_repeats_nothing(client_):
    client_.company.receive("ana")
    for _ in range(3):
        client_.sync()
    assert len(client_.observations()) == 1


def test_mails_whose_ids_differ_by_case_alone_are_read_each_for_itself(client_):
    # Ids count up in base64: 64 in a row hold each letter as a capital and a small one.
    sent = {client_.company.receive("ana") for _ in range(64)}
    for _ in range(2):
        client_.sync()
    seen = client_.observations()
    assert {row.internet_message_id for row in seen} == sent
    ids = [row.mailbox_item_id for row in seen]
    assert len(set(ids)) == 64 > len({item_id.lower() for item_id in ids})
    assert {copy.mailbox_item_id for copy in client_.deliveries()} == set(ids)
