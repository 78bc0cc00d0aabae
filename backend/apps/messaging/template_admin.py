"""The clinic's own words in the admin, under the same checks as in the API."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest

from backend.apps.core.admin import ClinicAdmin
from backend.apps.messaging import permissions, template_checks, templates
from backend.apps.messaging.models import MessageTemplate
from backend.apps.messaging.rendering import Source
from backend.apps.messaging.template_serializers import HELP

FIELDS = ("kind", "channel", "language", "subject", "body", "is_active")


class MessageTemplateForm(forms.ModelForm):
    """Shows what cannot be sent beside its field, with the text still in the form."""

    class Meta:
        model = MessageTemplate
        fields = FIELDS
        help_texts = {"body": HELP}

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not self.errors:
            source = Source(*(given[name] for name in ("kind", "channel", "language", "subject", "body")))
            for field, sentences in templates.faults_of(source).items():
                self.add_error(field, sentences)
        return given


@admin.register(MessageTemplate)
class MessageTemplateAdmin(ClinicAdmin):
    permissions = permissions.TEMPLATE
    form = MessageTemplateForm
    creates = templates.add
    updates = templates.save
    fields = FIELDS
    list_display = ("kind", "channel", "language", "is_active", "updated_at")
    list_filter = ("kind", "channel", "is_active")
    search_fields = ("language__exact",)

    def save_model(self, request: HttpRequest, obj: MessageTemplate, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        for sentence in template_checks.warnings(templates.source_of(obj), templates.current_facts()):
            messages.warning(request, sentence)

    def delete_model(self, request: HttpRequest, obj: MessageTemplate) -> None:
        templates.discard(obj, by=request.user)
