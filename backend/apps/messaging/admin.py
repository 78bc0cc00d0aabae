"""Registers what this app shows in the admin; each part stands beside its own rules."""

from backend.apps.messaging import template_admin

__all__ = ["template_admin"]
