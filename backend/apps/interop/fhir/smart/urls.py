"""The addresses of sign-in by SMART Backend Services, below /fhir/R4/."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
