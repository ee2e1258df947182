"""What every store promises: the suite that SQLite, PostgreSQL and the fake in memory pass alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import pytest

from ragent_jupyter.domain.effects import Launch, Owed, SendStop
from ragent_jupyter.domain.errors import Held, StoreFailed
from ragent_jupyter.domain.events import Record
from ragent_jupyter.domain.ports import RowPut, Store, Tx

T = TypeVar("T")


class Place(Protocol):
    """Where the stores of one test keep their data; opening it again finds what was committed."""

    now: float  # what the stores' clock says

    def open(self) -> Store: ...
    def refusing(self, store: Store) -> AbstractContextManager[None]:
        """Inside, the disk takes nothing more."""


def record(stream: str = "run_a", topic: str = "runs", type_: str = "run_changed", **data: Any) -> Record:
    return Record(stream=stream, topic=topic, type=type_, data=data)


def put(id_: str, data: bytes = b"{}", kind: str = "run", sort: float = 0.0, parent: str | None = None) -> RowPut:
    return RowPut(kind=kind, id=id_, data=data, sort=sort, status="ready", parent=parent)


def launch(run_id: str) -> Owed:
    return Owed(key=f"launch:{run_id}", stream=run_id, effect=Launch(run_id=run_id))


def do(what: Callable[[], Awaitable[T]]) -> T:
    """Run one piece of a test where an event loop is running."""

    async def inside() -> T:
        return await what()

    return asyncio.run(inside())


def commit(store: Store, *txs: Tx) -> list[list[int]]:
    """Hand them over at the same time; their seqs."""

    async def together() -> list[list[int]]:
        return await asyncio.gather(*[store.commit(tx) for tx in txs])

    return asyncio.run(together())


class StoreContract:
    @pytest.fixture
    def store(self, place: Place) -> Store:
        return place.open()

    def test_a_commit_gives_the_seqs_of_its_records_from_one_on(self, store: Store) -> None:
        assert store.newest_seq() == 0
        assert store.oldest_seq() == 1
        assert commit(store, Tx(records=[record(n=1), record(n=2)])) == [[1, 2]]
        assert commit(store, Tx(records=[record(n=3)])) == [[3]]
        assert commit(store, Tx(offsets={"a": 1})) == [[]]
        assert (store.oldest_seq(), store.newest_seq()) == (1, 3)

    def test_a_record_is_read_as_it_was_written(self, store: Store, place: Place) -> None:
        place.now = 1_790_000_000.5
        commit(
            store, Tx(records=[Record(stream="alt_x", topic="alerts", type="alert_raised", data={"ü": [1, None]}, v=3)])
        )
        [stored] = store.read_log(0, None, 10)
        assert (stored.seq, stored.stream, stored.topic, stored.type, stored.v) == (
            1,
            "alt_x",
            "alerts",
            "alert_raised",
            3,
        )
        assert stored.time == 1_790_000_000.5
        assert bytes(stored.data) == '{"ü":[1,null]}'.encode()

    def test_everything_of_a_transaction_is_there_after_reopening(self, place: Place) -> None:
        store = place.open()
        commit(
            store,
            Tx(
                records=[record(n=1)],
                puts=[put("run_a", b'{"a":1}')],
                owed=[launch("run_a")],
                offsets={"run_a/facts": 7},
            ),
        )
        log_id = store.log_id
        store.close()
        again = place.open()
        assert again.log_id == log_id
        assert again.newest_seq() == 1
        assert [bytes(r.data) for r in again.read_log(0, None, 10)] == [b'{"n":1}']
        assert again.load("run") == [b'{"a":1}']
        assert again.owed() == [launch("run_a")]
        assert again.offsets() == {"run_a/facts": 7}

    def test_the_log_id_is_random(self, store: Store) -> None:
        assert len(store.log_id) >= 8
        assert len(set(store.log_id)) > 3

    def test_a_caller_may_change_what_it_handed_over(self, store: Store) -> None:
        data, puts = {"n": 1}, [put("run_a")]

        async def hand_over() -> None:
            answer = store.commit(Tx(records=[Record(stream="s", topic="runs", type="t", data=data)], puts=puts))
            data["n"] = 2
            puts.append(put("run_b"))
            await answer

        do(hand_over)
        assert bytes(store.read_log(0, None, 1)[0].data) == b'{"n":1}'
        assert store.load("run") == [b"{}"]

    def test_the_log_is_read_by_place_topic_stream_and_limit(self, store: Store) -> None:
        commit(
            store,
            Tx(
                records=[
                    record("run_a"),
                    record("run_b"),
                    record("alt_a", "alerts"),
                    record("run_a"),
                    record("s", "prefs"),
                ]
            ),
        )

        def seqs(*args: Any, **kwargs: Any) -> list[int]:
            return [r.seq for r in store.read_log(*args, **kwargs)]

        assert seqs(0, None, 100) == [1, 2, 3, 4, 5]
        assert seqs(2, None, 100) == [3, 4, 5]
        assert seqs(0, None, 2) == [1, 2]
        assert seqs(0, ["runs"], 100) == [1, 2, 4]
        assert seqs(1, ["alerts", "prefs"], 100) == [3, 5]
        assert seqs(0, ["runs"], 100, stream="run_a") == [1, 4]
        assert seqs(0, None, 1, "run_b") == [2]
        assert seqs(0, [], 100) == []
        assert seqs(5, None, 100) == []
        assert seqs(99, None, 100) == []
        assert seqs(0, None, 0) == []

    def test_the_log_reads_the_same_after_reopening(self, place: Place) -> None:
        store = place.open()
        commit(store, Tx(records=[record(f"run_{i % 3}", "runs" if i % 2 else "alerts", n=i) for i in range(50)]))
        questions: list[tuple[int, list[str] | None, int, str | None]] = [
            (0, None, 100, None),
            (20, ["alerts"], 7, None),
            (3, None, 100, "run_1"),
            (48, ["runs"], 5, "run_1"),
        ]
        before = [[(r.seq, bytes(r.data)) for r in store.read_log(*question)] for question in questions]
        store.close()
        again = place.open()
        assert [[(r.seq, bytes(r.data)) for r in again.read_log(*question)] for question in questions] == before
        assert len(before[0]) == 50

    def test_an_object_is_replaced_by_its_newest_picture(self, store: Store) -> None:
        commit(store, Tx(puts=[put("run_b", b"1", sort=2), put("run_a", b"2", sort=2), put("run_c", b"3", sort=1)]))
        assert store.load("run") == [b"3", b"2", b"1"]
        commit(store, Tx(puts=[put("run_c", b"4", sort=3), put("swp_a", b"5", kind="sweep")]))
        assert store.load("run") == [b"2", b"1", b"4"]
        assert store.load("sweep") == [b"5"]
        assert store.load("alert") == []

    def test_objects_are_loaded_by_their_ids(self, store: Store) -> None:
        commit(store, Tx(puts=[put(f"run_{i:04}", str(i).encode(), sort=i) for i in range(1200)]))
        assert store.load("run", []) == []
        assert store.load("run", ["run_0007", "run_0003", "run_gone", "run_0003"]) == [b"3", b"7"]
        everyone = [f"run_{i:04}" for i in range(1200)]
        assert store.load("run", [*everyone, *everyone]) == [str(i).encode() for i in range(1200)]

    def test_objects_are_loaded_by_what_they_belong_to_and_forgotten(self, store: Store) -> None:
        parts = [put(f"prt_{i}", str(i).encode(), sort=i, kind="part", parent=f"ses_{i % 2}") for i in range(4)]
        commit(store, Tx(puts=[*parts, put("run_a", b"r", parent="ses_0")]))
        assert store.load("part", parent="ses_0") == [b"0", b"2"]
        assert store.load("part", ["prt_1", "prt_2"], parent="ses_0") == [b"2"]
        assert store.load("part", parent="ses_9") == []
        commit(store, Tx(gone=[("part", "prt_0"), ("part", "prt_9")], puts=[put("prt_3", b"x", kind="part")]))
        assert store.load("part") == [b"x", b"1", b"2"]

    def test_effects_are_owed_in_their_order_until_they_are_settled(self, store: Store) -> None:
        stop = Owed(
            key="stop:run_a", stream="run_a", effect=SendStop(run_id="run_a", order_id="ord_1", by="user", now=True)
        )
        commit(store, Tx(owed=[launch("run_b"), launch("run_a")]))
        commit(store, Tx(owed=[stop]))
        assert store.owed() == [launch("run_b"), launch("run_a"), stop]
        commit(store, Tx(settled=["launch:run_b", "never-owed"]))
        assert store.owed() == [launch("run_a"), stop]

    def test_an_effect_can_be_settled_and_owed_anew_in_one_transaction(self, store: Store) -> None:
        commit(store, Tx(owed=[launch("run_a"), launch("run_b")]))
        commit(store, Tx(settled=["launch:run_a"], owed=[launch("run_a")]))
        assert store.owed() == [launch("run_b"), launch("run_a")]

    def test_of_two_transactions_at_once_the_later_one_has_the_last_word(self, store: Store) -> None:
        commit(
            store,
            Tx(puts=[put("run_a", b"1")], owed=[launch("run_a")], offsets={"f": 1}),
            Tx(puts=[put("run_a", b"2")], settled=["launch:run_a"], offsets={"f": 2}),
            Tx(owed=[launch("run_b")], offsets={"g": 3}),
        )
        assert store.load("run") == [b"2"]
        assert store.owed() == [launch("run_b")]
        assert store.offsets() == {"f": 2, "g": 3}

    def test_many_callers_at_once_get_seqs_of_their_own(self, store: Store) -> None:
        answers = commit(store, *[Tx(records=[record(n=i), record(n=i), record(n=i)]) for i in range(300)])
        assert sorted(seq for seqs in answers for seq in seqs) == list(range(1, 901))
        assert all(seqs == list(range(seqs[0], seqs[0] + 3)) for seqs in answers)
        by_seq = {r.seq: bytes(r.data) for r in store.read_log(0, None, 1000)}
        assert all(by_seq[seq] == b'{"n":%d}' % i for i, seqs in enumerate(answers) for seq in seqs)

    def test_a_caller_that_is_cancelled_takes_no_other_along(self, store: Store) -> None:
        async def both() -> list[int]:
            gone = asyncio.ensure_future(store.commit(Tx(records=[record(n=1)])))
            stays = asyncio.ensure_future(store.commit(Tx(records=[record(n=2)])))
            gone.cancel()
            return await stays

        assert do(both) == [2]
        assert store.newest_seq() == 2

    def test_a_refused_disk_fails_every_caller_and_keeps_nothing_of_them(self, store: Store, place: Place) -> None:
        commit(store, Tx(records=[record(n=1)], puts=[put("run_a", b"1")]))

        async def three() -> list[Any]:
            some = [Tx(records=[record(n=9)], puts=[put("run_a", b"9")], owed=[launch("x")], offsets={"f": 9})] * 3
            return await asyncio.gather(*[store.commit(tx) for tx in some], return_exceptions=True)

        with place.refusing(store):
            errors = do(three)
        assert [type(error) for error in errors] == [StoreFailed] * 3
        assert all(error.status == 503 and error.problem and error.remedy for error in errors)
        assert store.newest_seq() == 1
        assert [bytes(r.data) for r in store.read_log(0, None, 9)] == [b'{"n":1}']
        assert (store.load("run"), store.owed(), store.offsets()) == ([b"1"], [], {})

    def test_commits_work_again_once_the_disk_does(self, place: Place) -> None:
        store = place.open()
        commit(store, Tx(records=[record(n=1)]))
        with place.refusing(store), pytest.raises(StoreFailed):
            commit(store, Tx(records=[record(n=9)]))
        assert store.problem  # type: ignore[attr-defined]
        assert commit(store, Tx(records=[record(n=2)])) == [[2]]
        assert store.problem is None  # type: ignore[attr-defined]
        store.close()
        assert [bytes(r.data) for r in place.open().read_log(0, None, 9)] == [b'{"n":1}', b'{"n":2}']

    def test_data_that_is_not_json_fails_its_caller_alone(self, store: Store) -> None:
        with pytest.raises(TypeError):
            commit(store, Tx(records=[record(n=object())]))
        assert commit(store, Tx(records=[record(n=1)])) == [[1]]

    def test_pruning_takes_only_what_is_older_than_both_limits(self, store: Store, place: Place) -> None:
        place.now = 1000.0
        commit(store, Tx(records=[record(n=i) for i in range(10)]))
        place.now = 2000.0
        commit(store, Tx(records=[record(n=i) for i in range(10, 20)]))
        place.now = 2100.0
        assert store.prune(keep_s=5000, keep_rows=0) == 0  # all are young
        assert store.prune(keep_s=0, keep_rows=20) == 0  # all are among the newest
        assert store.prune(keep_s=500, keep_rows=15) == 5
        assert (store.oldest_seq(), store.newest_seq()) == (6, 20)
        assert store.prune(keep_s=500, keep_rows=0) == 5
        assert [r.seq for r in store.read_log(0, None, 100)] == list(range(11, 21))
        assert store.prune(keep_s=500, keep_rows=0) == 0

    def test_pruning_leaves_no_gap_where_the_clock_was_set_back(self, store: Store, place: Place) -> None:
        for time in (1000.0, 5000.0, 1001.0, 5001.0):
            place.now = time
            commit(store, Tx(records=[record(at=time)]))
        place.now = 5100.0
        assert store.prune(keep_s=500, keep_rows=0) == 1
        assert [r.seq for r in store.read_log(0, None, 100)] == [2, 3, 4]

    def test_a_seq_is_never_used_twice_even_when_all_records_are_gone(self, place: Place) -> None:
        store = place.open()
        commit(store, Tx(records=[record(n=i) for i in range(5)], puts=[put("run_a")], owed=[launch("run_a")]))
        place.now += 10
        assert store.prune(keep_s=0, keep_rows=0) == 5
        assert (store.oldest_seq(), store.newest_seq()) == (6, 5)
        store.close()
        again = place.open()
        assert (again.oldest_seq(), again.newest_seq()) == (6, 5)
        assert commit(again, Tx(records=[record(n=6)])) == [[6]]
        assert again.load("run") == [b"{}"]
        assert again.owed() == [launch("run_a")]

    def test_pruning_many_records_lets_commits_through(self, store: Store, place: Place) -> None:
        commit(store, Tx(records=[record(n=i) for i in range(7000)]))
        place.now += 10

        async def both() -> tuple[int, list[int]]:
            pruning = asyncio.ensure_future(asyncio.to_thread(store.prune, 0.0, 100))
            return await pruning, await store.commit(Tx(records=[record(n=1)]))

        removed, seqs = do(both)
        assert removed in (6900, 6901)  # the new record may have come before the last chunk
        assert seqs == [7001]
        assert store.oldest_seq() == removed + 1

    def test_of_two_engines_only_one_can_write(self, place: Place) -> None:
        first = place.open()
        commit(first, Tx(records=[record(n=1)]))
        try:
            second = place.open()
        except Held as error:
            assert error.remedy
            assert commit(first, Tx(records=[record(n=2)])) == [[2]]
            return
        assert commit(second, Tx(records=[record(n=2)])) == [[2]]
        for _ in range(2):
            with pytest.raises(Held) as held:
                commit(first, Tx(records=[record(n=99)], puts=[put("run_x")]))
            assert held.value.remedy
        assert second.newest_seq() == 2
        assert second.load("run") == []

    def test_a_closed_store_says_so(self, store: Store, place: Place) -> None:
        store.close()
        store.close()

        async def ask() -> Any:
            answer = store.commit(Tx(records=[record(n=1)]))  # the refusal comes with the answer, not with the call
            with pytest.raises(StoreFailed):
                await answer

        do(ask)
        assert commit(place.open(), Tx(records=[record(n=1)])) == [[1]]  # and holds nothing any more

    def test_what_was_queued_when_it_closed_is_committed(self, place: Place) -> None:
        store = place.open()

        async def close_at_once() -> list[list[int]]:
            answers = [store.commit(Tx(records=[record(n=i)])) for i in range(5)]
            await asyncio.to_thread(store.close)
            return await asyncio.gather(*answers)

        assert do(close_at_once) == [[1], [2], [3], [4], [5]]
        assert place.open().newest_seq() == 5
