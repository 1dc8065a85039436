// The stream of events: what is committed is put on top of the list as it comes, while nobody reads further down.
//
// The server draws the list; this island fills the empty first body of its table. What cannot stand there, because
// it happened before what the list begins with or was missed, has the server draw the list again, seldom.
// Texts from meters and gateways only ever become text nodes.
(() => {
  const MOST = 200, AGAIN_MS = 5000;
  const { ago, marked, moment, node } = window.hesperLive;
  let stream = null, table = null, known = new Set(), asked = {}, words = {}, recent = [], due = 0, dueAgain = 0, timer = 0;

  const time = (at, style) => {
    const element = node("time", "nowrap");
    element.dateTime = element.title = at;
    if (style) Object.assign(element.dataset, { at: Date.parse(at), style });
    else element.dataset.age = Date.parse(at);
    element.textContent = style ? moment(Date.parse(at)) : ago(Date.parse(at));
    return element;
  };
  const link = (text, href, label) => {
    const element = node("a", label ? "nowrap" : "", text);
    element.href = href;
    if (label) element.setAttribute("aria-label", label);
    return element;
  };
  const capital = (text) => text.trim().charAt(0).toUpperCase() + text.trim().slice(1);
  function told(event) {
    const box = node("div", "told");
    box.append(node("span", "", capital(event.text) || event.code), node("span", "meta", ` ${event.code}`));
    return box;
  }
  function rule(event) {
    if (!words.rules) return "";
    const query = new URLSearchParams({ code: event.code, severity: event.severity });
    return link(hesperSay("Make a rule"), `/rules/new?${query}`, hesperSay("Make a rule from {code}", { code: event.code }));
  }
  function drawn(event, heads) {
    const row = node("tr");
    row.dataset.event = event.id;
    [
      time(event.occurred_at, "date"),
      marked(...(words.severities[event.severity] || words.severities.info)),
      told(event),
      node("span", "nowrap", words.groups[event.group]),
      event.meter ? link(event.meter, `/meters/${encodeURIComponent(event.meter)}`) : link(event.gateway, `/gateways/${encodeURIComponent(event.gateway)}`),
      time(event.stored_at),
      rule(event),
    ].forEach((content, index) => {
      const cell = node("td", heads[index].className);
      if (index && heads[index].textContent) cell.dataset.label = heads[index].textContent;
      cell.append(content);
      row.append(cell);
    });
    return row;
  }

  const matches = (event) =>
    ["group", "severity", "code", "meter", "gateway", "area"].every((name) => !asked[name] || event[name] === asked[name]) &&
    (!asked.from || event.occurred_at.slice(0, 10) >= asked.from) &&
    (!asked.to || event.occurred_at.slice(0, 10) <= asked.to);

  // The list is asked for again: at once, then seldom.
  function again() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      dueAgain = performance.now() + AGAIN_MS;
      document.querySelector("[data-watch=events]")?.dispatchEvent(new CustomEvent("changed"));
    }, Math.max(0, dueAgain - performance.now()));
  }

  const happened = (row) => Number(row?.querySelector("[data-at]")?.dataset.at ?? -Infinity);

  // Newest first: each new row goes before the first that did not happen later; what happened before the server's list goes nowhere.
  function put() {
    const heads = table.querySelectorAll("th"), [fresh, older] = table.tBodies, begins = happened(older?.rows[0]);
    let fits = true;
    for (const event of recent) {
      if (known.has(event.id)) continue;
      const at = Date.parse(event.occurred_at);
      known.add(event.id);
      if (at < begins) { fits = false; continue; }
      let next = fresh.rows[0];
      while (next && happened(next) > at) next = next.nextElementSibling;
      fresh.insertBefore(drawn(event, heads), next || null);
    }
    while (fresh.rows.length > MOST) fresh.lastElementChild.remove();
    if (older) older.hidden = fresh.rows.length >= MOST;
    return fits;
  }

  const paused = () => stream.scrollTop > 4 || Boolean(document.querySelector("[data-hold][aria-pressed=true]"));

  const standing = () => [...stream.querySelectorAll("[data-event]")].map((each) => each.dataset.event);

  // Once the server has drawn another table, what came since it looked is put on top again.
  function settle() {
    const now = stream.querySelector("table");
    if (now === table) return;
    table = now;
    known = new Set(standing());
    if (table && !paused()) put();
  }

  function found() {
    const now = document.querySelector("[data-follow=events]");
    if (now === stream) return Boolean(stream);
    [stream, table, recent] = [now, null, []];
    if (!stream) return false;
    asked = JSON.parse(stream.dataset.asked);
    words = JSON.parse(stream.dataset.words);
    new MutationObserver(settle).observe(stream, { childList: true, subtree: true });
    again(); // what came between the server's look and the first frame
    return true;
  }

  function take(frame) {
    if (!found()) return;
    settle();
    if (frame.missed || !frame.events.length) again();
    const events = frame.events.filter((event) => !known.has(event.id) && matches(event)).reverse();
    if (!events.length) return;
    recent = [...recent, ...events].slice(-MOST);
    due ||= requestAnimationFrame(draw);
  }

  // Once a frame of the screen, however many came: a browser that is slow draws more at a time and is never behind.
  function draw() {
    due = 0;
    if (!stream?.isConnected || paused()) return;
    settle();
    if (!table || !put()) again();
    if (known.size > 20 * MOST) known = new Set([...standing(), ...recent.map((event) => event.id)]);
  }

  window.hesperEvents = { take };
})();
