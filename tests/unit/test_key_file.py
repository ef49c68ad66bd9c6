"""The keys that a topic holds, in a temporary file."""

from hypothesis import given
from hypothesis import strategies as st

from consumer.eventlog.entries_base import HeldKey
from consumer.eventlog.key_file import KeyFile

KEYS = st.integers(0, 5).map(lambda number: b"p/voucher/%d" % number)
STEPS = st.lists(
    st.one_of(
        st.lists(st.builds(HeldKey, KEYS, st.booleans()), max_size=5).map(lambda held: ("apply", held)),
        st.lists(KEYS, max_size=4, unique=True).map(lambda keys: ("take", keys)),
    ),
    max_size=8,
)


@given(steps=STEPS)
async def test_is_a_set(steps: list[tuple[str, list[HeldKey] | list[bytes]]]) -> None:
    """Values put their keys in, tombstones and taking take them out, as with a set in memory."""
    model: set[bytes] = set()
    async with KeyFile() as keys:
        for what, given_ones in steps:
            if what == "apply":
                held = [one for one in given_ones if isinstance(one, HeldKey)]
                await keys.apply(held)
                for key, live in held:
                    model = model | {key} if live else model - {key}
            else:
                wanted = [one for one in given_ones if isinstance(one, bytes)]
                assert await keys.take(wanted) == model & set(wanted)
                model -= set(wanted)
            assert set(await keys.rest(100)) == model
            assert len(await keys.rest(2)) == min(2, len(model))


async def test_takes_more_than_a_statement_holds() -> None:
    """Thousands of keys are taken at once."""
    everything = [b"p/voucher/%d" % number for number in range(5_000)]
    async with KeyFile() as keys:
        await keys.apply([HeldKey(key, live=True) for key in everything])
        assert await keys.take(everything) == set(everything)
        assert await keys.rest(1) == []
