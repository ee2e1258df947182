"""What every executor keeps to. The fake passes it too; otherwise every test built on it lies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ragent_jupyter.domain.facts import JobStarted
from ragent_jupyter.domain.ports import Executor
from tests.support.run_folders import make_run, order, read_claim, read_exit, read_facts
from tests.support.wait import wait_until

MakeExecutor = Callable[[], Executor]


class ExecutorContract:
    """A subclass gives `make_executor`: each call is a new object for the same project, as after a restart."""

    @pytest.fixture
    def executor(self, make_executor: MakeExecutor) -> Executor:
        return make_executor()

    def test_it_says_whether_it_can_be_used_in_a_sentence(self, executor: Executor) -> None:
        usable, words = executor.available()
        assert usable
        assert words.strip().endswith(".")

    @pytest.mark.parametrize(("argv", "code"), [(["true"], 0), (["false"], 1), (["sh", "-c", "exit 3"], 3)])
    def test_a_run_leaves_one_claim_and_its_own_exit_code(
        self, executor: Executor, project: Path, argv: list[str], code: int
    ) -> None:
        spec = make_run(project, argv, "run_a")
        handle = executor.submit(spec)
        verdict = wait_until(lambda: read_exit(spec.run_dir))
        assert (verdict.kind, verdict.exit_code, verdict.signal) == ("exited", code, None)
        claim = read_claim(spec.run_dir)
        assert claim is not None
        assert claim.run_id == "run_a"
        assert executor.name in claim.executor_id
        assert isinstance(handle, str)
        assert handle

    def test_a_command_that_does_not_exist_is_a_launch_error_with_words(
        self, executor: Executor, project: Path
    ) -> None:
        spec = make_run(project, ["no-such-command-anywhere"], "run_a")
        executor.submit(spec)
        verdict = wait_until(lambda: read_exit(spec.run_dir))
        assert verdict.kind == "launch_error"
        assert "no-such-command-anywhere" in (verdict.problem or "")
        assert verdict.remedy

    def test_submitting_again_starts_nothing_new(
        self, executor: Executor, make_executor: MakeExecutor, project: Path
    ) -> None:
        spec = make_run(project, ["sleep", "30"], "run_a")
        handle = executor.submit(spec)
        assert executor.submit(spec) == handle
        wait_until(lambda: read_facts(spec.run_dir))
        again = make_executor()
        assert again.submit(spec) == handle
        assert read_exit(spec.run_dir) is None
        order(spec.run_dir, now=True)
        wait_until(lambda: read_exit(spec.run_dir))
        assert again.submit(spec) == handle  # ended, and still the same run
        assert [type(fact) for fact in read_facts(spec.run_dir)].count(JobStarted) == 1

    def test_many_who_submit_the_same_run_at_once_start_it_once(
        self, make_executor: MakeExecutor, project: Path
    ) -> None:
        spec = make_run(project, ["sleep", "0.2"], "run_a")
        executors = [make_executor() for _ in range(4)]
        threads = [threading.Thread(target=one.submit, args=(spec,)) for one in executors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        wait_until(lambda: read_exit(spec.run_dir))
        assert [type(fact) for fact in read_facts(spec.run_dir)].count(JobStarted) == 1

    def test_a_look_tells_the_living_from_the_dead_and_the_unknown(
        self, executor: Executor, make_executor: MakeExecutor, project: Path
    ) -> None:
        ended, lives = make_run(project, ["true"], "run_ended"), make_run(project, ["sleep", "30"], "run_lives")
        ids = ["run_ended", "run_lives", "run_never"]
        assert {one.state for one in executor.look(ids).values()} == {"unknown"}
        for spec in (ended, lives):
            executor.submit(spec)
        expected = {"run_ended": "gone", "run_lives": "alive", "run_never": "unknown"}
        wait_until(lambda: {run: one.state for run, one in executor.look(ids).items()} == expected)
        seen = make_executor().look(ids)  # and so does an executor that did not launch them
        assert {run: one.state for run, one in seen.items()} == expected
        assert seen["run_lives"].handle == executor.submit(lives)
        claim = wait_until(lambda: read_claim(lives.run_dir))
        assert seen["run_lives"].pid == claim.pid

    def test_a_stop_order_ends_a_run_with_one_exit_that_names_it(self, executor: Executor, project: Path) -> None:
        spec = make_run(project, ["sleep", "30"], "run_a")
        executor.submit(spec)
        wait_until(lambda: read_facts(spec.run_dir))
        stop = order(spec.run_dir)
        verdict = wait_until(lambda: read_exit(spec.run_dir))
        assert (verdict.kind, verdict.signal, verdict.order_id) == ("signalled", 2, stop)
        assert [fact.order_id for fact in read_facts(spec.run_dir) if hasattr(fact, "order_id")] == [stop, stop]
        wait_until(lambda: executor.look(["run_a"])["run_a"].state == "gone")

    def test_what_a_person_types_to_see_it_is_a_command_or_nothing(self, executor: Executor, project: Path) -> None:
        spec = make_run(project, ["sleep", "30"], "run_a")
        executor.submit(spec)
        command = executor.attach_command("run_a")
        assert command is None or command.split()
        assert executor.attach_command("run_never") is None
        order(spec.run_dir, now=True)
        wait_until(lambda: read_exit(spec.run_dir))

    def test_forgetting_is_harmless_and_touches_no_other_run(self, executor: Executor, project: Path) -> None:
        ended, lives = make_run(project, ["true"], "run_ended"), make_run(project, ["sleep", "30"], "run_lives")
        for spec in (ended, lives):
            executor.submit(spec)
        wait_until(lambda: executor.look(["run_ended"])["run_ended"].state == "gone")
        executor.forget("run_ended")
        executor.forget("run_ended")
        executor.forget("run_never")
        assert executor.look(["run_lives"])["run_lives"].state == "alive"
        assert read_exit(lives.run_dir) is None
        order(lives.run_dir, now=True)
        wait_until(lambda: read_exit(lives.run_dir))
