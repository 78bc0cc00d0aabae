"""Registers the app of people who sign in."""

from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "backend.apps.users"
    label = "users"
