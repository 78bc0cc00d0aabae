"""Registers the app of people who sign in."""

from django.apps import AppConfig

from backend.apps.users import checks

CHECKS = (checks,)  # register themselves


class UsersConfig(AppConfig):
    name = "backend.apps.users"
    label = "users"
