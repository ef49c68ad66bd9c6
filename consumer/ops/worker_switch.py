"""Pausing the worker, and letting it go on after a pause or after it stopped by itself."""

import secrets
from typing import Any

from consumer.projection.control_base import ALIVE_SECONDS, Audit, WorkerControl, WorkerState, WorkerStop
from schemas.times import format_time


class WorkerSwitch:
    """One operation for command line, console and API. Holds for the workers of all processes."""

    def __init__(self, control: WorkerControl, audit: Audit) -> None:
        self._control = control
        self._audit = audit

    async def state(self) -> WorkerState:
        """What is ordered, and who has stopped."""
        return await self._control.state()

    async def pause(self, *, who: str, reason: str | None) -> bool:
        """Have all workers wait. False: they do already."""
        audit_id = await self._begin("pause", who, reason)
        changed = await self._control.order_pause(who=who, reason=reason)
        await self._audit.finish(audit_id, result="done", counts={"changed": int(changed)})
        return changed

    async def resume(self, *, who: str) -> WorkerState:
        """Have all workers go on; what was ordered, and who had stopped, before."""
        before = await self._control.state()
        stops = "; ".join(f"{stop.worker}: {stop.reason}" for stop in before.stops)
        audit_id = await self._begin("resume", who, stops[:500] or None)
        before = await self._control.order_resume()
        counts = {"pauses": int(before.pause is not None), "stops": len(before.stops)}
        await self._audit.finish(audit_id, result="done", counts=counts)
        return before

    async def _begin(self, action: str, who: str, reason: str | None) -> str:
        audit_id = f"worker-{action}-{secrets.token_hex(8)}"
        await self._audit.begin(audit_id, who=who, action=f"worker.{action}", reason=reason)
        return audit_id


def blocking_reasons(state: WorkerState) -> list[str]:
    """What keeps workers from working, a line each, for people."""
    lines = []
    if state.pause is not None:
        paused_at, who, reason = state.pause
        why = f": {reason}" if reason else ""
        lines.append(f"paused since {format_time(paused_at)} by {who}{why}")
    return lines + [_stop_words(stop) for stop in state.stops]


def as_dict(state: WorkerState) -> dict[str, Any]:
    """For machines."""
    pause = state.pause
    return {
        "paused": pause and {"since": format_time(pause.paused_at), "by": pause.who, "reason": pause.reason},
        "stopped": [
            {
                "worker": stop.worker,
                "since": format_time(stop.stopped_at),
                "reason": stop.reason,
                "alive": stop.seen_ago <= ALIVE_SECONDS,
            }
            for stop in state.stops
        ],
    }


def _stop_words(stop: WorkerStop) -> str:
    gone = "" if stop.seen_ago <= ALIVE_SECONDS else " (its process is gone)"
    return f"{stop.worker} stopped by itself at {format_time(stop.stopped_at)}{gone}: {stop.reason}"
