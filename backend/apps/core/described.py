"""Tells what the API can do; made anew for each who asks it would hold a web process up for eight seconds."""

from __future__ import annotations

import threading
from typing import Any

from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request
from rest_framework.response import Response

_made: dict[str, Any] = {}  # the one description, once it is made
_one_at_a_time = threading.Lock()


class Described(SpectacularAPIView):
    """The OpenAPI description, made once in a process: nothing in it depends on who asks."""

    def _get_schema_response(self, request: Request) -> Response:
        with _one_at_a_time:
            if "schema" not in _made:
                _made["schema"] = self.generator_class().get_schema(request=None, public=True)
        name = self._get_filename(request, None)
        return Response(_made["schema"], headers={"Content-Disposition": f'inline; filename="{name}"'})
