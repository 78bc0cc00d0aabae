"""What of a clinic's own text goes over the wire."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.core.validators import validate_language
from backend.apps.messaging import template_checks, templates
from backend.apps.messaging.models import MessageKind, MessageTemplate
from backend.apps.messaging.rendering import VARIABLES

CHANNELS = (("email", "e-mail"), ("sms", "text message"))
KNOWN = "; ".join(f"{{{name}}}: {meaning}" for name, meaning in VARIABLES.items())
HELP = f"Variables: {KNOWN}. What stands in [ ] is left out when a variable in it is empty."


class MessageTemplateSerializer(ClinicSerializer):
    warnings = serializers.SerializerMethodField(help_text="What is allowed but should be known, as its price.")

    class Meta:
        model = MessageTemplate
        fields = [
            "id", "kind", "channel", "language", "subject", "body", "is_active", "warnings", "created_at",
            "updated_at",
        ]  # fmt: skip
        extra_kwargs = {"body": {"help_text": HELP}}

    def get_warnings(self, row: MessageTemplate) -> list[str]:
        facts = self.context.get("facts") or templates.current_facts()
        return template_checks.warnings(templates.source_of(row), facts)


class PreviewForm(Form):
    """A text to try, or none for the one that would be used."""

    kind = serializers.ChoiceField(choices=MessageKind.choices)
    channel = serializers.ChoiceField(choices=CHANNELS)
    language = serializers.CharField(max_length=35, default="en", validators=[validate_language])
    subject = serializers.CharField(max_length=120, required=False, allow_blank=True, default="")
    body = serializers.CharField(
        max_length=4000, required=False, allow_blank=True, default="", trim_whitespace=False, help_text=HELP
    )


class PreviewSerializer(serializers.Serializer[Any]):
    """A text filled with made-up facts, and what is wrong with it."""

    subject = serializers.CharField()
    text = serializers.CharField()
    html = serializers.CharField()
    language = serializers.CharField()
    encoding = serializers.CharField()
    segments = serializers.IntegerField()
    faults = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    warnings = serializers.ListField(child=serializers.CharField())


class EffectiveSerializer(serializers.Serializer[Any]):
    """The text that is used; id is empty where it is the shipped one."""

    kind = serializers.CharField()
    channel = serializers.CharField()
    language = serializers.CharField(help_text="The patient's.")
    written_in = serializers.CharField(help_text="The language of the text that is used.")
    id = serializers.UUIDField(allow_null=True)
    subject = serializers.CharField()
    body = serializers.CharField()
