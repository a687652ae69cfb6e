"""Microsoft Graph v1.0 as far as Bailey uses it.

Source of shapes: Microsoft's own metadata of 2026-08-20; the tests validate every kind of answer
against it.
"""
