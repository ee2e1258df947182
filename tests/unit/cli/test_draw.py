"""Curves as characters: what stands where."""

from __future__ import annotations

from ragent_jupyter.cli.draw import Curve, plot


def drawn(*curves: Curve, width: int = 40, height: int = 12, log: bool = False) -> list[str]:
    return plot(curves, width=width, height=height, log=log, braille=False, colour=False).splitlines()


def test_a_falling_curve_starts_at_the_top_and_ends_at_the_bottom() -> None:
    lines = drawn(Curve([0, 100], [2.0, 1.0]))
    assert lines[0].split("│")[1].startswith("a")
    assert lines[9].split("│")[1].rstrip().endswith("a")
    assert lines[0].strip().startswith("2")
    assert lines[9].strip().startswith("1")
    assert lines[-1].split() == ["0", "100"]


def test_two_curves_are_told_apart_without_colour() -> None:
    text = "\n".join(drawn(Curve([0, 1], [1.0, 1.0]), Curve([0, 1], [2.0, 2.0])))
    assert "a" in text and "b" in text
    assert text.index("b") < text.index("a")  # the higher one stands higher


def test_a_gap_is_not_bridged() -> None:
    bridged = "".join(drawn(Curve([0, 5, 10], [1.0, 1.0, 2.0]))).count("a")
    gap = "".join(drawn(Curve([0, 5, 10], [1.0, None, 2.0]))).count("a")
    assert gap == 2 < bridged


def test_a_nan_is_a_mark_on_the_axis_at_its_step() -> None:
    axis = drawn(Curve([0, 10], [2.0, 1.0], nonfinite=[5.0]))[-2].split("└")[1]
    assert axis.index("×") == round(5 * (len(axis) - 1) / 10)


def test_nothing_finite_is_no_picture() -> None:
    assert plot([Curve([1], [None], [1.0])], width=40, height=10, braille=True, colour=False) == ""
    assert plot([Curve([1], [-1.0])], width=40, height=10, log=True, braille=True, colour=False) == ""
    assert plot([], width=40, height=10, braille=True, colour=False) == ""


def test_one_point_and_a_flat_line_can_be_drawn() -> None:
    assert any("a" in line for line in drawn(Curve([3], [0.0])))
    assert any("a" in line for line in drawn(Curve([0, 1], [5.0, 5.0])))


def test_a_log_axis_shows_decades_evenly() -> None:
    lines = drawn(Curve([0, 1, 2], [100.0, 1.0, 0.01]), height=11, log=True)
    assert [line.split("│")[0].strip() for line in lines[:9] if line.split("│")[0].strip()] == ["100", "1", "0.01"]


def test_no_line_is_wider_than_asked() -> None:
    assert max(map(len, drawn(Curve(range(1000), [float(i % 7) for i in range(1000)]), width=50))) <= 50
