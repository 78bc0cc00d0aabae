"""The addresses of bulk export, below /fhir/R4/."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
