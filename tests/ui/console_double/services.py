"""The double's services: the same names, permissions and refusals as the cloud's."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from types import SimpleNamespace

from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.roles import Actor, Permission, Role
from hesper_cloud.service_levels.misses import Miss
from hesper_cloud.services.errors import (
    CodeNeeded,
    Invalid,
    LoginRefused,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
    Unavailable,
)
from hesper_cloud.services.records import (
    FOR_PEOPLE,
    AttentionRow,
    AuditEntry,
    AuditVerdict,
    CommandRow,
    CommandWish,
    CompletenessHour,
    EventRow,
    FleetLoad,
    GapRow,
    GatewayRow,
    KillSwitchState,
    LatestValue,
    MeterDetail,
    MeterQuery,
    MeterRow,
    Overview,
    Page,
    RelayAction,
    Series,
    Session,
)
from hesper_cloud.services.service_levels import LevelDay
from hesper_cloud.settings import WebSettings
from hesper_ui.services.looking import AccessPage, AccessRow, AccessWanted, Asked

from console_double import (
    acting,
    alerting,
    firmware,
    keeping,
    lines,
    longer,
    members,
    planning,
    watching,
)
from console_double.acting import CODED, PASSWORD, proven
from console_double.fleet import Fleet, kilowatts


def need(actor: Actor, permission: Permission) -> None:
    if not actor.may(permission):
        raise NotPermitted(f"The role {actor.role.value} may not {permission.value}.")


class DoubleServices:
    """All services over one fleet; `down` makes them all unavailable, or raise what it is."""

    def __init__(self, fleet: Fleet | None = None) -> None:
        self.fleet = fleet or Fleet()
        self.down: bool | Exception = False
        self.signed_in: dict[str, Actor] = {}
        self.ended = asyncio.Event()
        self.users = {
            "vera": Role.VIEWER,
            "operator": Role.OPERATOR,
            "approver": Role.APPROVER,
            CODED: Role.APPROVER,
            "admin": Role.ADMIN,
        }
        self.changes = Counter[str]()
        self.accounts = _Accounts(self)
        self.sources = SimpleNamespace(settings=SimpleNamespace(web=WebSettings(), oidc=None))
        self.meters = _Meters(self)
        self.meter_life = keeping.MeterLife(self)
        self.assets = keeping.Assets(self)
        self.gateways = _Gateways(self)
        self.alerts = alerting.Alerts(self)
        self.alert_selections = alerting.Selections(self)
        self.delivery = self.delivery_log = alerting.Delivery(self)
        self.commands = _Commands(self)
        self.conversations = lines.Conversations(self)
        self.overview = _Overview(self)
        self.audit = _Audit(self)
        self.access_log = _AccessLog(self)
        self.service_levels = _Levels(self)
        self.batches = acting.Batches(self)
        self.campaigns = firmware.Campaigns(self)
        self.geography = acting.Geography(self)
        self.about = acting.About(self)
        self.images = firmware.Images(self)
        self.decisions = acting.Decisions(self)
        self.members = members.Members(self)
        self.sessions = members.Sessions(self)
        self.api_tokens = members.ApiTokens()
        self.validated = acting.Validated(self)
        self.events = watching.Events(self)
        self.rules = watching.Rules(self)
        self.outages = watching.Outages(self)
        self.plans = planning.Plans(self)
        self.plan_sending = planning.Sending(self)
        self.batched = 0  # commands of batches that are under way
        self.broker_lost_since: datetime | None = None

    @cached_property
    def long_work(self) -> longer.LongerWork:
        """Made when a page first asks: it has databases of its own."""
        return longer.LongerWork(self)

    @property
    def jobs(self) -> longer.Jobs:
        return self.long_work.jobs

    @property
    def imports(self) -> longer.Imports:
        return self.long_work.imports

    @property
    def reports(self) -> longer.Reports:
        return self.long_work.reports

    def start_again(self, meters: int = 60) -> None:
        """Forgets what was done; whoever is signed in stays so."""
        for walk in self.commands.walks:
            walk.cancel()
        self.fleet, self.down = Fleet(meters), False
        self.__dict__.pop("long_work", None)
        self.commands.keys.clear()
        self.commands.switch = KillSwitchState(False, None, None, None)
        self.conversations = lines.Conversations(self)
        self.alerts = alerting.Alerts(self)
        self.delivery = self.delivery_log = alerting.Delivery(self)
        self.batches = acting.Batches(self)
        self.decisions = acting.Decisions(self)
        self.validated = acting.Validated(self)
        self.events = watching.Events(self)
        self.rules = watching.Rules(self)
        self.outages = watching.Outages(self)
        self.meter_life = keeping.MeterLife(self)
        self.assets = keeping.Assets(self)
        self.images = firmware.Images(self)
        self.plans = planning.Plans(self)
        self.batched, self.broker_lost_since = 0, None

    def end_all_of(self, username: str) -> None:
        """Ends whatever is open in a name, as the authority's word does."""
        self.signed_in = {
            token: actor for token, actor in self.signed_in.items() if actor.username != username
        }
        ended, self.ended = self.ended, asyncio.Event()
        ended.set()

    def check(self, actor: Actor, permission: Permission) -> Fleet:
        if isinstance(self.down, Exception):
            raise self.down
        if self.down:
            raise Unavailable("The store does not answer.")
        need(actor, permission)
        return self.fleet


