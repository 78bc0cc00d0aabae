"""People who sign in, and the sessions their tokens belong to."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, AllObjectsManager, ClinicModel, SoftDeleteQuerySet, UUIDModel
from backend.apps.core.roles import Role
from backend.apps.core.validators import validate_not_future, validate_phone


class UserManager(BaseUserManager.from_queryset(SoftDeleteQuerySet)):  # type: ignore[misc]  # made at run time
    use_in_migrations = False

    def get_queryset(self) -> SoftDeleteQuerySet:
        return super().get_queryset().filter(is_deleted=False)

    def get_by_natural_key(self, username: str) -> User:
        return self.get(email__iexact=username)

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a user; without a password nobody can sign in until one is set."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.full_clean(exclude=["password"])
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, **{"role": Role.ADMIN, "is_verified": True, **fields})


class User(ClinicModel, AbstractBaseUser, PermissionsMixin):
    """A person who signs in with an e-mail address. What they may do follows from `role` alone."""

    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset(), owners=("pk",))

    email = models.EmailField(max_length=254, unique=True)
    first_name = models.CharField(max_length=80, blank=True)
    last_name = models.CharField(max_length=80, blank=True)
    phone = models.CharField(max_length=16, blank=True, validators=[validate_phone])
    role = models.CharField(max_length=12, choices=Role, default=Role.PATIENT)
    is_verified = models.BooleanField(default=False)
    date_of_birth = models.DateField(null=True, blank=True, validators=[validate_not_future])
    profile_picture = models.ImageField(upload_to="profile_pictures/", blank=True)
    is_active = models.BooleanField(default=True)
    deactivated_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = UserManager()
    all_objects = AllObjectsManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta(ClinicModel.Meta):
        ordering = ["email"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(Lower("email"), name="users_user_email_once"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="users_user_role_known"),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["role", "is_active"], name="user_role_active")]

    @property
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN

    @property
    def is_doctor(self) -> bool:
        return self.role == Role.DOCTOR

    @property
    def is_patient(self) -> bool:
        return self.role == Role.PATIENT

    @property
    def is_staff_member(self) -> bool:
        return self.role != Role.PATIENT

    @property
    def is_staff(self) -> bool:
        """Whether the admin site lets this user in (Django's word); what it shows follows the role tables."""
        return self.is_staff_member and self.is_active

    def clean(self) -> None:
        super().clean()
        self.email = self.email.lower()


class LoginSession(UUIDModel):
    """One sign-in. Every token carries its id, so that revoking the row kills its tokens at once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="login_sessions")
    refresh_jti = models.CharField(max_length=32)  # the only refresh token that may still be used
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_seen_at = models.DateTimeField(default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_because = models.CharField(max_length=40, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user"], name="loginsession_live", condition=models.Q(revoked_at__isnull=True))
        ]

    def __str__(self) -> str:
        return f"login session {self.pk}"
