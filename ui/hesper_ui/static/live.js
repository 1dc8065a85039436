// Live values: one WebSocket, one frame a second, applied to whatever the page shows.
//
// The age of the data is measured here, by this browser's monotonic clock, from the arrival of the last
// frame whose server time moved on. Older than STALE_MS, nothing says "live" and nothing can be commanded.
// Texts from the server only ever become text nodes.
(() => {
  const STALE_MS = 1800, DIM_MS = 3000, TICK_MS = 200, RETRY_MS = 300, MOST_RETRY_MS = 500, ANSWER_MS = 5000;
  const root = document.documentElement, tag = window.hesperTag, signs = window.hesperNumbers;
  const comma = (1.5).toLocaleString(signs).charAt(1);
  const run = document.querySelector("meta[name=hesper-run]")?.content;
  const held = {};
  let trusted = true, wasLive = false, shown = 0, socket = null, arrived = null, serverTime = 0, clockOffset = 0, retry = RETRY_MS, opened = false, following = "";

  const grouped = new Intl.NumberFormat(signs, { maximumFractionDigits: 0 });
  const rounded = (value, digits) => value.toLocaleString(signs, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const significant = (value) => rounded(value, Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
  const power = (watt) => {
    const fixed = { base: 0, kilo: 3, mega: 6 }[window.hesperUnits];
    const exponent = fixed ?? (Math.abs(watt) >= 1e6 ? 6 : Math.abs(watt) >= 1e3 ? 3 : 0);
    const unit = { 0: "W", 3: "kW", 6: "MW" }[exponent], value = watt / 10 ** exponent;
    return [exponent === 0 ? grouped.format(watt) : fixed === undefined ? significant(value) : rounded(value, 3), unit];
  };
  const formats = {
    count: (value) => [grouped.format(value), null],
    percent: (value) => [value >= 99.995 || value === 0 ? rounded(value, 0) : rounded(Math.min(value, 99.9), 1), null],
    rate: (value) => [value >= 100 ? grouped.format(value) : rounded(value, 1), null],
    power,
  };
  // An integer and a power of ten become digits without passing through a float.
  const scaled = (value, scaler) => {
    const digits = String(value), minus = digits.startsWith("-") ? "−" : "", bare = digits.replace("-", "");
    if (scaler >= 0) return minus + grouped.format(BigInt(bare) * 10n ** BigInt(scaler));
    const padded = bare.padStart(1 - scaler, "0"), cut = padded.length + scaler;
    return `${minus}${grouped.format(BigInt(padded.slice(0, cut)))}${comma}${padded.slice(cut)}`;
  };
  const age = (ms) => {
    const s = Math.max(0, Math.round(ms / 1000));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 172800) return `${Math.floor(s / 3600)} h`;
    return hesperSay("{count} days", { count: days(ms) });
  };
  // Some languages bend the word for days by what governs it, so it is said together with that.
  const days = (ms) => (Math.round(ms / 1000) < 172800 ? 0 : Math.floor(Math.round(ms / 1000) / 86400));
  const lasting = (ms) => (days(ms) ? hesperSay("for {count} days", { count: days(ms) }) : hesperSay("for {age}", { age: age(ms) }));
  const ago = (at) => {
    const ms = Date.now() + clockOffset - at;
    return days(ms) ? hesperSay("{count} days ago", { count: days(ms) }) : hesperSay("{age} ago", { age: age(ms) });
  };
  // The operator's time zone: the browser's own, or the one chosen in the menu.
  let zone, local;
  const chosenZone = () => { try { return localStorage.getItem("hesper_zone") || ""; } catch { return ""; } };
  function tell_time() {
    zone = chosenZone() || undefined;
    const format = (options) => { try { return new Intl.DateTimeFormat(tag, { ...options, timeZone: zone }); } catch { return new Intl.DateTimeFormat(tag, options); } };
    local = {
      time: format({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
      date: format({ day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit" }),
      hour: format({ hour: "2-digit", minute: "2-digit" }),
      day: format({ day: "numeric", month: "short" }),
    };
  }
  tell_time();
  // A chart's axis says the day at midnight and the hour between, in the operator's zone.
  const axis = (at) => {
    const hour = local.hour.format(at);
    return /^(00|24)\D00$/.test(hour) ? local.day.format(at) : hour;
  };
  const moment = (at) => local.date.format(at);
  const number = (value) => (value === null || value === undefined ? "–" : Number(value).toLocaleString(signs, { maximumFractionDigits: 3 }));
  const hour = (at) => local.hour.format(Number(at));
  // What is under the pointer of a chart, as elements: nothing in it is read as markup.
  function pointed(points, unit) {
    const box = document.createElement("div"), line = (text) => { const row = document.createElement("div"); row.textContent = text; return row; };
    const at = Number(points[0]?.axisValue);
    box.append(line(Number.isFinite(at) ? moment(at) : ""));
    for (const point of points) {
      const value = Array.isArray(point.value) ? point.value[1] : point.value;
      box.append(line(`${point.seriesName}: ${value === null || value === undefined ? "–" : `${number(value)} ${unit}`}`));
    }
    return box;
  }
  document.addEventListener("focusin", (event) => {
    const choice = event.target.closest?.("[data-zone]");
    if (!choice || choice.options.length > 1) return;
    fillZones(choice, Intl.supportedValuesOf("timeZone"));
  });
  function fillZones(choice, zones) {
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    choice.replaceChildren(...["", ...new Set(["UTC", ...zones])].map((name) => {
      const option = document.createElement("option");
      option.value = name;
      option.textContent = name || hesperSay("as this browser ({zone})", { zone: own });
      option.selected = name === chosenZone();
      return option;
    }));
  }
  document.addEventListener("change", (event) => {
    const choice = event.target.closest?.("[data-zone]");
    if (!choice) return;
    try { localStorage.setItem("hesper_zone", choice.value); } catch { /* a private window keeps nothing */ }
    location.reload();
  });

  const node = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const marked = (mark, word) => {
    const box = node("span", "marked"), shape = node("span", `mark mark-${mark}`);
    shape.setAttribute("aria-hidden", "true");
    box.append(shape, node("span", "", word));
    return box;
  };
  const say = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };
  const each = (selector, act) => document.querySelectorAll(selector).forEach(act);

  function figures(numbers) {
    each("[data-figure]", (element) => {
      const value = numbers[element.dataset.figure];
      if (value === undefined) return;
      const [text, unit] = value === null ? ["–", null] : formats[element.dataset.format || "count"](value);
      say(element, text);
      if (unit) say(element.parentElement.querySelector(".unit"), unit);
      element.toggleAttribute("data-zero", value === 0);
    });
  }

  // What is dated is as old as the frame's newest value of it.
  function dates(numbers) {
    each("[data-dated]", (element) => {
      const at = Date.parse(numbers[element.dataset.dated]);
      if (Number.isFinite(at)) element.dataset.age = at;
    });
  }

  // A note under a figure says the same as the figure: it is made of the same frame.
  function notes(numbers) {
    each("[data-note]", (element) => {
      const [whole, part] = (element.dataset.rest || "").split(" ");
      const known = { ...numbers, rest: numbers[whole] - numbers[part] };
      const text = known.rest === 0 ? element.dataset.noRest : element.dataset.note;
      const lacks = text.match(/\{\w+\}/g)?.some((name) => !Number.isFinite(known[name.slice(1, -1)]));
      if (!lacks) say(element, text.replace(/\{(\w+)\}/g, (_, name) => formats.count(known[name])[0]));
    });
  }

  // Only what the page shows is looked up, however large the frame is.
  function values(byMeter) {
    each("[data-values]", (place) => {
      for (const [name, value, scaler, , capturedAt] of byMeter[place.dataset.values] || []) {
        const shown = place.querySelector(`[data-latest="${CSS.escape(name)}"]`);
        const captured = place.querySelector(`[data-captured="${CSS.escape(name)}"]`);
        if (shown && value !== null) say(shown, scaled(value, scaler - Number(shown.dataset.shift || 0)));
        if (captured) captured.dataset.age = capturedAt * 1000;
      }
    });
  }

  // A page names what it watches; it asks the server again only when that has changed.
  function tell(frame) {
    each("[data-watch]", (watcher) => {
      const meter = watcher.dataset.meter;
      const rows = watcher.dataset.watch.split(" ").flatMap((kind) => frame[kind] || []);
      if (rows.some((row) => !meter || row.meter === meter)) watcher.dispatchEvent(new CustomEvent("changed"));
    });
  }

  // The switch that stops all commands, and the loss of the broker, are in every frame: who watches one asks again once it has changed.
  function turned(kind, is) {
    const before = held[kind];
    held[kind] = is ?? before;
    if (before !== undefined && held[kind] !== before) each(`[data-watch~=${kind}]`, (watcher) => watcher.dispatchEvent(new CustomEvent("changed")));
  }

  // While nobody is heard every page says so, and since when.
  function unheard(since) {
    each("[data-unheard]", (bar) => {
      if (since) bar.querySelector("time").dataset.age = Date.parse(since);
      bar.hidden = !since;
    });
    turned("broker", Boolean(since));
  }

  function receive(event) {
    if (!trusted) return;
    const frame = JSON.parse(event.data);
    if (frame.events) { window.hesperEvents?.take(frame); return; }
    const now = Date.parse(frame.server_time);
    if (!(now > serverTime)) return;
    serverTime = now;
    arrived = performance.now();
    clockOffset = now - Date.now();
    figures(frame.figures || {});
    notes(frame.figures || {});
    dates(frame.figures || {});
    values(frame.values || {});
    tell(frame);
    turned("switch", frame.figures?.kill_switch);
    unheard(frame.figures?.broker_lost_since);
    tick();
  }

  // A page says what it shows: the server sends it the values of no other meter, and events only where they are listed.
  function follow() {
    if (socket?.readyState !== WebSocket.OPEN) return;
    const events = Boolean(document.querySelector("[data-follow=events]")), meters = new Set();
    each("[data-values]", (place) => meters.add(place.dataset.values));
    const wish = JSON.stringify({ type: "follow", events, meters: [...meters].slice(0, 20) });
    if (wish !== following) socket.send(wish);
    following = wish;
  }

  async function lost() {
    socket = null;
    following = "";
    trusted = !opened;
    await comeBack();
  }

  // Until the server answers it is asked plainly: a browser puts sockets off, for seconds, after some that failed.
  async function comeBack() {
    const told = await session();
    if (reloads(told)) return;
    setTimeout(told ? connect : comeBack, retry * (0.75 + Math.random() / 2)); // not all pages at once
    retry = Math.min(retry * 1.2, MOST_RETRY_MS);
  }

  // What the server says of this session, null if it is away; leaves for the sign-in if the session is over.
  async function session() {
    try {
      const answer = await fetch("/console/session", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
      if (!answer.ok) return null;
      const told = await answer.json();
      if (!told.signed_in) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
      return told;
    } catch { return null; /* the age on screen says so already */ }
  }

  // A server that was started anew knows nothing of this page: nothing here would answer, so it is loaded again.
  function reloads(told) {
    const isAnother = opened && told && told.run !== run;
    if (isAnother) location.reload();
    return isAnother;
  }

  async function reached() {
    retry = RETRY_MS;
    if (opened && reloads(await session())) return;
    opened = trusted = true;
    serverTime = 0;
    follow();
    if (window.socket && !window.socket.connected) window.socket.connect();
  }

  function connect() {
    socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/live`);
    socket.onopen = reached;
    socket.onmessage = receive;
    socket.onclose = lost;
  }

  function hold(live) {
    each("[data-acts]", (element) => {
      if (!live && !element.disabled) { element.disabled = true; element.dataset.held = ""; }
      if (live && "held" in element.dataset) { delete element.dataset.held; element.disabled = "blocked" in element.dataset; }
    });
  }

  function localise(element) {
    element.dataset.local = "";
    say(element, local[element.dataset.style || "time"].format(Number(element.dataset.at)));
  }
  // The server writes times in UTC: those that are new are written in the browser's zone before they are painted.
  new MutationObserver(() => each("[data-at]:not([data-local])", localise)).observe(root, { childList: true, subtree: true });

  function tick() {
    const since = arrived === null ? Infinity : performance.now() - arrived;
    const live = since < STALE_MS && window.socket?.connected !== false;
    wasLive ||= live;
    const before = root.dataset.link;
    root.dataset.link = live ? "live" : wasLive ? "lost" : "connecting";
    root.toggleAttribute("data-dim", !live && since >= DIM_MS && root.dataset.link === "lost");
    const word = document.querySelector(".link-state b"), detail = document.querySelector(".link-state .detail");
    const mark = document.querySelector(".link-state .mark");
    if (word) {
      say(word, live ? hesperSay("live") : root.dataset.link === "lost" ? hesperSay("no data") : hesperSay("connecting"));
      say(detail, live ? hesperSay("data age < 2 s") : Number.isFinite(since) ? lasting(since) : "");
      mark.className = `mark mark-${live ? "normal" : root.dataset.link === "lost" ? "offline" : "unknown"}`;
    }
    if (before !== root.dataset.link)
      say(document.querySelector("[data-link-said]"), live ? hesperSay("Live data") : hesperSay("No live data: values may be old, commands are held"));
    hold(live);
    follow();
    const now = Date.now() + clockOffset;
    if (Math.floor(now / 1000) === shown) return;
    shown = Math.floor(now / 1000);
    each("[data-age]", (element) => say(element, "bare" in element.dataset ? age(now - Number(element.dataset.age)) : ago(Number(element.dataset.age))));
    each("[data-at]", localise);
    say(document.querySelector("[data-clock]"), local.time.format(now));
    window.hesperTheme?.show();
    if (root.lang !== tag) root.lang = tag; // Quasar says its own language there
    each("[data-zone]", (choice) => { if (!choice.options.length) fillZones(choice, chosenZone() ? [chosenZone()] : []); });
  }

  // Between two ticks a click must not slip through on a page that has gone stale.
  for (const type of ["click", "submit"]) document.addEventListener(type, (event) => {
    if (root.dataset.link !== "live" && event.target.closest?.("[data-acts]")) { event.preventDefault(); event.stopImmediatePropagation(); }
  }, true);
  // Who is there already stays there: building the page anew would take away what is being typed into it.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (link?.href !== location.href || link.hash || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest?.("input, textarea, select")) return;
    const search = document.querySelector("[data-search]");
    if (search) { event.preventDefault(); search.focus(); }
  });
  // Lists with data-keys are walked with j and k; x marks a row, a and s press its buttons, Enter follows its link.
  function walk(key) {
    const rows = [...document.querySelectorAll("[data-keys] tbody tr")].filter((row) => row.querySelector("td"));
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    if (key === "a") { (rows[at]?.querySelector("[data-key-a]") || rows[at]?.querySelector("button"))?.click(); return; }
    if (key === "s") { rows[at]?.querySelector("[data-key-s]")?.click(); return; }
    if (key === "x") { rows[at]?.querySelector("input[type=checkbox]")?.click(); return; }
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + (key === "j" ? 1 : -1)))];
    next?.querySelector("a")?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("keydown", (event) => {
    if (!"jkaxs".includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, textarea, select, .q-dialog") || !document.querySelector("[data-keys]")) return;
    walk(event.key);
  });
  document.addEventListener("click", (event) => {
    each("details.menu[open]", (menu) => { if (!menu.contains(event.target)) menu.open = false; });
  });
  // On a phone the bar's last button opens all places over the page; whatever is chosen closes them.
  document.addEventListener("click", (event) => {
    const nav = document.querySelector(".frame-nav"), more = event.target.closest?.("[data-nav-more]");
    if (!nav || (!more && !("open" in nav.dataset))) return;
    nav.toggleAttribute("data-open", more ? !("open" in nav.dataset) : false);
    nav.querySelector("[data-nav-more]")?.setAttribute("aria-expanded", String("open" in nav.dataset));
  });
  document.addEventListener("visibilitychange", tick);
  setInterval(tick, TICK_MS);
  connect();
  window.hesperLive = { age, ago, axis, hour, marked, moment, node, number, pointed, now: () => Date.now() + clockOffset };
})();
