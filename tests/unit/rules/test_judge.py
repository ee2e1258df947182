"""The judge: every row once, whatever fails; sound verdicts only; and what a verdict may not do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ragent_jupyter.domain.alert import Alert, AlertStatus, Severity
from ragent_jupyter.rules.judge import (
    LONGEST_S,
    SHORTEST_S,
    SOON_S,
    Ask,
    Asked,
    Bad,
    Effect,
    Ended,
    Event,
    Failed,
    Health,
    Hurry,
    Judge,
    Point,
    Range,
    Recorded,
    Rows,
    Tick,
    Verdict,
    judge,
    lowered,
    question,
    raised,
    schema,
    verdict_of,
)


def feed(state: Judge, *events: Event) -> tuple[Judge, list[Effect]]:
    effects: list[Effect] = []
    for event in events:
        state, more = judge(state, event)
        effects += more
    return state, effects


def asked_at(rows: int, at: float = 100.0) -> tuple[Judge, Range]:
    state, effects = feed(Judge(), Rows(0.0, rows), Tick(at))
    assert isinstance(effects[0], Ask)
    return state, effects[0].range


def test_a_healthy_run_is_asked_about_after_30_s_then_ever_less_often_up_to_10_min() -> None:
    state, gaps, last = Judge(), [], 0.0
    for rows in range(1, 4000):
        at = float(rows - 1)
        state, effects = feed(state, Rows(at, rows), Tick(at))
        for effect in effects:
            assert isinstance(effect, Ask)
            gaps.append(at - last)
            last = at
            state, _ = judge(state, Recorded(at, effect.range, "healthy"))
    assert gaps[0] == SHORTEST_S and gaps == sorted(gaps) and LONGEST_S <= gaps[-1] <= LONGEST_S + 1


def test_a_warning_and_a_plateau_are_judged_within_30_s_however_calm_it_was() -> None:
    state, range = asked_at(10)
    state, _ = feed(state, Recorded(100.0, range, "healthy"), Rows(101.0, 20))
    state = Judge(
        **{**{f: getattr(state, f) for f in state.__struct_fields__}, "interval_s": LONGEST_S, "due_at": 700.0}
    )
    state, effects = feed(state, Hurry(110.0), Tick(110.0 + SOON_S))
    assert effects == [Ask(Range(10, 20))]
    state, effects = feed(state, Hurry(116.0), Rows(117.0, 25), Recorded(118.0, Range(10, 20), "healthy"))
    assert state.due_at is not None and state.due_at <= 116.0 + SHORTEST_S and state.interval_s == SHORTEST_S


def test_a_warning_before_the_rows_that_it_is_about() -> None:
    _, effects = feed(Judge(), Hurry(1.0), Rows(2.0, 5), Tick(2.0 + SOON_S))
    assert effects == [Ask(Range(0, 5))]


def test_a_bad_verdict_is_asked_for_once_more_and_then_shown() -> None:
    state, range = asked_at(10)
    state, effects = feed(state, Bad(101.0, range, "no state"))
    assert effects == [Ask(Range(0, 10, 2, "no state"))]
    state, effects = feed(state, Bad(102.0, Range(0, 10, 2), "no state"))
    assert effects == [Health("judge: it gave no sound verdict twice: no state")]
    assert state.cursor == 0 and state.due_at == 102.0 + SHORTEST_S
    state, effects = feed(state, Rows(103.0, 15), Tick(140.0), Recorded(141.0, Range(0, 15), "healthy"))
    assert effects == [Ask(Range(0, 15)), Health("")] and state.cursor == 15


def test_failures_wait_longer_each_time_and_a_run_that_is_over_is_given_up_in_words() -> None:
    state, range = asked_at(10)
    state, _ = judge(state, Ended(100.0))
    waits, at, said = [], 100.0, ""
    for _ in range_of(10):
        state, effects = judge(state, Failed(at, range, "connection refused"))
        said = next((e.text for e in effects if isinstance(e, Health)), said)
        if state.due_at is None:
            break
        waits.append(state.due_at - at)
        at = state.due_at
        state, effects = judge(state, Tick(at))
        assert effects == [Ask(range)]
    assert waits == [30.0, 60.0, 120.0, 240.0] and state.given_up and state.done
    assert said == "judge: connection refused; rows 0 to 10 were not judged"


range_of = range


def test_no_model_and_no_budget_are_health_and_tried_again_later() -> None:
    state, range = asked_at(10)
    state, effects = judge(state, Failed(100.0, range, "today's budget is spent", wait_s=900.0, patient=True))
    assert (
        state.failures == 0
        and state.due_at == 100.0 + LONGEST_S
        and effects == [Health("judge: today's budget is spent")]
    )


def test_a_late_answer_changes_nothing() -> None:
    state, range = asked_at(10)
    state, _ = judge(state, Recorded(101.0, range, "healthy"))
    for late in (Recorded(102.0, range, "sick"), Bad(102.0, range, "x"), Failed(102.0, range, "x")):
        assert judge(state, late) == (state, [])


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from("rthbfgdkeo"), st.integers(0, 40)), max_size=120))
def test_no_row_is_skipped_or_judged_twice_over_random_kills(script: list[tuple[str, int]]) -> None:
    """r rows, t time, h hurry, g a good answer, b a bad one, f a failure, d a duplicate answer, k a kill, o a kill
    between the record and its being heard, e the end."""
    verdicts: list[tuple[int, int]] = []
    at, rows, state = 0.0, 0, Judge()

    def record(range: Range) -> None:
        assert range.start == (verdicts[-1][1] if verdicts else 0) and range.end > range.start
        verdicts.append((range.start, range.end))

    for what, n in [*script, ("k", 0), ("e", 0), *[("t", 40), ("g", 0)] * 20]:
        waiting = state.asked
        at += 0.5
        match what:
            case "r":
                rows += n
                state, _ = judge(state, Rows(at, rows))
            case "t":
                at += 20.0 * n
                state, _ = feed(state, Rows(at, rows), Tick(at))
            case "h":
                state, _ = judge(state, Hurry(at))
            case "e":
                state, _ = feed(state, Rows(at, rows), Ended(at))
            case "b" if waiting:
                state, _ = judge(state, Bad(at, waiting, "odd"))
            case "f" if waiting and not state.ended:
                state, _ = judge(state, Failed(at, waiting, "down", wait_s=float(n)))
            case "g" if waiting:
                record(waiting)
                state, _ = judge(state, Recorded(at, waiting, ["healthy", "watch", "sick"][n % 3]))
            case "d" if waiting is None and verdicts:
                state, _ = judge(state, Recorded(at, Range(*verdicts[-1]), "healthy"))
            case "k" | "o":
                if what == "o" and waiting:
                    record(waiting)
                state = Judge(cursor=verdicts[-1][1] if verdicts else 0)
        assert state.cursor == (verdicts[-1][1] if verdicts else 0)
    assert sum(end - start for start, end in verdicts) == rows


# --- verdicts -------------------------------------------------------------------------------------------------------
FIELDS = [*schema()["properties"], "other"]  # type: ignore[misc]
ASKED = Asked(text="loss: last 0.514 at step 90", steps={"loss": (0.0, 90.0)}, warnings=frozenset({"alt_w"}))


def test_what_is_a_sound_verdict() -> None:
    good = {"state": "watch", "severity": "warning", "metric": "loss", "step": 90, "why": "It is 0.514 and flat."}
    assert isinstance(verdict_of(good, ASKED), Verdict)
    assert isinstance(verdict_of({"state": "healthy", "why": "Falls.", "lower": ["alt_w"]}, ASKED), Verdict)
    for change, wrong in (
        ({"state": "fine"}, "state"), ({"why": ""}, "why"), ({"metric": "acc"}, "no metric"), ({"step": 91}, "steps"),
        ({"state": "healthy"}, "healthy"), ({"why": "It was 0.7 before."}, "0.7"), ({"lower": ["alt_x"]}, "alt_x"),
        ({"state": "sick", "severity": ""}, "severity"), ({"rule": "x; drop"}, "rule"), ({"extra": 1}, "extra"),
        ({"step": "soon"}, "step"),
    ):  # fmt: skip
        found = verdict_of({**good, **change}, ASKED)
        assert isinstance(found, str) and wrong in found, found
    assert isinstance(verdict_of("nonsense", ASKED), str) and isinstance(verdict_of(None, ASKED), str)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.dictionaries(st.sampled_from(FIELDS), x) | st.lists(x),
        max_leaves=8,
    )
)
def test_nothing_that_a_model_says_breaks_it(raw: object) -> None:
    found = verdict_of(raw, ASKED)
    assert isinstance(found, (str, Verdict))


def alert(severity: Severity, status: AlertStatus = AlertStatus.PENDING) -> Alert:
    return Alert(id="alt_w", run_id="run_a", rule="stall", severity=severity, title="t", raised_at=0.0, status=status)


def test_a_warning_may_be_lowered_and_nothing_critical_ever() -> None:
    verdict = Verdict(state="healthy", why="Only an evaluation.", lower=["alt_w"])
    found = lowered(alert(Severity.WARNING), verdict, "m")
    assert found is not None and found.severity is Severity.INFO and found.status is AlertStatus.PENDING
    assert "Only an evaluation" in found.note
    assert lowered(alert(Severity.CRITICAL), verdict, "m") is None
    assert lowered(alert(Severity.WARNING, AlertStatus.RESOLVED), verdict, "m") is None
    assert lowered(alert(Severity.WARNING), Verdict(state="healthy", why="x"), "m") is None


def test_an_alert_of_the_judge_carries_model_cost_and_rows_and_has_one_id_for_a_range() -> None:
    verdict = Verdict(state="sick", severity="critical", rule="plateau", metric="loss", step=90, why="Flat at 0.514.")
    point = Point(90, 0.514, [(90.0, 0.514)])
    one = raised("run_a", Range(10, 20), verdict, point, "claude-x for $0.0012", 5.0, over=False)
    two = raised("run_a", Range(10, 25, 2), verdict, point, "claude-x for $0.0012", 9.0, over=False)
    assert one is not None and two is not None and one.id == two.id
    assert "claude-x for $0.0012" in one.text and "rows 10 to 20" in one.text
    assert (one.evidence.source, one.evidence.step, one.evidence.value) == ("judge", 90, 0.514)
    assert one.rule == "judge_plateau" and [c.id for c in one.choices] == ["ignore", "stop"]
    assert raised("run_a", Range(1, 2), Verdict(state="healthy", why="x"), Point(), "m", 0.0, over=False) is None


def test_a_question_has_at_most_40_lines_before_the_log() -> None:
    text = question("head", Range(5, 9), 40, [f"line {n}" for n in range(99)], [alert(Severity.WARNING)] * 9, "<data/>")
    assert text.index("The end of its log") and len(text.split("\n\nThe end of its log")[0].splitlines()) == 40
    assert "rows 5 to 9 (after step 40)" in text and "alt_w warning stall" in text