class _Service:
    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_


class _Accounts(_Service):
    async def login(
        self, username: str, password: str, source: str, code: str = "", agent: str = ""
    ) -> Session:
        if username == CODED and not code:
            raise CodeNeeded("The code of your second factor, please.")
        if password != PASSWORD or username not in self._all.users:
            raise LoginRefused("Wrong user name or password.")
        actor = Actor(username, self._all.users[username])
        token = secrets.token_urlsafe(24)
        self._all.signed_in[token] = actor
        end = datetime.now(UTC) + timedelta(hours=8)
        return Session(token, actor, end, signed="", signed_expires_at=end)

    async def actor_of(self, token: str) -> Actor:
        try:
            return self._all.signed_in[token]
        except KeyError:
            raise NotAuthenticated("Sign in first.") from None

    async def logout(self, token: str) -> None:
        self._all.signed_in.pop(token, None)
        ended, self._all.ended = self._all.ended, asyncio.Event()
        ended.set()

    async def until_ended(self, token: str) -> str:
        while token in self._all.signed_in:
            await self._all.ended.wait()
        return "Sign in again."


class _Meters(_Service):
    async def page(self, actor: Actor, query: MeterQuery) -> Page[MeterRow]:
        rows = list(self._all.check(actor, Permission.READ).meters.values())
        needle = query.search.lower()
        rows = [r for r in rows if needle in f"{r.id} {r.customer} {r.address} {r.area}".lower()]
        states = {
            "online": lambda r: r.online,
            "silent": lambda r: not r.online,
            "discovered": lambda r: r.state == "discovered",
            "commissioned": lambda r: r.state == "commissioned",
        }
        relays = {"connected": True, "disconnected": False, "unknown": None}
        if query.state:
            rows = [r for r in rows if states[query.state](r)]
        if query.relay:
            rows = [r for r in rows if r.relay_output is relays[query.relay]]
        for name in ("gateway", "model", "area", "firmware"):
            if wanted := getattr(query, name):
                rows = [r for r in rows if getattr(r, name) == wanted]
        if query.silent_for_h is not None:
            since = datetime.now(UTC) - timedelta(hours=query.silent_for_h)
            rows = [r for r in rows if r.last_contact_at is None or r.last_contact_at < since]
        if query.old_firmware:
            rows = [r for r in rows if r.firmware == "2.3.9"]
        name = {"relay": "relay_output"}.get(query.sort, query.sort)
        rows.sort(key=lambda r: str(getattr(r, name) or ""), reverse=query.descending)
        part = rows[query.offset : query.offset + query.limit]
        return Page(tuple(part), len(rows), query.offset)

    async def get(self, actor: Actor, meter: str) -> MeterDetail:
        fleet = self._all.check(actor, Permission.READ)
        if meter not in fleet.meters:
            raise NotFound(f"There is no meter {meter}.")
        return fleet.detail(meter)

    async def row(self, actor: Actor, meter: str) -> MeterRow:
        return (await self.get(actor, meter)).row

    async def latest(self, actor: Actor, meter: str) -> Sequence[LatestValue]:
        return self._all.check(actor, Permission.READ).latest(meter)

    async def series(
        self,
        actor: Actor,
        meter: str,
        logical_name: str,
        start: datetime,
        end: datetime,
        step_s: int | None = None,
    ) -> Series:
        return self._all.check(actor, Permission.READ).series(meter, start, end, step_s)

    async def gaps(
        self, actor: Actor, meter: str, start: datetime, end: datetime
    ) -> Sequence[GapRow]:
        return self._all.check(actor, Permission.READ).gaps(meter, end)

    async def open_gaps(self, actor: Actor, limit: int) -> Sequence[GapRow]:
        fleet = self._all.check(actor, Permission.READ)
        gaps = [gap for meter in list(fleet.meters)[:8] for gap in fleet.gaps(meter, fleet.now)]
        return [gap for gap in gaps if gap.state == "open"][:limit]

    async def events(
        self, actor: Actor, meter: str | None, limit: int, severity: str | None = None
    ) -> Sequence[EventRow]:
        fleet = self._all.check(actor, Permission.READ)
        meters = list(fleet.meters)[:8] if meter is None else [meter]
        rows = [row for each in meters for row in fleet.events(each)]
        rows.sort(key=lambda row: row.occurred_at, reverse=True)
        return [row for row in rows if severity in (None, row.severity)][:limit]


