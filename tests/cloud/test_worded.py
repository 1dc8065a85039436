"""Texts that remember how they came about keep it wherever they are carried."""

import copy
import json
import pickle
from dataclasses import asdict, dataclass

import msgspec
import pytest
from hesper_cloud.worded import Worded, restored, worded, wording
from hesper_contracts import jsonbody

CAUSE = worded("{count} of {total} blocks", count=3, total=9)
TEXT = worded("the image is not whole: {cause}", cause=CAUSE)


@dataclass
class Row:
    text: str


def by_asdict(text: Worded) -> Worded:
    return asdict(Row(text))["text"]


def by_pickle(text: Worded) -> Worded:
    return pickle.loads(pickle.dumps(text))


@pytest.mark.parametrize("carried", [copy.copy, copy.deepcopy, by_asdict, by_pickle])
def test_a_copy_says_the_same_and_knows_how_it_came_about(carried):
    copied = carried(TEXT)
    assert copied == "the image is not whole: 3 of 9 blocks"
    assert wording(copied) == wording(TEXT)


def test_what_was_kept_beside_a_text_gives_its_wording_back():
    assert wording(restored(str(TEXT), wording(TEXT))) == wording(TEXT)


@pytest.mark.parametrize(
    "said", [None, {}, {"template": "{x}", "values": {}}, {"template": "other", "values": {}}, 7]
)
def test_a_text_with_a_wording_that_does_not_fit_stays_as_it_is(said):
    assert wording(restored("the image is whole", said)) is None


class Sent(msgspec.Struct):
    detail: str
    more: dict[str, object]


def test_what_crosses_the_broker_is_its_text():
    octets = jsonbody.encode(Sent(TEXT, {"why": [CAUSE]}))
    assert json.loads(octets) == {"detail": TEXT, "more": {"why": ["3 of 9 blocks"]}}
    with pytest.raises(NotImplementedError, match="object"):
        jsonbody.encode({"what": object()})
