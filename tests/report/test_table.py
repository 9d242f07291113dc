from seedance_mcp.report.table import table


def test_numbers_are_aligned_to_the_right_and_names_to_the_left() -> None:
    assert table(("name", "usd"), [("a", "10.00"), ("longer", "1.00")], numbers=("usd",)) == (
        "name      usd\n-------------\na       10.00\nlonger   1.00"
    )


def test_nothing_that_others_wrote_steers_the_terminal_or_breaks_a_line() -> None:
    printed = table(("error",), [("red \x1b[31m, right to left \u202e, a line\nand a bell \x07",)], numbers=())
    assert printed.splitlines()[2] == "red  [31m, right to left  , a line and a bell"


def test_cells_are_painted_with_their_padding() -> None:
    printed = table(("status", "n"), [("ok", "1")], numbers=("n",), paint=lambda cell: f"<{cell}>")
    assert printed.splitlines()[2] == "<ok    >  <1>"
