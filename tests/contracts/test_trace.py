"""Trace contexts: the header's form, ids that need nobody's memory, one sampling everywhere."""

import pytest
from hesper_contracts import batch, trace
from hesper_contracts.frame import Encoding, Kind
from hesper_contracts.trace import TraceContext

W3C = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_example_of_the_standard_goes_round() -> None:
    found = trace.parse(W3C)
    assert found == TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert found.traceparent() == W3C
    assert trace.parse(W3C[:-1] + "0") == found._replace(sampled=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        W3C[:-1],
        W3C.upper(),
        f" {W3C}",
        f"{W3C}\n",
        f"{W3C}-00",
        W3C.replace("00-", "ff-", 1),
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        "\0" * 55,
    ],
)
def test_what_is_no_context_is_none(text: str) -> None:
    assert trace.parse(text) is None


def test_a_batch_has_one_trace_however_often_it_is_sent() -> None:
    first, second = (
        batch.seal(Kind.READINGS, Encoding.COLUMNS, "ab" * 8, sequence, b"body")
        for sequence in (1, 2)
    )
    assert trace.of_batch("gw-1", first) == trace.of_batch("gw-1", bytes(first))
    ids = {
        trace.of_batch("gw-1", first),
        trace.of_batch("gw-1", second),
        trace.of_batch("g", first),
    }
    assert len(ids) == 3
    for trace_id in ids:
        assert trace.parse(trace.context(trace_id, "gateway").traceparent()) is not None


def test_the_ratio_is_the_share_of_traces_and_one_answer_for_each() -> None:
    ids = [trace.of_command(str(number)) for number in range(2000)]
    assert not any(trace.is_sampled(each, 0.0) for each in ids)
    assert all(trace.is_sampled(each, 1.0) for each in ids)
    some = [each for each in ids if trace.is_sampled(each, 0.25)]
    assert 400 < len(some) < 600
    assert all(trace.is_sampled(each, 0.5) for each in some)
