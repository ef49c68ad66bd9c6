"""Which form a webhook's body has, and which of its fields matter to its event."""

from collections.abc import Iterator
from typing import Literal, TypeAlias

from schemas.envelope import Parsed, Path, Problem
from schemas.events import Failure

Form: TypeAlias = Literal["current", "old", "data_only"]


def form_of(parsed: Parsed, path_name: str | None) -> Form | None:
    """The body's form; None when neither it nor the path (``path_name``) can name the event.

    An envelope wins over the path. ``type`` alone makes no envelope: it names the event where the path
    does not. So a stored body reads the same when its event's type stands in for the path.
    """
    body, problems = parsed
    if body.get("event") is not None or ("event",) in problems:
        return "current"
    if body.get("object") == "event":
        return "old"
    if body.get("data") is not None or ("data",) in problems:
        return "current"
    if path_name is not None or body.get("type"):
        return "data_only"
    if body.get("type") is not None or ("type",) in problems:
        return "current"
    return None


def first_failure(parsed: Parsed, form: Form, event_type: str) -> Failure | None:
    """Why the event cannot be applied, if one of the problems is with a field that it uses.

    A text that cannot be stored matters only where the event cannot do without it; the model simply
    does not have it otherwise.
    """
    for path, required in _used(parsed, form, event_type):
        problem = parsed.problems.get(path)
        if problem is not None and (required or problem.kind == "wrong_type"):
            return _failure(path, problem)
    return None


def _failure(path: Path, problem: Problem) -> Failure:
    if path[-1] in {"created_at", "deleted_at"}:
        code = "invalid_time"
    else:
        code = "unstorable_text" if problem.kind == "unstorable" else "invalid_envelope"
    return Failure(code, f"{'.'.join(path)}: {problem.message}")


def _used(parsed: Parsed, form: Form, event_type: str) -> Iterator[tuple[Path, bool]]:
    """The fields that count, by path, and whether the event needs them."""
    body = parsed.body
    if form == "current":
        event = body.get("event")
        yield ("event",), True
        yield ("event", "id"), True
        yield ("type",), True
        if body.get("type") is None:
            yield ("event", "type"), True
        if event is not None and event.get("id"):
            yield ("event", "created_at"), True
            if event.get("created_at") is None:
                yield ("created_at",), True
        yield ("event", "group_id"), False
        yield ("event", "event_source"), False
        yield ("event", "event_source", "channel"), False
        yield ("event", "event_source", "user"), False
        yield ("event", "event_source", "user", "id"), False
        yield ("id",), False
    elif form == "old":
        yield ("id",), True
        yield ("type",), True
        yield ("created_at",), True
    yield ("project_id",), False
    yield from _used_of_data(form, event_type)


def _used_of_data(form: Form, event_type: str) -> Iterator[tuple[Path, bool]]:
    family, _, what = event_type.partition(".")
    if family not in {"voucher", "campaign"} or not what:
        return
    base: Path = () if form == "data_only" else ("data",)
    if base:
        yield base, True
    thing: Path = (*base, "object" if form == "old" else family)
    yield thing, True
    yield (*thing, "id"), True
    yield (*thing, "code" if family == "voucher" else "name"), True
    if form == "current":
        yield ("event", "entity_id"), True
    if family == "voucher":
        yield (*thing, "campaign_id"), False
        if what == "deleted" and form != "old":
            yield (*base, "campaign"), False
            yield (*base, "campaign", "id"), False
    elif what == "deleted" and form != "old":
        yield (*base, "deleted_at"), True
