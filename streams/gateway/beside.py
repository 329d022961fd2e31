"""Routes that the gateway does not serve itself, with refusals like its own: problem JSON and no more."""

import logging
from collections.abc import Sequence
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from streams.gateway.problem import Problem
from streams.gateway.request import PROBLEM_JSON

_log = logging.getLogger(__name__)
_SLUGS = {
    HTTPStatus.NOT_FOUND: ("no-such-path", "There is nothing at this path."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method", "This path has other methods; Allow names them."),
}


def beside(routes: Sequence[BaseRoute]) -> Starlette:
    """Return an application of routes; an unknown path, a wrong method and a fault are answered for them."""
    app = Starlette(routes=list(routes), exception_handlers={HTTPException: _refused, Exception: _failed})
    app.router.redirect_slashes = False  # a redirect would repeat the Host that the sender made up
    return app


async def _refused(_: Request, error: Exception) -> Response:
    status, headers = HTTPStatus.BAD_REQUEST, None
    if isinstance(error, HTTPException):
        status, headers = HTTPStatus(error.status_code), error.headers
    slug, text = _SLUGS.get(status, ("refused", "The request was refused."))
    body = Problem(status, slug, text).body()
    return Response(body, status, headers=headers, media_type=PROBLEM_JSON.decode())


async def _failed(request: Request, error: Exception) -> Response:
    _log.error("a fault of ours while serving %s", request.method, exc_info=error)
    body = Problem(500, "internal", "A fault of ours; it is in the log. Send it again.").body()
    return Response(body, 500, media_type=PROBLEM_JSON.decode())
