"""The demo's texts, by kind.  ``{name}`` and the like are filled by the stories."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Letter:
    """``html`` "" means plain text only."""

    subject: str
    text: str
    html: str = ""


HARMLESS = (
    Letter(
        "Meeting notes, week {week}",
        "Hi {name},\n\nthanks for the call. We agreed on three points:\n"
        "- drawings by Thursday\n- the second delivery moves to week {week}\n"
        "- you check the cable list\n\nBest,\n{sender}\n",
    ),
    Letter(
        "Re: Offer {number}",
        "Hello {name},\n\nthe offer stands until the end of the month. Delivery takes about ten "
        "working days once we have your order number.\n\nKind regards\n{sender}\n",
    ),
    Letter(
        "Delivery note {number}",
        "Good morning,\n\nyour goods left our warehouse this morning, two pallets, 412 kg. "
        "The driver calls an hour before he arrives.\n\n{sender}\nDispatch\n",
    ),
    Letter(
        "Lunch on Friday?",
        "Hi {name},\n\nwe are in town on Friday and would love to have lunch with you and the "
        "team around noon. The place by the harbour again?\n\n{sender}\n",
    ),
    Letter(
        "Minutes of the safety round",
        "Dear {name},\n\nplease find the points of our walk below. The fire door on level 2 "
        "still sticks; the electrician has been told. Everything else was fine.\n\n{sender}\n",
    ),
)
NEWSLETTER = Letter(
    "Trade Weekly: ten things to know in week {week}",
    "Trade Weekly\n\nFreight rates fell for the third week in a row. Our guide to the new "
    "packaging rules is online. Readers told us how they plan their summer shifts.\n\n"
    "You receive this because you subscribed. Unsubscribe: "
    "https://news.tradeweekly.example/u/{number}\n",
    "<html><body><h1>Trade Weekly</h1><p>Freight rates fell for the third week in a row. "
    "Our guide to the new packaging rules is online.</p><p><a "
    'href="https://news.tradeweekly.example/read/{number}">Read on</a></p><p>You receive this '
    'because you subscribed. <a href="https://news.tradeweekly.example/u/{number}">Unsubscribe'
    "</a></p></body></html>",
)
SPAM = (
    Letter(
        "{name}, you have WON: claim your prize today!!!",
        "CONGRATULATIONS!!! You are a WINNER. Claim your prize of 5,000 now, 100% free, act now!\n"
        "Cheap toner, cheap pills, best price guaranteed, limited time offer, order now:\n"
        "http://198.51.100.40/offer?id={number}\n"
        "No obligation. Click here to claim your bonus. Satisfaction guaranteed!\n",
        "<html><body><h1>CONGRATULATIONS, WINNER!!!</h1><p>Claim your prize of 5,000 now, 100% "
        'free. Act now! <a href="http://198.51.100.40/offer?id={number}">CLICK HERE</a> to claim '
        "your bonus. Cheap toner, cheap pills, best price guaranteed, limited time offer, order "
        "now!</p></body></html>",
    ),
    Letter(
        "You have been selected: claim your bonus!!!",
        "Dear winner,\n\nyou have been selected for a cash prize of 2,500. Claim your prize now, "
        "100% free, limited time offer, act now:\nhttp://198.51.100.41/claim?n={number}\n\n"
        "Cheap pills, cheap toner, no prescription. Order now, satisfaction guaranteed!\n",
    ),
)
PHISH_PASSWORD = Letter(
    "Action required: your mailbox password expires today",
    "Dear user,\n\nthe password of your mailbox {address} expires today. To keep the same "
    "password and avoid losing mail, verify your account within 24 hours:\n\n{link}\n\n"
    "If you do not verify, your account will be suspended.\n\nMicrosoft 365 Security Team\n",
    "<html><body><p>Dear user,</p><p>the password of your mailbox <b>{address}</b> expires "
    'today. To keep the same password, <a href="{link}">https://login.microsoftonline.com/keep'
    "</a> within 24 hours.</p><p>If you do not verify your account it will be suspended.</p>"
    "<p>Microsoft 365 Security Team</p></body></html>",
)
PHISH_SHARED = Letter(
    '{sender} shared "{document}" with you',
    "{sender} has shared a document with you.\n\n{document}\n\nOpen the document and sign in "
    "with your e-mail password to view it: {link}\n\nThis link works for 24 hours.\n",
    "<html><body><p>{sender} has shared a document with you.</p><p><b>{document}</b></p>"
    '<p><a href="{link}">Open in OneDrive</a></p><p>Sign in with your e-mail password to view '
    "it. This link works for 24 hours.</p></body></html>",
)
PHISH_STATEMENT = Letter(
    "Your statement is ready",
    "Dear {name},\n\nstatement {number} was shared with you. Verify your account with your e-mail "
    "password to open the document: {link}\n\n{sender}\n",
    "<html><body><p>Dear {name},</p><p>statement {number} was shared with you. Verify your "
    'account with your e-mail password to <a href="{link}">open the document</a>.</p>'
    "<p>{sender}</p></body></html>",
)
PHISH_PARCEL = Letter(
    "Your parcel could not be delivered: pay the customs fee",
    "Your parcel {number} is waiting. Your delivery address could not be verified. Pay the "
    "customs fee of 1.99 within 24 hours or the parcel is returned:\n{link}\n\nDHL Express\n",
    "<html><body><p>Your parcel {number} is waiting. Pay the customs fee of 1.99 within 24 "
    'hours or it is returned.</p><p><a href="{link}">https://www.dhl.com/track</a></p>'
    "<p>DHL Express</p></body></html>",
)
BEC_CFO = Letter(
    "Urgent payment today",
    "Hi {name},\n\nare you at your desk? I am in a meeting and cannot take calls. I need you to "
    "make an urgent payment of EUR 38,400 to a new supplier before 15:00. Their bank details "
    "have changed: IBAN DE89 3704 0044 0532 0130 00. Tell me when it is done.\n\n"
    "{boss}\nChief Financial Officer\n",
)
BEC_VENDOR = Letter(
    "New bank details for invoice {number}",
    "Dear {name},\n\nplease note that our bank account has changed because of an audit. Please "
    "pay invoice {number} and all open invoices to the new account from today on:\n\n"
    "IBAN GB29 NWBK 6016 1331 9268 19\n\nConfirm by reply when the payment is made.\n\n"
    "Kind regards\n{sender}\nAccounts receivable, Hafenlogistik\n",
)
LATERAL = Letter(
    "Updated salary bands, please confirm",
    "Hi {name},\n\nHR updated the salary bands. Please verify your account with your e-mail "
    "password and confirm yours within 24 hours: {link}\n\n{sender}\n",
    "<html><body><p>Hi {name},</p><p>HR updated the salary bands. Please verify your "
    'account with your e-mail password and <a href="{link}">confirm yours</a> within 24 hours.</p>'
    "<p>{sender}</p></body></html>",
)
MALWARE_CONTRACT = Letter(
    "Countersigned contract, please check clause 7",
    "Dear {name},\n\nthe countersigned contract is attached. Please check clause 7 before our call "
    "on Thursday; the other side wants an answer by then.\n\nKind regards\n{sender}\n"
    "Roth & Lindner, attorneys\n",
)
MALWARE_LOCKED = Letter(
    "Price list for next year, confidential",
    "Hi {name},\n\nhere is the new supplier's price list for next year. It is confidential, so the "
    "archive is locked. Password: harbour{number}\n\n{sender}\n",
)
MALWARE_CRUDE = Letter(
    "Proof of delivery {number}",
    "Good morning,\n\nthe proof of delivery is attached.\n\nDispatch\n",
)
# Nothing in these two that an engine could hold against them.
REGISTER_CALL = Letter(
    "Your entry in the suppliers' register",
    "Dear {name},\n\nwe keep the register of suppliers for your trade. The entry of your firm ends "
    "this month. I will call tomorrow about its extension; please have your company number and the "
    "name of whoever signs for you at hand.\n\n{sender}\nSuppliers' register\n",
)
SURVEY = Letter(
    "Three questions about your last order",
    "Hi {name},\n\nhow did you like our delivery? Three questions, two minutes:\n{link}\n\n"
    "Thank you!\n{sender}\nBrightpaper\n",
)
# Too short for shingles: only the template is the same.
SHORT_FAVOUR = Letter(
    "Quick favour",
    "Hi {name}, are you available? I need a quick favour, discreetly.\n\n{boss}\n"
    "Sent from my iPhone\n",
)
FALSE_POSITIVE = Letter(
    "Drawings for the fair, second version",
    "Dear {name},\n\nthe second version of the stand's drawings is ready. We moved the counter to "
    "the left, as you asked. May we print on Thursday?\n\n{sender}\n",
)
PLAIN = Letter(
    "Plan for Thursday",
    "Hi {name},\n\nthe plan for Thursday is on our board, please have a look before we meet:\n"
    "{link}\n\nBest,\n{sender}\n",
)
