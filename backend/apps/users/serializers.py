"""What the API takes and tells about logins."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.users.models import User


class PasswordField(serializers.CharField):
    """Taken as it is typed, never sent back; long enough for any passphrase, short enough to hash."""

    def __init__(self, **options: Any) -> None:
        limits: dict[str, Any] = {"max_length": 256, "trim_whitespace": False, "write_only": True}
        super().__init__(**{**limits, **options})


class UserSerializer(ClinicSerializer):
    class Meta:
        model = User
        fields = [
            "id", "email", "first_name", "last_name", "phone", "role", "is_verified", "date_of_birth",
            "profile_picture", "is_active", "deactivated_at", "deactivated_because", "last_login",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = ("is_active", "deactivated_at", "deactivated_because", "last_login")

    def validate_email(self, value: str) -> str:
        return value.lower()


class NewUserSerializer(UserSerializer):
    password = PasswordField(required=False)

    class Meta(UserSerializer.Meta):
        fields = [*UserSerializer.Meta.fields, "password"]


class DeactivateForm(Form):
    reason = serializers.CharField(max_length=200, required=False)


class SignInForm(Form):
    email = serializers.CharField(max_length=254)
    password = PasswordField()


class RefreshForm(Form):
    refresh = serializers.CharField(max_length=2_000, write_only=True)


class LogoutForm(Form):
    everywhere = serializers.BooleanField(default=False)


class PasswordForm(Form):
    current_password = PasswordField()
    new_password = PasswordField()


class TokensSerializer(serializers.Serializer):
    access = serializers.CharField()
    refresh = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds the access token lives.")
