"""``/metrics``: what Prometheus scrapes."""

from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from consumer.metrics import Metrics
from consumer.web.contract.describe import INTERNAL, Answer, Content, DescribedRoute, Operation

_METRICS: Final = Operation(
    name="get_metrics",
    tag="operations",
    summary="All metrics",
    text="In Prometheus's text format.",
    answers={
        200: Answer(
            text="All metrics of this process.",
            content=[Content(schema={"type": "string"}, media_type="text/plain")],
        )
    },
    errors=(INTERNAL,),
    access="none",
)


def metrics_route(metrics: Metrics) -> DescribedRoute:
    """The route."""

    async def show(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return DescribedRoute("GET", "/metrics", show, _METRICS)
