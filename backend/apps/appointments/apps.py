"""Registers the app `appointments`."""

from django.apps import AppConfig


class AppointmentsConfig(AppConfig):
    name = "backend.apps.appointments"
    label = "appointments"
    after_patient_change = "backend.apps.appointments.reminders.replan_patient"