def _heard(row: GatewayRow) -> GatewayRow:
    """Has one that is online been heard just now, however long the double has run."""
    if row.state != "online":
        return row
    return replace(row, last_seen_at=datetime.now(UTC) - timedelta(seconds=4))


class _Gateways(_Service):
    async def list(self, actor: Actor) -> Sequence[GatewayRow]:
        return [_heard(row) for row in self._all.check(actor, Permission.READ).gateways.values()]

    async def get(self, actor: Actor, gateway: str) -> GatewayRow:
        found = self._all.check(actor, Permission.READ).gateways.get(gateway)
        if found is None:
            raise NotFound(f"there is no gateway {gateway}")
        return _heard(found)

    async def configuration(self, actor: Actor, gateway: str) -> str | None:
        self._all.check(actor, Permission.REQUEST_COMMAND)
        return planning.FILE.format(gateway=gateway) if gateway == planning.KNOWN else None


class _Commands(_Service):
    """Commands live in memory; an approved one walks its way by itself, a step each 0.4 s."""

    STEP_S = 0.4

    def __init__(self, all_: DoubleServices) -> None:
        super().__init__(all_)
        self.keys: dict[str, str] = {}
        self.switch = KillSwitchState(False, None, None, None)
        self.walks: set[asyncio.Task[None]] = set()

    async def request_relay(
        self,
        actor: Actor,
        meter: str,
        action: RelayAction,
        reason: str,
        serial_tail: str,
        idempotency_key: str,
    ) -> CommandRow:
        fleet = self._all.check(actor, Permission.REQUEST_COMMAND)
        if idempotency_key in self.keys:
            return fleet.commands[self.keys[idempotency_key]]
        if action != "read" and (not meter.endswith(serial_tail) or not reason):
            raise Invalid("The last digits do not match the serial number.")
        detail = fleet.detail(meter)
        blocked = detail.disconnect_blocked if action == "disconnect" else detail.reconnect_blocked
        if blocked and action != "read":
            raise Refused(f"Refused: {blocked}.")
        now = datetime.now(UTC)
        command = CommandRow(
            id=secrets.token_hex(8),
            kind=f"relay.{action}",
            meter=meter,
            gateway=detail.row.gateway or "",
            state="awaiting_approval",
            requester=actor.username,
            approver=None,
            reason=reason,
            created_at=now,
            queued_at=None,
            sent_at=None,
            not_after=now + timedelta(minutes=15),
            updated_at=now,
            detail=None,
            relay_before=detail.row.relay_output,
            relay_after=None,
        )
        self.keys[idempotency_key] = command.id
        if action == "read":
            return self._sent_off(self._store(command, state="queued", not_after=now))
        return self._store(command)

    async def request(self, actor: Actor, wish: CommandWish, idempotency_key: str) -> CommandRow:
        fleet = self._all.check(actor, Permission.REQUEST_COMMAND)
        if idempotency_key in self.keys:
            return fleet.commands[self.keys[idempotency_key]]
        now = datetime.now(UTC)
        row = fleet.meters[wish.meter] if wish.meter else None
        held = wish.kind in {"gateway.configure", "gateway.update"}
        command = CommandRow(
            id=secrets.token_hex(8),
            kind=wish.kind,
            meter=wish.meter,
            gateway=(row.gateway if row else wish.gateway) or "",
            state="awaiting_approval" if held else "queued",
            requester=actor.username,
            approver=None,
            reason=wish.reason,
            created_at=now,
            queued_at=now,
            sent_at=None,
            not_after=now + timedelta(minutes=15),
            updated_at=now,
            detail=None,
            relay_before=row.relay_output if row else None,
            relay_after=None,
            parameters=wish.parameters,
        )
        self.keys[idempotency_key] = command.id
        self._store(command)
        return self.send_off(command.id) if wish.kind in {"ping", lines.KIND} else command

    def send_off(self, command: str) -> CommandRow:
        return self._sent_off(self._store(self._all.fleet.commands[command], state="queued"))

    def _sent_off(self, command: CommandRow) -> CommandRow:
        walk = asyncio.get_running_loop().create_task(self._walk(command.id))
        self.walks.add(walk)
        walk.add_done_callback(self.walks.discard)
        return command

    def _store(self, command: CommandRow, **changes: object) -> CommandRow:
        command = replace(command, updated_at=datetime.now(UTC), **changes)  # type: ignore[arg-type]
        self._all.fleet.commands[command.id] = command
        self._all.changes["commands"] += 1
        return command

    async def approve(self, actor: Actor, command: str, password: str) -> CommandRow:
        fleet = self._all.check(actor, Permission.APPROVE_COMMAND)
        row = fleet.commands[command]
        proven(actor, Proof.from_text(password))
        if row.requester == actor.username:
            raise Refused("Another person must approve this.")
        return self._sent_off(self._store(row, state="queued", approver=actor.username))

    async def _walk(self, command: str) -> None:
        fleet = self._all.fleet
        asked = fleet.commands[command]
        traced = asked.kind == lines.KIND
        end = "failed" if traced and not fleet.meters[asked.meter].online else "confirmed"
        for state in ("sent", "acknowledged", "executing", end):
            await asyncio.sleep(self.STEP_S)
            row = self._store(fleet.commands[command], state=state)
        if not row.meter or traced:
            return
        meter = fleet.meters[row.meter]
        output = meter.relay_output if row.kind == "relay.read" else row.kind == "relay.reconnect"
        fleet.meters[row.meter] = replace(
            meter, relay_output=output, relay_confirmed_at=datetime.now(UTC)
        )
        self._store(row, relay_after=output, detail="relay read back 0.3 s after the write")

    async def reject(self, actor: Actor, command: str, reason: str) -> CommandRow:
        fleet = self._all.check(actor, Permission.APPROVE_COMMAND)
        return self._store(
            fleet.commands[command], state="rejected", approver=actor.username, detail=reason
        )

    async def cancel(self, actor: Actor, command: str) -> CommandRow:
        fleet = self._all.check(actor, Permission.REQUEST_COMMAND)
        return self._store(fleet.commands[command], state="cancelled")

    async def list(
        self,
        actor: Actor,
        state: str | None,
        meter: str | None,
        limit: int,
        gateway: str | None = None,
    ) -> Sequence[CommandRow]:
        rows = reversed(self._all.check(actor, Permission.READ).commands.values())
        if gateway:
            rows = (row for row in rows if (row.gateway, row.meter) == (gateway, ""))
        if state == "open":
            rows, state = (row for row in rows if row.is_open), None
        return [r for r in rows if state in (None, r.state) and meter in (None, r.meter)][:limit]

    async def get(self, actor: Actor, command: str) -> CommandRow:
        return self._all.check(actor, Permission.READ).commands[command]

    async def kill_switch(self, actor: Actor) -> KillSwitchState:
        self._all.check(actor, Permission.READ)
        return self.switch

    async def set_kill_switch(
        self, actor: Actor, on: bool, reason: str, password: str
    ) -> KillSwitchState:
        self._all.check(actor, Permission.ENGAGE_KILL_SWITCH if on else Permission.APPROVE_COMMAND)
        if not on:
            proven(actor, Proof.from_text(password))
        self.switch = KillSwitchState(on, actor.username, datetime.now(UTC), reason)
        self._all.changes["commands"] += 1
        return self.switch


