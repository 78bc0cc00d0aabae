"""Speaks the outside protocols in plain Python: no Django, no Celery, no database."""
