"""Forms of what waits at the gates: an order for one mail, or for all of a list."""

from __future__ import annotations

from django import forms


class OrderForm(forms.Form):
    reason = forms.CharField(
        label="Why?",
        help_text="Stands in the log. Needed to hold, to take out and to return.",
        max_length=500,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class OrderAllForm(OrderForm):
    counted = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
