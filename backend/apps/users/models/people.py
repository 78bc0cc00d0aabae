"""People who sign in."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.crypto import constant_time_compare, salted_hmac

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, AllObjectsManager, ClinicModel, SoftDeleteQuerySet
from backend.apps.core.documents import KeptIn, validate_picture
from backend.apps.core.roles import Role
from backend.apps.core.validators import validate_not_future, validate_phone


class UserManager(BaseUserManager.from_queryset(SoftDeleteQuerySet)):  # type: ignore[misc]  # made at run time
    def get_queryset(self) -> SoftDeleteQuerySet:
        return super().get_queryset().filter(is_deleted=False)

    def get_by_natural_key(self, username: str) -> User:
        return self.get(email=username.lower())

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a user; without a password nobody can sign in until one is set."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.full_clean(exclude=["password"])
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, **{"role": Role.ADMIN, "is_verified": True, **fields})


class User(ClinicModel, AbstractBaseUser):
    """A person who signs in with an e-mail address, kept in lower case. What they may do follows from `role` alone."""

    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset(), owners=("pk",))

    email = models.EmailField(max_length=254, unique=True)
    first_name = models.CharField(max_length=80, blank=True)
    last_name = models.CharField(max_length=80, blank=True)
    phone = models.CharField(max_length=16, blank=True, validators=[validate_phone])
    role = models.CharField(max_length=12, choices=Role, default=Role.PATIENT)
    is_verified = models.BooleanField(default=False)
    date_of_birth = models.DateField(null=True, blank=True, validators=[validate_not_future])
    profile_picture = models.ImageField(
        upload_to=KeptIn("profile_pictures", "profile_picture"), blank=True, validators=[validate_picture]
    )
    is_active = models.BooleanField(default=True)
    deactivated_at = models.DateTimeField(null=True, blank=True, editable=False)
    deactivated_because = models.CharField(max_length=200, blank=True, editable=False)
    token_version = models.PositiveIntegerField(default=0, db_default=0, editable=False)  # grows when sign-ins end
    rehashed = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)  # see `rehash`

    objects: ClassVar[UserManager] = UserManager()
    all_objects: ClassVar[AllObjectsManager] = AllObjectsManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta(ClinicModel.Meta):
        ordering = ["email"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(email=Lower("email")),
                name="users_user_email_lower_case",
                violation_error_message="Write the e-mail address in lower case.",
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="users_user_role_known"),
            models.CheckConstraint(
                condition=Q(phone="") | Q(phone__regex=r"^\+[1-9][0-9]{5,14}$"), name="users_user_phone_e164"
            ),
            models.CheckConstraint(
                condition=Q(is_active=False) | Q(deactivated_at__isnull=True), name="users_user_active_or_deactivated"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["role", "is_active"], name="user_role_active"),
            models.Index(fields=["last_name", "first_name"], name="user_name"),
            models.Index(fields=["-created_at", "id"], name="user_newest"),
        ]

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

    @property
    def is_superuser(self) -> bool:
        """Django's word for the administrator; nothing can be granted beside the role."""
        return self.is_admin

    def rehash(self, encoded: str) -> None:
        """Take another hash of the same password; cookies tied to the hash before hold on."""
        tied = self.get_session_auth_hash()
        self.password = encoded
        self.rehashed = self._tie(tied)

    def ties(self, digest: str) -> bool:
        """Return whether a cookie that was tied to a hash of the password by `digest` is of the password of now."""
        known = (self.get_session_auth_hash(), *self.get_session_auth_fallback_hash())
        return any(constant_time_compare(digest, one) for one in known) or (
            bool(self.rehashed) and constant_time_compare(self._tie(digest), self.rehashed)
        )

    def _tie(self, digest: str) -> str:
        return salted_hmac("users.rehashed", f"{digest} {self.password}", algorithm="sha256").hexdigest()

    def clean(self) -> None:
        super().clean()
        self.email = self.email.lower()

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Deny: Django asks this for models without a role table of ours."""
        return False

    def has_module_perms(self, app_label: str) -> bool:
        return False
