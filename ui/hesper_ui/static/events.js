// The stream of events: what is committed is put on top of the list as it comes, while nobody reads further down.
//
// The server draws the list; this island fills the empty first body of its table. What cannot stand there, because
// it happened before what the list begins with or was missed, has the server draw the list again, seldom.
// While many come a second, only as many rows stand as a screen shows: to lay out all of them anew for each frame
// takes a browser longer than a frame. The others are put below as soon as somebody scrolls, or fewer come.
// Texts from meters and gateways only ever become text nodes.
(() => {
  const MOST = 200, IN_A_RUSH = 40, RUSH_MS = 1000, AGAIN_MS = 5000;
  const { ago, marked, moment, node } = window.hesperLive;
  let stream = null, table = null, known = new Set(), wanted = "", asked = {}, words = {}, recent = [], due = 0, dueAgain = 0, timer = 0, calm = 0, lacks = false;

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
    const box = node("div", "told"), text = capital(event.text), [english, title] = words.titles[event.code] || [];
    const besides = title && text && text !== english ? `${text} · ${event.code}` : title || text ? event.code : "";
    box.append(node("span", "", title || text || event.code), node("span", "meta", ` ${besides}`));
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
    (asked.start === null || Date.parse(event.occurred_at) >= asked.start) &&
    (asked.end === null || Date.parse(event.occurred_at) < asked.end);

  // The list is asked for again: at once, then seldom; one that stands, not before a rush is over.
  function again() {
    lacks = false;
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (table && rushing()) { lacks = true; return; }
      dueAgain = performance.now() + AGAIN_MS;
      document.querySelector("[data-watch=events]")?.dispatchEvent(new CustomEvent("changed"));
    }, Math.max(0, dueAgain - performance.now()));
  }

  const happened = (row) => Number(row?.querySelector("[data-at]")?.dataset.at ?? -Infinity);

  // Newest first: each new row goes before the first that did not happen later; what belongs into the server's list is lacking there.
  function put(most) {
    const heads = table.querySelectorAll("th"), [fresh, older] = table.tBodies, begins = happened(older?.rows[0]);
    const ends = older?.rows.length >= MOST ? happened(older.lastElementChild) : -Infinity;
    for (const event of recent.slice(-most)) {
      if (known.has(event.id)) continue;
      const at = Date.parse(event.occurred_at);
      known.add(event.id);
      if (at < begins) { lacks ||= at >= ends; continue; }
      let next = fresh.rows[0];
      while (next && happened(next) > at) next = next.nextElementSibling;
      fresh.insertBefore(drawn(event, heads), next || null);
    }
    while (fresh.rows.length > most) {
      if (most < MOST) known.delete(fresh.lastElementChild.dataset.event); // it may be put back
      fresh.lastElementChild.remove();
    }
    if (older) older.hidden = fresh.rows.length >= most;
  }

  const rushing = () => recent.length >= IN_A_RUSH && performance.now() - recent.at(-IN_A_RUSH).came < RUSH_MS;

  // Draws what has come; what is left out or lacking in a rush follows when it is over.
  function show() {
    clearTimeout(calm);
    calm = rushing() ? setTimeout(complete, RUSH_MS) : 0;
    put(calm ? IN_A_RUSH : MOST);
    if (lacks && !calm) again();
  }

  // Nothing has come for a while, or somebody begins to read, and finds all rows and none that came later.
  function complete() {
    if (!calm || !table?.isConnected) return;
    clearTimeout(calm);
    calm = 0;
    put(MOST);
    if (lacks) again();
  }

  const paused = () => stream.scrollTop > 4 || Boolean(document.querySelector("[data-hold][aria-pressed=true]"));

  const standing = () => [...stream.querySelectorAll("[data-event]")].map((each) => each.dataset.event);

  // Once the server has drawn another table, what came since it looked is put on top again.
  function settle() {
    const now = stream.querySelector("table");
    if (now === table) return;
    table = now;
    known = new Set(standing());
    if (table && !paused()) show();
  }

  // A page that comes makes its elements twice: what came for the first ones is for the second, too.
  function found() {
    const now = document.querySelector("[data-follow=events]");
    if (now === stream) return Boolean(stream);
    [stream, table] = [now, null];
    if (!stream) return false;
    words = JSON.parse(stream.dataset.words);
    if (stream.dataset.asked !== wanted) ask(stream.dataset.asked);
    new MutationObserver(settle).observe(stream, { childList: true, subtree: true });
    stream.addEventListener("scroll", () => paused() && complete(), { passive: true });
    return true;
  }

  function ask(text) {
    [wanted, asked, recent] = [text, JSON.parse(text), []];
    again(); // what came between the server's look and the first frame
  }

  function take(frame) {
    const isThere = found();
    if (!wanted) return;
    if (!frame.events.length && !frame.missed) again(); // the first frame of all
    lacks ||= frame.missed;
    if (isThere) settle();
    if (isThere && paused()) complete();
    const came = performance.now();
    const events = frame.events.filter((event) => !known.has(event.id) && matches(event)).reverse();
    if (!events.length && !lacks) return;
    recent = [...recent, ...events.map((event) => ({ ...event, came }))].slice(-MOST);
    due ||= requestAnimationFrame(draw);
  }

  // Once a frame of the screen, however many came: a browser that is slow draws more at a time and is never behind.
  function draw() {
    due = 0;
    if (!stream?.isConnected || paused()) return;
    settle();
    if (table) show();
    else again();
    if (known.size > 20 * MOST) known = new Set(standing());
  }

  window.hesperEvents = { take };
})();
