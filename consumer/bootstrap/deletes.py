"""Puts together what deletes entries for good, as the setting DELETES wants it."""

from contextlib import AsyncExitStack

from consumer.bootstrap.parts import direct_producer
from consumer.bootstrap.reconcile import make_client, with_access
from consumer.bootstrap.tasks import Tasks
from consumer.clock import Clock
from consumer.eventlog.base import Producer
from consumer.eventlog.sqlite import SqliteProducer
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.ops.purge import Purge
from consumer.projection.base import ProjectionReader
from consumer.settings import Settings


def make_purge(
    settings: Settings,
    reader: ProjectionReader,
    receiver: Producer | None,
    resources: AsyncExitStack,
    tasks: Tasks,
    *,
    clock: Clock,
    log: Logger,
    metrics: Metrics,
) -> Purge:
    """The operation; what it opens is closed with ``resources``.

    ``receiver`` is the producer that takes deliveries in this process, if one does. SQLite's serves here too:
    one connection writes a file. Kafka's may end in the spool, so there is one of its own, which connects in
    the background: the log being away must not keep the bin from being read.
    """
    if settings.deletes == "refuse":
        return Purge("refuse", reader=reader, producer=None, clients={}, clock=clock)
    producer: Producer
    if isinstance(receiver, SqliteProducer):
        producer = receiver
    else:
        producer = direct_producer(settings, clock=clock, metrics=metrics)
        resources.push_async_callback(producer.stop)
        tasks.start("deletes", producer.start(), endless=False)
    clients = {}
    if settings.deletes == "forward":
        for name, access in with_access(settings).items():
            clients[name] = make_client(access, clock=clock, log=log)
            resources.push_async_callback(clients[name].aclose)
    return Purge(settings.deletes, reader=reader, producer=producer, clients=clients, clock=clock)
