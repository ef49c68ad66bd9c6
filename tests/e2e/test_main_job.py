"""From a signed webhook to a query of the bin, on both stacks, in one process and in several."""

from pathlib import Path

import pytest

from schemas.samples import campaign_deleted, voucher_deleted
from tests.stack import CREDENTIALS, Stack, client_of, deliver, in_bin, running

SAMPLES = Path(__file__).parent.parent / "data" / "voucherify" / "webhooks"


async def test_every_published_delivery_goes_through(stack: Stack) -> None:
    """The published deliveries are accepted; the deletions among them are in the bin, the rest is not."""
    service = stack.service()
    with running(service):
        await service.ready()
        async with client_of(service.url) as client:
            for sample in sorted(SAMPLES.glob("*.json")):
                path = "/EVENTS.VOUCHER.DELETED" if "data_only" in sample.name else ""
                response = await deliver(client, sample.read_bytes(), path=path)
                assert response.status_code == 202, (sample.name, response.text)
        deleted = ["camp_duuYvm09BNsf274eQVp1ZO43", "v_48SKO3XotBsaHBVGXIdgcGSb684cbyrO"]
        entries = {
            entry["resource_id"]: entry
            for entry in await in_bin(service.url, [*deleted, "v_SLmKIus1KXxx5N9qT1ZMVWOu2xk6JxJs"])
        }
        assert set(entries) == {*deleted, "v_SLmKIus1KXxx5N9qT1ZMVWOu2xk6JxJs"}
        campaign = entries["camp_duuYvm09BNsf274eQVp1ZO43"]
        assert campaign.pop("id").startswith("tbe_0e54ce36")
        assert campaign == {
            "created_at": "2024-02-21T15:29:30.663Z",
            "deleted_by_user_id": "user_ypzfEcSAphSONMGJRlj6trzXKsh7FGX7",
            "resource_id": "camp_duuYvm09BNsf274eQVp1ZO43",
            "resource_type": "campaign",
            "resource_name": "Loyalty Spring",
            "resource_parent_id": None,
            "object": "campaign",
        }
        assert service.stop() == 0


async def test_one_receiver_worker_and_api_each_in_a_process(stack: Stack) -> None:
    """Roles in processes of their own share the log and the projection."""
    receiver, worker, api = (stack.service(role) for role in ("receiver", "worker", "api"))
    with running(receiver, worker, api):
        for service in (receiver, worker, api):
            await service.ready()
        async with client_of(receiver.url) as client:
            for number in range(20):
                body = voucher_deleted(voucher_id=f"v_{number}", event_id=f"evvou_{number}")
                assert (await deliver(client, body)).status_code == 202
            assert (await client.get("/v1/trash-bin", headers=CREDENTIALS)).status_code == 404
        entries = await in_bin(api.url, [f"v_{number}" for number in range(20)])
        assert len(entries) == 20
        assert [service.stop() for service in (receiver, worker, api)] == [0, 0, 0]


async def test_duplicates_forgeries_and_nonsense(stack: Stack) -> None:
    """A duplicate counts once, a forged delivery is refused, a senseless one is kept as a failed event."""
    service = stack.service()
    with running(service):
        await service.ready()
        async with client_of(service.url) as client:
            body = campaign_deleted(campaign_id="camp_1", event_id="evcam_1")
            assert [(await deliver(client, body)).status_code for _ in range(3)] == [202, 202, 202]
            assert (await deliver(client, body, secret=b"wrong")).status_code == 401
            assert (await deliver(client, b'{"hello": "world"}')).status_code == 202
            assert (await deliver(client, b"\xff not json")).status_code == 202
        entries = await in_bin(service.url, ["camp_1"])
        assert [entry["resource_id"] for entry in entries] == ["camp_1"]


@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_pages_hold_every_entry_once(sqlite_stack: Stack, limit: int) -> None:
    """Following more_starting_after visits every entry exactly once, in the order of ids."""
    service = sqlite_stack.service()
    wanted = [f"v_{number:02}" for number in range(25)]
    with running(service):
        await service.ready()
        async with client_of(service.url, headers=CREDENTIALS) as client:
            for voucher_id in wanted:
                await deliver(client, voucher_deleted(voucher_id=voucher_id, event_id=f"ev_{voucher_id}"))
            await in_bin(service.url, wanted)
            seen: list[str] = []
            params = {"limit": str(limit)}
            while True:
                page = (await client.get("/v1/trash-bin", params=params)).json()
                seen += [entry["id"] for entry in page["data"]]
                assert page["total"] == len(page["data"]) <= limit
                if not page["has_more"]:
                    break
                params["starting_after_id"] = page["more_starting_after"]
        assert seen == sorted(seen)
        assert len(seen) == len(set(seen)) == 25
