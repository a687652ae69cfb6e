"""A step of a page that saves itself."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.db import transaction

from console.lib.http import PersonRequest
from tenants.errors import Conflict, WrongInput


def saved(request: PersonRequest, form: forms.Form, act: Callable[[], object]) -> bool:
    """Has the step been saved?  What it refuses stands in the form, beside what was typed."""
    if request.method != "POST":
        return False
    if not form.is_bound:  # a POST without a word
        form.data, form.is_bound = request.POST, True
    if not form.is_valid():
        return False
    try:
        with transaction.atomic():
            act()
    except (WrongInput, Conflict) as refusal:
        form.add_error(None, refusal.sentence)
        return False
    return True
