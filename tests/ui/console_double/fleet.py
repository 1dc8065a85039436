"""A fleet that was never built: meters, gateways, gaps, events and alerts, same for each run."""

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hesper_cloud.services.records import (
    AlertRow,
    AuditEntry,
    CommandRow,
    EventRow,
    GapRow,
    GatewayRow,
    LatestValue,
    MeterDetail,
    MeterRow,
    Series,
)
from hesper_cloud.services.service_levels import LevelDay

PROFILE, SNAPSHOT = "1.0.99.1.0.255", "0.0.21.0.1.255"
ENERGY = "1.0.1.8.0.255"
PERIOD_S = 900
SCRIPT = "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>"
LONG = "{'four_eyes': ['relay.disconnect']}, " * 30
_FIRST = [
    "Lena",
    "Noah",
    "Elif",
    "Carla",
    "Hugo",
    "Anna",
    "Farid",
    "Kofi",
    "Olga",
    "Peter",
    "Grace",
    "David",
    "Mina",
    "Jonas",
    "Zoë",
    "Łukasz",
]
_LAST = [
    "Mwangi",
    "Rossi",
    "Kaya",
    "Silva",
    "Meier",
    "Tanaka",
    "Becker",
    "Nowak",
    "Dubois",
    "Haddad",
    "Lind",
    "Costa",
    "Weber",
]
_STREETS = [
    "Seestraße",
    "Lindenweg",
    "Am Markt",
    "Hafenkai",
    "Mühlgasse",
    "Birkenallee",
    "Turmstraße",
]
_MODELS = [
    "Hesper SIM-3P",
    "Kamstrup OMNIPOWER",
    "Landis+Gyr E450",
    "Iskraemeco AM550",
    "Kaifa MA304",
]
REGISTERS = [
    ("1.0.1.8.0.255", "Active energy import", 0, 30, "Wh"),
    ("1.0.2.8.0.255", "Active energy export", 0, 30, "Wh"),
    ("1.0.1.7.0.255", "Active power import", 0, 27, "W"),
    ("1.0.32.7.0.255", "Voltage L1", -1, 35, "V"),
    ("1.0.52.7.0.255", "Voltage L2", -1, 35, "V"),
    ("1.0.72.7.0.255", "Voltage L3", -1, 35, "V"),
    ("1.0.31.7.0.255", "Current L1", -2, 33, "A"),
    ("1.0.13.7.0.255", "Power factor", -3, 255, ""),
    ("1.0.14.7.0.255", "Frequency", -2, 44, "Hz"),
]


def kilowatts(seed: int, at: float) -> float:
    """Returns a household's plausible load at an epoch time."""
    hour = (at / 3600 + 1) % 24
    morning, evening = math.exp(-((hour - 7.5) ** 2) / 1.5), math.exp(-((hour - 19) ** 2) / 5)
    noise = random.Random(f"{seed}/{int(at) // PERIOD_S}").random()
    return 0.22 + 0.35 * morning + 0.9 * evening + 0.16 * noise + 0.02 * (seed % 7)


