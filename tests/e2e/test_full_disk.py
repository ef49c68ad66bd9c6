"""The disk of a SQLite projection takes nothing more for a while, and then again."""

import resource

from tests.stack import Load, Service, Stack, in_bin, running, until


def limit_files(service: Service, size: int) -> None:
    """No file of this process may grow beyond ``size``, as with a quota: writes fail half-way."""
    _, most = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (size, most))


async def test_the_worker_s_disk_is_full_for_a_while(sqlite_stack: Stack) -> None:
    """Deliveries are taken all the same; the worker says what is wrong, and later goes on without loss."""
    receiver, worker, api = (sqlite_stack.service(role) for role in ("receiver", "worker", "api"))
    with running(receiver, worker, api):
        for service in (receiver, worker, api):
            await service.ready()
        async with Load(lambda: receiver.url, prefix="full", pause=0.03) as load:
            await more(load, 30)
            limit_files(worker, (sqlite_stack.folder / "bin.db-wal").stat().st_size)

            async def told() -> bool:
                return "bin.db: disk I/O error" in worker.log.read_text()

            await until(told, "the worker says that it cannot write")
            await more(load, 30)
            limit_files(worker, resource.RLIM_INFINITY)
            await more(load, 30)
        assert {answer.status for answer in load.answers} == {202}
        entries = await in_bin(api.url, load.accepted)
        assert len(entries) == len(load.accepted)
        await worker.ready()


async def more(load: Load, number: int) -> None:
    goal = len(load.accepted) + number

    async def reached() -> bool:
        return len(load.accepted) >= goal

    await until(reached, f"{number} more deliveries accepted")
