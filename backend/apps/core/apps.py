"""Registers the bottom app, what every other app stands on, and the admin site it brings."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps

from backend.apps.core import deploy_checks

CHECKS = (deploy_checks,)  # register themselves


class CoreConfig(AppConfig):
    name = "backend.apps.core"
    label = "core"
    default = True


class ClinicAdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "backend.apps.core.site.ClinicAdminSite"
