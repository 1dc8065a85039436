"""Values of a register that those around them contradict."""

import pytest
from hesper_cloud.validation.misread import misread_of


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ([100, 110, 120], []),
        ([100, 900, 120], [1]),
        ([100, 5, 120], [1]),
        ([100, 900, 100], [1]),
        ([100, 110, 3, 9], []),  # exchanged, or past its last digit
        ([100, 110, 50], []),  # what comes after it is not known yet
        ([100, 130, 120, 140], [1, 2]),  # one of both
        ([], []),
        ([7], []),
    ],
)
def test_a_value_that_its_neighbours_contradict_was_read_wrong(
    values: list[int], wrong: list[int]
) -> None:
    assert [place for place, is_wrong in enumerate(misread_of(values)) if is_wrong] == wrong
