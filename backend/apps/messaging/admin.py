"""Registers what this app shows in the admin; each part stands beside its own rules."""

from backend.apps.messaging import inbox_admin, message_admin, rules_admin, template_admin

__all__ = ["inbox_admin", "message_admin", "rules_admin", "template_admin"]
