"""What the API takes and tells about logins."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.users.models import LoginSession, User
from backend.apps.users.password_rules import LONGEST, TOO_LONG


class PasswordField(serializers.CharField):
    """Taken as it is typed, never sent back; long enough for any passphrase, short enough to hash."""

    default_error_messages: ClassVar[dict[str, Any]] = {"max_length": TOO_LONG}

    def __init__(self, **options: Any) -> None:
        limits: dict[str, Any] = {"max_length": LONGEST, "trim_whitespace": False, "write_only": True}
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


class CodeForm(Form):
    challenge = serializers.CharField(max_length=300, write_only=True)
    code = serializers.CharField(max_length=40, write_only=True)


class FreshCodeForm(Form):
    code = serializers.CharField(max_length=40, write_only=True)


class EnrolForm(Form):
    current_password = PasswordField(required=False, help_text="Not needed right after the sign-in that asked for it.")
    code = serializers.CharField(
        max_length=40, required=False, write_only=True, help_text="Of the device that counts now, where there is one."
    )


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


class ProvenSerializer(serializers.Serializer):
    """Tokens, or a challenge where a second step is set up."""

    access = serializers.CharField(required=False)
    refresh = serializers.CharField(required=False)
    must_enrol = serializers.BooleanField(
        required=False, help_text="The tokens may do nothing but set up a second step."
    )
    challenge = serializers.CharField(required=False, help_text="For `token/mfa/`, together with a code.")
    expires_in = serializers.IntegerField(help_text="Seconds the access token or the challenge lives.")


class EnrolmentSerializer(serializers.Serializer):
    secret = serializers.CharField(help_text="Base32, to type where no picture can be taken.")
    uri = serializers.CharField(help_text="otpauth://")
    qr = serializers.CharField(help_text="The uri as SVG.")


class RecoveryCodesSerializer(serializers.Serializer):
    recovery_codes = serializers.ListField(child=serializers.CharField())


class StandingSerializer(serializers.Serializer):
    is_set_up = serializers.BooleanField()
    is_required = serializers.BooleanField()
    recovery_codes_left = serializers.IntegerField()


class SessionSerializer(serializers.ModelSerializer):
    is_this = serializers.BooleanField(help_text="Whether it is the one that asks.")

    class Meta:
        model = LoginSession
        fields = ("id", "kind", "created_at", "last_seen_at", "is_this")
