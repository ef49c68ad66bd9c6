"""What the path of a webhook names: a project, and perhaps an event.

``/webhooks/voucherify[/{project}][/{event name}]``: a segment with a dot is an event's name, one without
is a project's. Without a project's segment it is the project ``default``, or else the only one there is.
"""

import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from fnmatch import translate
from typing import Final, NamedTuple

from consumer.metrics import Metrics
from consumer.types import DEFAULT_PROJECT, Project
from consumer.web.signature import key_of
from schemas.times import SECOND, Micros

PREFIX: Final = "/webhooks/voucherify"
NOBODY: Final = "(unknown)"
"""Stands for the project, in logs and metrics, of paths that name none of ours."""

_OUTCOMES: Final = (
    "stored",
    "spooled",
    "unwanted",
    "unauthorized",
    "too_large",
    "timeout",
    "unavailable",
    "method_not_allowed",
    "disconnected",
)
_MAX_EVENT_NAME: Final = 200
_MAX_REMEMBERED_TYPES: Final = 1000


def webhook_urls(public_url: str, projects: Collection[str]) -> Mapping[str, str]:
    """Where Voucherify posts each project's deliveries to: what is entered there. By project."""
    if len(projects) == 1:
        return dict.fromkeys(projects, public_url + PREFIX)
    return {project: f"{public_url}{PREFIX}/{project}" for project in projects}


class WebhookProject:
    """One project as the receiver sees it, with everything bound that does not change."""

    def __init__(
        self, name: str, live_secrets: tuple[bytes, ...], patterns: Iterable[str], metrics: Metrics
    ) -> None:
        self.name = name
        self.keys = tuple(map(key_of, live_secrets))
        self.known = name != NOBODY
        self.counters = {outcome: metrics.deliveries.labels(name, outcome) for outcome in _OUTCOMES}
        self._gauge = metrics.last_delivery
        self._last_delivery: Micros | None = None
        self._patterns = tuple(re.compile(translate(pattern)) for pattern in patterns)
        self._remembered: dict[str, bool] = {"": True}

    def note_delivery(self, moment: Micros) -> None:
        """A verified delivery came. The gauge exists from the first one on: 0 would read as long ago."""
        first, self._last_delivery = self._last_delivery is None, moment
        if first:
            # Read when somebody looks: setting the gauge would cost each delivery as much as counting it.
            self._gauge.labels(self.name).set_function(lambda: (self._last_delivery or 0) / SECOND)

    def wants(self, event_type: str) -> bool:
        """Whether events of this type are stored. One without a known type is: it may be anything."""
        wanted = self._remembered.get(event_type)
        if wanted is None:
            wanted = any(pattern.match(event_type) for pattern in self._patterns)
            if len(self._remembered) < _MAX_REMEMBERED_TYPES:
                self._remembered[event_type] = wanted
        return wanted


class Target(NamedTuple):
    """Where a request's path leads."""

    project: WebhookProject
    event_name: str | None


class Targets:
    """Finds the target of a path."""

    def __init__(self, projects: Mapping[str, Project], metrics: Metrics) -> None:
        self._projects = {
            project.name: WebhookProject(project.name, project.webhook_secrets, project.event_types, metrics)
            for project in projects.values()
        }
        # A path that names no project goes the same way as any other, with a secret that nobody has,
        # so that neither the answer nor its time tells which projects there are.
        self._nobody = WebhookProject(NOBODY, (secrets.token_bytes(32),), (), metrics)
        self._default = self._nobody
        if DEFAULT_PROJECT in self._projects:
            self._default = self._projects[DEFAULT_PROJECT]
        elif len(self._projects) == 1:
            (self._default,) = self._projects.values()
        self._exact = {PREFIX: Target(self._default, None)}
        for name, project in self._projects.items():
            self._exact[f"{PREFIX}/{name}"] = Target(project, None)

    def find(self, path: str) -> Target:
        """The target of a percent-decoded path."""
        return self._exact.get(path) or self._parse(path)

    def _parse(self, path: str) -> Target:
        project, event_name = self._default, None
        segments = path.removeprefix(PREFIX).strip("/").split("/")
        if segments and "." in segments[-1]:
            event_name = segments.pop()
        if segments and segments[0]:
            project = self._projects.get(segments.pop(0), self._nobody)
        if any(segments) or (event_name is not None and len(event_name) > _MAX_EVENT_NAME):
            return Target(self._nobody, None)
        return Target(project, event_name)