class Fleet:
    """All records of the double; services change them."""

    def __init__(self, meters: int = 60) -> None:
        self._random = random.Random(7)
        self.now = datetime.now(UTC)
        self.gateways = self._gateways()
        self.meters = {row.id: row for row in (self._meter(index) for index in range(meters))}
        self.alerts = self._alerts() if meters else []
        self.commands: dict[str, CommandRow] = {}

    def seed_of(self, meter: str) -> int:
        return int(meter[-6:])

    def _gateways(self) -> dict[str, GatewayRow]:
        def gateway(name: str, state: str, meters: int, **changes: object) -> GatewayRow:
            row = GatewayRow(
                id=name,
                state=state,
                version="0.1.0",
                last_seen_at=self.now - timedelta(seconds=4),
                started_at=self.now - timedelta(days=3, hours=5),
                backlog=0,
                oldest_unreceipted_at=None,
                meters_total=meters,
                meters_reachable=meters,
                meters_registered=meters,
                outbox_percent=2,
                clock_offset_ms=12,
                has_key=True,
                certificate_expires_at=self.now + timedelta(days=83, hours=2),
            )
            return replace(row, **changes)  # type: ignore[arg-type]

        rows = [
            gateway("gw-tcp", "online", 44, meters_reachable=42),
            gateway("gw-serial", "online", 8, clock_offset_ms=-38, signal_dbm=-71),
            gateway(
                "gw-push",
                "offline",
                8,
                meters_reachable=0,
                signal_dbm=-109,
                certificate_expires_at=self.now + timedelta(days=6, hours=2),
                backlog=214,
                outbox_percent=31,
                last_seen_at=self.now - timedelta(minutes=14),
                oldest_unreceipted_at=self.now - timedelta(minutes=14),
            ),
        ]
        return {row.id: row for row in rows}

    def _meter(self, index: int) -> MeterRow:
        pick = self._random
        gateway = "gw-push" if index % 8 == 7 else "gw-serial" if index % 8 == 3 else "gw-tcp"
        silent = gateway == "gw-push" or index == 12
        name = f"{pick.choice(_FIRST)} {pick.choice(_LAST)}"
        return MeterRow(
            id=f"HES{12642984 + index * 37}",
            state="discovered" if index == 59 else "commissioned",
            online=not silent,
            gateway=gateway,
            customer=SCRIPT if index == 5 else None if index == 59 else name,
            address=f"{pick.choice(_STREETS)} {pick.randrange(1, 90)}, Berlin",
            area=f"F-{index % 6:03d}",
            model=_MODELS[index % 5],
            firmware="2.4.1" if index % 9 else "2.3.9",
            life_support=index == 2,
            last_contact_at=self.now
            - timedelta(minutes=14 if silent else 0, seconds=9 + index % 40),
            relay_output=False if index == 4 else None if index == 9 else True,
            relay_confirmed_at=self.now - timedelta(hours=30 if index == 6 else 0, minutes=3),
            severity=None,
        )

    def _alerts(self) -> list[AlertRow]:
        ids = list(self.meters)

        def alert(
            number: int, rule: str, severity: str, subject: str, text: str, minutes: int
        ) -> AlertRow:
            return AlertRow(
                id=number,
                rule=rule,
                meter=subject if subject.startswith("HES") else None,
                gateway=subject if subject.startswith("gw") else "gw-tcp",
                severity=severity,
                state="new",
                raised_at=self.now - timedelta(minutes=minutes),
                cleared_at=None,
                acknowledged_by=None,
                acknowledged_at=None,
                note=None,
                text=text,
            )

        return [
            alert(
                1,
                "gateway_offline",
                "critical",
                "gw-push",
                "Gateway gw-push is offline; 8 meters behind it",
                14,
            ),
            alert(
                2, "meter_silent", "warning", ids[12], f"{ids[12]} has been silent for 14 min", 14
            ),
            alert(
                3,
                "voltage_outside",
                "warning",
                ids[3],
                "Voltage L2 at 202.4 V, below 207.0 V (EN 50160)",
                41,
            ),
            alert(4, "tamper", "critical", ids[8], "Terminal cover opened", 16),
            alert(
                5,
                "reverse_energy",
                "info",
                ids[20],
                "Energy runs backwards without a feed-in contract",
                180,
            ),
            alert(6, "meter_silent", "warning", ids[7], f"{ids[7]} has been silent for 14 min", 13),
            alert(7, "event", "info", ids[5], f"Event text from the meter: {SCRIPT}", 200),
        ]

    def detail(self, meter: str) -> MeterDetail:
        row = self.meters[meter]
        pending = next((c for c in self.commands.values() if c.meter == meter and c.is_open), None)
        blocked = None
        if pending is not None:
            blocked = "a command for this meter is pending"
        elif row.relay_confirmed_at and datetime.now(UTC) - row.relay_confirmed_at > timedelta(
            hours=24
        ):
            blocked = "the relay state is older than 24 h; it must be read first"
        life = "the customer is flagged for life support" if row.life_support else None
        return MeterDetail(
            row=row,
            logical_device_name=f"HSP00{meter[3:]}000",
            template="hesper-sim",
            capture_period_s=PERIOD_S,
            first_seen_at=self.now - timedelta(days=31),
            gateway_state=self.gateways[row.gateway or "gw-tcp"].state,
            relay_control=1,
            load_w=int(kilowatts(self.seed_of(meter), datetime.now(UTC).timestamp()) * 1000),
            load_at=datetime.now(UTC) - timedelta(seconds=12),
            pending_command=pending,
            disconnect_blocked=life or blocked,
            reconnect_blocked=blocked,
            second_person=("relay.disconnect", "relay.reconnect"),
        )

    def latest(self, meter: str) -> list[LatestValue]:
        seed = self.seed_of(meter)
        watts = int(kilowatts(seed, datetime.now(UTC).timestamp()) * 1000)
        values = [
            8_412_331 + seed,
            0,
            watts,
            2301 + seed % 9,
            2296,
            2310,
            watts * 100 // 690,
            981,
            5001,
        ]
        return [
            LatestValue(
                profile=SNAPSHOT,
                logical_name=code,
                name=name,
                value=value,
                scaler=scaler,
                unit=unit,
                symbol=symbol,
                captured_at=self.now - timedelta(seconds=22),
                stored_at=self.now - timedelta(seconds=21),
                quality=0,
            )
            for (code, name, scaler, unit, symbol), value in zip(REGISTERS, values, strict=True)
        ]

    def gaps(self, meter: str, end: datetime) -> list[GapRow]:
        def gap(number: int, hours: float, count: int, cause: str, state: str) -> GapRow:
            last = int((end - timedelta(hours=hours)).timestamp()) // PERIOD_S * PERIOD_S
            first = last - (count - 1) * PERIOD_S
            return GapRow(
                id=number,
                meter=meter,
                profile=PROFILE,
                from_at=datetime.fromtimestamp(first, UTC),
                to_at=datetime.fromtimestamp(last, UTC),
                expected_count=count,
                cause=cause,
                state=state,
                noticed_at=datetime.fromtimestamp(last, UTC),
                closed_at=None if state == "open" else end,
            )

        return [
            gap(1, 92, 16, "meter did not answer", "open"),
            gap(2, 20, 4, "gateway offline", "closed"),
        ]

    def audit(self) -> list[AuditEntry]:
        """Returns 230 entries, newest first; the newest tells of a text that a meter supplied."""
        return [
            AuditEntry(
                sequence=number,
                at=self.now - timedelta(minutes=230 - number),
                actor="operator" if number % 3 else "authority",
                action="command.sent" if number % 2 else "command.queued",
                subject=f"relay.read {list(self.meters)[number % 8]} {number:08x}",
                before="queued" if number % 2 else None,
                after=LONG if number == 1 else "sent" if number % 2 else "queued",
                why=SCRIPT if number == 230 else None,
                hash=f"{number:064x}",
            )
            for number in range(230, 0, -1)
        ]

    def levels(self) -> list[LevelDay]:
        """Returns a week of two levels: one always reached, one missed once and running today."""
        return [
            LevelDay(
                level=level,
                kind=kind,
                day=(self.now - timedelta(days=ago)).date(),
                due=5760,
                met=met,
                percent=100 * met / 5760,
                target_percent=98.0,
                reached=met >= 0.98 * 5760,
                final=ago > 0,
                computed_at=self.now - timedelta(minutes=3),
            )
            for level, kind in (("daily profiles within 8 h", "captures"), ("messages", "messages"))
            for ago in range(7)
            for met in [{0: 2400, 3: 5590}.get(ago, 5760) if kind == "captures" else 5760]
        ]

    def series(self, meter: str, start: datetime, end: datetime, step_s: int | None) -> Series:
        step, seed = step_s or PERIOD_S, self.seed_of(meter)
        missing = [(g.from_at, g.to_at) for g in self.gaps(meter, end) if g.state == "open"]
        times, values, register = [], [], 8_000_000
        first = -(-int(start.timestamp()) // step) * step
        for at in range(first, int(end.timestamp()), step):
            register += int(kilowatts(seed, at) * step / 3.6)
            when = datetime.fromtimestamp(at, UTC)
            if not any(low <= when <= high for low, high in missing):
                times.append(at)
                values.append(register)
        return Series(ENERGY, times, list(values), [0] * len(times), 0, 30, "Wh")

    def events(self, meter: str) -> list[EventRow]:
        told = [
            (40, "clock adjusted by 2 s", "info", "4"),
            (160, "Voltage sag L2, 202.4 V for 1.8 s", "warning", "77"),
            (16, "Terminal cover opened", "critical", "40")
            if meter.endswith("3280")
            else (900, "Power up", "info", "2"),
            (1500, SCRIPT if meter in list(self.meters)[5:6] else "Power down", "info", "1"),
        ]
        return [
            EventRow(f"{meter}-{n}", meter, "gw-tcp", code, severity, at, at, text, {})
            for n, (minutes, text, severity, code) in enumerate(sorted(told))
            for at in [self.now - timedelta(minutes=minutes)]
        ]
