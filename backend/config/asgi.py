"""The web entry point: granian loads `backend.config.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

from backend.config import memory, production

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")

application = get_asgi_application()
production.insist("web")
memory.settle()
