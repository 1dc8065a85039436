"""What a rule says, as data: condition, scope, severity, text; nothing of it is ever executed.

Seven kinds of condition. Of readings: ``threshold`` (a value beyond a limit), ``rate`` (a value
that changes too fast), ``absence`` (no reading, or no event, for a time), ``aggregate`` (a sum,
mean or count over an area, feeder, transformer, gateway or the fleet). Of events: ``event`` (one,
or several within a time) and ``sequence`` (A then B within a time, or A without B). ``built-in``
is a rule that is code; only its thresholds are data.

Limits are decimal numbers in the unit of the quantity (Blue Book table). A limit is passed when the
value is beyond it; it is kept again when the value is inside it by the hysteresis. With a hold time
the limit must have been passed for so long, by the meter's own times, without a reading between.
"""

from decimal import Decimal
from typing import Annotated, Literal, Self

from hesper_contracts.events import Severity
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from hesper_cloud.rules.wording import check_names

Name = Annotated[str, StringConstraints(min_length=1, max_length=128, strip_whitespace=True)]
LogicalName = Annotated[str, StringConstraints(pattern=r"^\d{1,3}(\.\d{1,3}){5}$")]
Figure = Annotated[
    Decimal,
    Field(max_digits=24, decimal_places=9, allow_inf_nan=False),
    AfterValidator(lambda value: value or Decimal(0)),  # no zero of a billion places
]
Limit = Annotated[Figure, Field(ge=Decimal("-1e12"), le=Decimal("1e12"))]
Margin = Annotated[Figure, Field(ge=0, le=Decimal("1e12"))]
Codes = Annotated[tuple[Name, ...], Field(max_length=200)]
Seconds = Annotated[int, Field(ge=0, le=400 * 86_400)]
SomeSeconds = Annotated[int, Field(ge=1, le=400 * 86_400)]
State = Literal["off", "trial", "on"]
Place = Literal["area", "feeder", "transformer", "gateway", "fleet"]
HOUR_S, DAY_S = 3600, 86_400


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scope(_Part):
    """Which meters; all that fit every list that is not empty. Names may have wildcards (``*``)."""

    areas: Codes = ()
    models: Codes = ()
    templates: Codes = ()
    gateways: Codes = ()
    elements: Codes = ()  # of the topology, those below included

    @property
    def is_everything(self) -> bool:
        """Whether it names nothing, and so every meter."""
        return not any(getattr(self, name) for name in type(self).model_fields)


class _Level(_Part):
    """A number against a limit."""

    direction: Literal["above", "below"] = "above"
    limit: Limit
    hysteresis: Margin = Decimal(0)
    hold_s: Seconds = 0


class Threshold(_Level):
    """A value beyond a limit."""

    kind: Literal["threshold"]
    logical_name: LogicalName
    profile: LogicalName | None = None  # None: whichever it came in


class Rate(_Part):
    """A value that changes by more than a limit in an hour, from reading to reading."""

    kind: Literal["rate"]
    logical_name: LogicalName
    profile: LogicalName | None = None
    direction: Literal["rises", "falls", "either"] = "either"
    limit: Margin  # per hour
    hysteresis: Margin = Decimal(0)
    hold_s: Seconds = 0


class Absence(_Part):
    """Nothing for a time: no reading (of one quantity, or any), or no event of some codes."""

    kind: Literal["absence"]
    after_s: Annotated[int, Field(ge=60, le=400 * DAY_S)]
    logical_name: LogicalName | None = None  # None: any contact
    codes: Codes = ()  # instead of readings


class EventCount(_Part):
    """An event, or several within a time; ended by other events, or by itself after a time."""

    kind: Literal["event"]
    codes: Annotated[tuple[Name, ...], Field(min_length=1, max_length=200)]
    count: Annotated[int, Field(ge=1, le=1000)] = 1
    within_s: SomeSeconds = HOUR_S
    ended_by: Codes = ()
    ends_after_s: SomeSeconds | None = DAY_S


class EventSequence(_Part):
    """An event and then another within a time; or an event and not the other."""

    kind: Literal["sequence"]
    first: Annotated[tuple[Name, ...], Field(min_length=1, max_length=200)]
    then: Annotated[tuple[Name, ...], Field(min_length=1, max_length=200)]
    within_s: SomeSeconds
    followed: bool = True
    ended_by: Codes = ()
    ends_after_s: SomeSeconds | None = DAY_S

    @model_validator(mode="after")
    def _names_two_events(self) -> Self:
        if set(self.first) & set(self.then):
            raise ValueError("first and then share a code; an event that comes twice is a count")
        return self


class Aggregate(_Level):
    """A figure over the meters of each place of a kind."""

    kind: Literal["aggregate"]
    over: Place
    function: Literal["sum", "mean", "count", "events"]
    logical_name: LogicalName | None = None  # of sum, mean and count
    codes: Codes = ()  # of events: how many meters had one
    within_s: SomeSeconds = HOUR_S  # newest values, or events, of so long

    @model_validator(mode="after")
    def _names_what_it_counts(self) -> Self:
        if (self.function == "events") != bool(self.codes):
            raise ValueError("codes are what the function 'events' counts, and only that")
        if (self.function == "events") == (self.logical_name is not None):
            raise ValueError("logical_name says which quantity is summed, averaged or counted")
        return self


class BuiltIn(_Part):
    """Thresholds of a rule that is code; which it has, `hesper_cloud.rules.built_in` says."""

    kind: Literal["built-in"]
    thresholds: dict[Name, int] = {}


Condition = Annotated[
    Threshold | Rate | Absence | EventCount | EventSequence | Aggregate | BuiltIn,
    Field(discriminator="kind"),
]
Reading = Threshold | Rate
OfEvents = EventCount | EventSequence


class Definition(_Part):
    """All that a rule says."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=120, strip_whitespace=True)]
    severity: Severity = "warning"
    text: Annotated[str, StringConstraints(max_length=500)] = ""
    """What an alert says, with names in braces: see `hesper_cloud.rules.wording`."""
    scope: Scope = Scope()
    condition: Condition
    fresh_s: SomeSeconds | None = None
    """What is older when it comes belongs to history; by default an hour, a week for events."""

    @model_validator(mode="after")
    def _text_has_known_names(self) -> Self:
        check_names(self.text)
        return self

    @property
    def counts_for_s(self) -> int:
        """For how long what comes late still counts, in seconds."""
        if self.fresh_s is not None:
            return self.fresh_s
        return 7 * DAY_S if isinstance(self.condition, EventCount | EventSequence) else HOUR_S
