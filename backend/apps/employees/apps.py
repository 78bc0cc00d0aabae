"""Registers the app `employees`."""

from django.apps import AppConfig


class EmployeesConfig(AppConfig):
    name = "backend.apps.employees"
    label = "employees"
