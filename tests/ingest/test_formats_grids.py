from ingest.formats.grids import cells_in, grid_lines


def test_a_row_is_written_with_the_names_of_its_columns() -> None:
    rows = [["Drink", "Price", "Calories"], ["Espresso", "0.80", "2"], ["Water", "", "0"]]
    assert grid_lines(rows, headed=True) == [
        "Drink | Price | Calories",
        "Espresso: Price 0.80, Calories 2.",
        "Water: Calories 0.",
    ]


def test_a_bare_number_that_begins_a_row_says_what_it_counts() -> None:
    rows = [["Floor", "Warden"], ["2", "Tomás Weber"]]
    assert grid_lines(rows, headed=True)[1] == "Floor 2: Warden Tomás Weber."


def test_a_head_that_nothing_marks_is_known_by_its_lack_of_numbers() -> None:
    rows = [["Floor", "Warden", "Phone"], ["1", "Priya Raman", "5501"]]
    assert grid_lines(rows, headed=False)[1] == "Floor 1: Warden Priya Raman, Phone 5501."


def test_names_with_values_beside_them_are_no_head() -> None:
    rows = [["Name", "Weber"], ["Age", "40"]]
    assert grid_lines(rows, headed=False) == ["Name | Weber", "Age | 40"]
    prose = [["City", "Land", "Note"], ["Oslo", "Norway", "Cold"]]
    assert grid_lines(prose, headed=False)[1] == "Oslo | Norway | Cold"


def test_rows_that_do_not_fit_the_head_stay_as_they_are() -> None:
    rows = [["City", "Limit"], ["Oslo", "142", "9"], ["", "99"], ["Bergen", "word " * 30]]
    assert grid_lines(rows, headed=True)[1:] == [
        "Oslo | 142 | 9",
        "| 99",
        f"Bergen | {'word ' * 30}".strip(),
    ]
    assert grid_lines([["City", ""], ["Oslo", "142"]], headed=True)[1] == "Oslo | 142"
    assert grid_lines([], headed=True) == []


def test_a_line_is_taken_apart_into_its_cells() -> None:
    assert cells_in("| Night") == ["", "Night"]
    assert cells_in("a | | c |") == ["a", "", "c", ""]