class _Audit(_Service):
    async def page(self, actor: Actor, offset: int, limit: int, subject: str) -> Page[AuditEntry]:
        rows = self._all.check(actor, Permission.READ_AUDIT).audit()
        rows = [row for row in rows if subject in row.subject]
        return Page(tuple(rows[offset : offset + limit]), len(rows), offset)

    async def verify(self, actor: Actor) -> AuditVerdict:
        rows = self._all.check(actor, Permission.READ_AUDIT).audit()
        return AuditVerdict(True, len(rows), None, f"all {len(rows)} rows fit")


class _AccessLog(_Service):
    async def page(self, actor: Actor, wanted: AccessWanted, asked: Asked) -> AccessPage:
        self._all.check(actor, Permission.READ_AUDIT)
        at = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
        rows = [
            AccessRow(3, at, at, 2, "vera", "console", "series", "HES00000012", None, at, at),
            AccessRow(2, at, at, 1, "mdm", "rest", "export", None, "Harbour", at, at),
            AccessRow(1, at, at, 1, "<b>x</b>", "rest", "changes", None, None, None, None),
        ]
        rows = [row for row in rows if not wanted.meter or row.meter in (None, wanted.meter)]
        start = int(asked.cursor or 0)
        following = str(start + 2) if len(rows) > start + 2 else None
        return AccessPage(rows[start : start + 2], following)


