"""Credentials of our query API: ``X-App-Id`` and ``X-App-Token``. They also say whose bin is asked for."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers

from consumer.types import ALL_PERMISSIONS, Permission, Project
from consumer.web.errors import ProblemError
from schemas.errors import missing_permission, unauthorized


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: sees and changes this project's bin only, as far as permitted."""

    project: Project
    permissions: frozenset[Permission]
    who: str
    """For the audit, for example ``api key app-id``."""

    def require(self, *permissions: Permission) -> None:
        """Raises ProblemError: 403, if any of ``permissions`` is missing."""
        if not self.permissions.issuperset(permissions):
            raise ProblemError(missing_permission())


class Authenticates(Protocol):
    """Knows callers by a request's headers."""

    async def authenticate(self, headers: Headers) -> Caller:
        """Raises ProblemError: 401, and whatever else the caller is to be answered."""


class Credentials:
    """Those of all projects that have some."""

    def __init__(self, projects: Iterable[Project]) -> None:
        self._known = tuple(
            (project, project.api_app_id.encode(), project.api_app_token)
            for project in projects
            if project.api_app_id and project.api_app_token
        )

    async def authenticate(self, headers: Headers) -> Caller:
        """Whom the credentials belong to. Raises ProblemError: 401.

        Every project is compared, so that the time tells nothing of which one nearly matched.
        """
        app_id, token = _only(headers, "x-app-id"), _only(headers, "x-app-token")
        found: Project | None = None
        for project, its_id, its_token in self._known:
            same_id = hmac.compare_digest(app_id, its_id)
            same_token = hmac.compare_digest(token, its_token)
            if same_id and same_token:
                found = project
        if found is None:
            raise ProblemError(unauthorized())
        return Caller(found, ALL_PERMISSIONS, f"api key {found.api_app_id}")


def _only(headers: Headers, name: str) -> bytes:
    """The header's bytes; empty, which no credential is, when it is missing or repeated."""
    values = headers.getlist(name)
    return values[0].encode("latin-1") if len(values) == 1 else b""