class _Levels(_Service):
    def today(self) -> date:
        return datetime.now(UTC).date()

    async def days(
        self, actor: Actor, name: str | None, first: date | None, last: date | None
    ) -> Sequence[LevelDay]:
        return self._all.check(actor, Permission.READ).levels()

    async def misses(self, actor: Actor, name: str, day: date) -> Sequence[Miss]:
        fleet = self._all.check(actor, Permission.READ)
        if name not in {row.level for row in fleet.levels()}:
            raise NotFound(f"There is no service level {name}.")
        return [
            Miss(meter, row.gateway, 96, 80, "silent meter", "line")
            for meter, row in list(fleet.meters.items())[:3]
        ]


class _Overview(_Service):
    def _watts(self, at: float) -> int:
        fleet = self._all.fleet
        return sum(int(kilowatts(fleet.seed_of(m), at) * 1000) for m in fleet.meters)

    async def figures(self, actor: Actor) -> Overview:
        fleet = self._all.check(actor, Permission.READ)
        now = datetime.now(UTC)
        open_ = [a for a in fleet.alerts if a.state != "cleared"]
        critical = [a for a in open_ if a.severity == "critical"]
        commands = [c for c in fleet.commands.values() if c.is_open]
        return Overview(
            at=now,
            meters_total=len(fleet.meters),
            meters_online=sum(m.online for m in fleet.meters.values()),
            reads_complete_pct=99.31 if fleet.meters else None,
            reads_target_pct=99.5,
            gaps_open=8,
            alerts_open=len(open_),
            critical_alerts=len(critical),
            oldest_critical_at=min((a.raised_at for a in critical), default=None),
            readings_per_s=31.4 + now.second % 7 / 10,
            fleet_load_w=self._watts(now.timestamp()),
            fleet_load_yesterday_w=self._watts(now.timestamp() - 86_400),
            commands_in_flight=self._all.batched + sum(c.state not in FOR_PEOPLE for c in commands),
            commands_awaiting_approval=sum(c.state in FOR_PEOPLE for c in commands),
            gateways_total=len(fleet.gateways),
            gateways_online=sum(g.state == "online" for g in fleet.gateways.values()),
            dead_letters=0,
            kill_switch=self._all.commands.switch.engaged,
            commands_in_batches=self._all.batched,
            fleet_load_at=now,
            broker_lost_since=self._all.broker_lost_since,
        )

    def hears_broker(self) -> bool:
        return self._all.broker_lost_since is None

    async def load_24h(self, actor: Actor) -> FleetLoad:
        self._all.check(actor, Permission.READ)
        end = int(datetime.now(UTC).timestamp()) // 900 * 900
        times = list(range(end - 86_400, end + 1, 900))
        return FleetLoad(
            times, [self._watts(t) for t in times], [self._watts(t - 86_400) for t in times]
        )

    async def completeness_by_hour(self, actor: Actor) -> Sequence[CompletenessHour]:
        self._all.check(actor, Permission.READ)
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        return [
            CompletenessHour(
                hour - timedelta(hours=23 - n), 240, 240 - (5 if n in (3, 15) else n % 2)
            )
            for n in range(24)
        ]

    async def needs_attention(self, actor: Actor, limit: int = 7) -> Sequence[AttentionRow]:
        alerts = [a for a in self._all.check(actor, Permission.READ).alerts if a.state == "new"]
        order = {"critical": 0, "warning": 1, "info": 2}
        rows = [
            AttentionRow(a.rule, a.severity, 1, a.raised_at, a.text, (a.meter or a.gateway or "",))
            for a in alerts
        ]
        waiting = [c for c in self._all.fleet.commands.values() if c.state == "awaiting_approval"]
        if waiting:
            text = f"{len(waiting)} command awaits approval"
            first = waiting[0]
            rows.append(
                AttentionRow("approval", "warning", 1, first.created_at, text, (first.meter,))
            )
        return sorted(rows, key=lambda row: (order[row.severity], row.oldest_at))
