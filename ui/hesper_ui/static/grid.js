// The meters grid: AG Grid's infinite rows on a desk, cards on a phone, both from one JSON endpoint.
(() => {
  const BLOCK = 100, CARDS = 30, LATER_MS = 1500;
  let api = null, generation = 0, shown = "", matching = 0, all = false;

  // The page says what its list is of: the address follows a moment later, and what is typed later still.
  const filters = () => {
    const asked = new URLSearchParams(document.querySelector("[data-asked]")?.dataset.asked), text = document.querySelector("[data-search]")?.value;
    if (text) asked.set("q", text);
    return asked;
  };
  async function rows(offset, limit, sort) {
    const asked = filters();
    shown = asked.toString();
    asked.set("offset", offset);
    asked.set("limit", limit);
    if (sort) { asked.set("sort", sort.colId); asked.set("descending", sort.sort === "desc"); }
    const answer = await fetch(`/console/meters?${asked}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  const { node, marked } = window.hesperLive;
  const ago = (epoch) => {
    if (epoch === null) return node("span", "missing", hesperSay("never"));
    const element = node("span", "", window.hesperLive.ago(epoch));
    element.dataset.age = epoch;
    return element;
  };
  const link = (row) => {
    const element = node("a", "", row.id);
    element.href = `/meters/${encodeURIComponent(row.id)}`;
    return element;
  };
  const told = (kind, text) => {
    const place = document.querySelector("[data-grid-state]");
    if (place) { place.textContent = text; place.dataset.kind = kind; place.hidden = !text; }
  };
  const counted = (total) => {
    const place = document.querySelector("[data-grid-count]");
    matching = total;
    const count = total.toLocaleString(window.hesperNumbers);
    if (place) place.textContent = total === 1 ? hesperSay("1 meter") : hesperSay("{count} meters", { count });
    told("empty", total === 0 ? hesperSay("No meter matches. Clear the search or choose another view.") : "");
  };
  const failed = () => told("error", hesperSay("The list could not be loaded. It will be tried again by itself."));
  const plain = { valueFormatter: ({ data, value }) => value || (data ? "–" : ""), cellClassRules: { missing: ({ value }) => !value } };
  const drawn = (draw) => ({ cellRenderer: ({ data }) => (data ? draw(data) : node("span", "missing", "…")) });

  const fixed = (width) => ({ width, minWidth: width, sortable: false });
  const COLUMNS = (causes) => [
    { colId: "id", headerName: hesperSay("Serial"), width: 136, minWidth: 128, pinned: "left", lockVisible: true, ...drawn(link) },
    { colId: "state", headerName: hesperSay("Status"), ...fixed(106), ...drawn((row) => marked(row.state.mark, row.state.word)) },
    ...(causes ? [{ colId: "why", field: "why", headerName: hesperSay("Why"), ...fixed(136), lockVisible: true, ...plain }] : []),
    { colId: "relay", headerName: hesperSay("Relay"), width: 132, minWidth: 126, ...drawn((row) => marked(row.relay.mark, row.relay.word)) },
    { colId: "customer", field: "customer", headerName: hesperSay("Customer"), minWidth: 128, flex: 1, tooltipField: "customer", ...plain },
    { colId: "address", field: "address", headerName: hesperSay("Address"), minWidth: 128, flex: 1, tooltipField: "address", ...plain },
    { colId: "area", field: "area", headerName: hesperSay("Area"), width: 100, minWidth: 84, hide: true, ...plain },
    { colId: "gateway", field: "gateway", headerName: hesperSay("Gateway"), width: 90, minWidth: 84, ...plain },
    { colId: "model", field: "model", headerName: hesperSay("Model"), minWidth: 184, flex: 0.6, tooltipField: "model", sortable: false, ...plain },
    { colId: "firmware", field: "firmware", headerName: hesperSay("Firmware"), ...fixed(96), ...plain },
    { colId: "life_support", field: "life_support", headerName: hesperSay("Life support"), ...fixed(116), hide: true, ...plain },
    { colId: "last_contact", headerName: hesperSay("Last contact"), width: 116, minWidth: 110, ...drawn((row) => ago(row.last_contact)) },
  ];
  // What must be read whole grows with the longest text that has come: serials, states, firmware. It never shrinks.
  const WHOLE = { id: [(row) => row.id, 30], state: [(row) => row.state.word, 46], relay: [(row) => row.relay.word, 46], firmware: [(row) => row.firmware || "", 30] };
  const MOST_WIDE = 360, ruler = document.createElement("canvas").getContext("2d");
  function fit(page) {
    ruler.font = '13.5px "Inter Variable", sans-serif';
    const wider = Object.entries(WHOLE).flatMap(([key, [text, room]]) => {
      const longest = page.reduce((most, row) => Math.max(most, ruler.measureText(text(row).replace(/\d/g, "0")).width), 0);
      const newWidth = Math.min(MOST_WIDE, Math.ceil(longest) + room), column = api?.getColumn(key);
      return column && newWidth > column.getActualWidth() ? [{ key, newWidth }] : [];
    });
    if (wider.length) api.setColumnWidths(wider);
  }
  // Which columns a person wants is kept in their browser.
  const KEPT = "hesper_columns";
  const remembered = (name) => { try { return JSON.parse(localStorage.getItem(name)) || null; } catch { return null; } };
  const remember = (name, value) => { try { localStorage.setItem(name, JSON.stringify(value)); } catch { /* a private window keeps nothing */ } };
  function columns(causes) {
    const wanted = remembered(KEPT), asked = new URLSearchParams(location.search);
    const sorted = ({ colId }) => (colId === asked.get("sort") ? { initialSort: asked.get("descending") === "true" ? "desc" : "asc" } : {});
    const found = COLUMNS(causes).map((column) => ({ ...column, ...sorted(column), ...(wanted && !column.lockVisible ? { hide: !wanted.includes(column.colId) } : {}) }));
    chooser(found);
    return found;
  }
  function chooser(found) {
    const place = document.querySelector("[data-columns]");
    if (!place) return;
    place.replaceChildren(...found.filter((column) => !column.lockVisible).map((column) => {
      const label = node("label", "check"), tick = node("input");
      tick.type = "checkbox";
      tick.checked = !column.hide;
      tick.addEventListener("change", () => {
        api?.setColumnsVisible([column.colId], tick.checked);
        remember(KEPT, api.getColumns().filter((each) => each.isVisible()).map((each) => each.getColId()));
      });
      label.append(tick, column.headerName);
      return label;
    }));
  }

  // A selection is some rows, or all that match; the server holds it and answers with its name.
  const held = () => (all ? { filter: Object.fromEntries(filters()) } : { ids: (api?.getSelectedRows() || []).map((row) => row.id) });
  async function hold() {
    const answer = await fetch("/console/selections", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(held()) });
    if (!answer.ok) throw new Error((await answer.json()).error);
    return (await answer.json()).id;
  }
  function selection() {
    const bar = document.querySelector("[data-selection]"), count = all ? matching : api?.getSelectedRows().length || 0;
    if (!bar) return;
    bar.hidden = !count;
    const said = (number) => number.toLocaleString(window.hesperNumbers);
    bar.querySelector("[data-selected]").textContent = hesperSay("{count} selected", { count: said(count) });
    const every = bar.querySelector("[data-select-all]");
    every.textContent = hesperSay("Select all {count} matching", { count: said(matching) });
    every.hidden = all || count >= matching;
  }
  const none = () => { all = false; api?.deselectAll(); selection(); };
  document.addEventListener("click", async (event) => {
    const at = (name) => event.target.closest?.(`[${name}]`);
    if (at("data-select-all")) { all = true; selection(); }
    if (at("data-select-none")) none();
    const act = at("data-with-selection"), csv = at("data-export");
    if (!act && !csv) return;
    try {
      const id = await hold();
      if (csv) location.assign(`/console/selections/${id}.csv`);
      else {
        const target = new URL(act.dataset.withSelection, location.href);
        target.searchParams.set("selection", id);
        window.emitEvent("sub_pages_navigate", target.pathname + target.search);
      }
    } catch (failure) { told("error", String(failure.message)); }
  });

  // Filters become part of the address; views that a person has named are kept in their browser.
  const VIEWS = "hesper_views";
  document.addEventListener("submit", (event) => {
    const form = event.target.closest?.("[data-filters]");
    if (!form) return;
    event.preventDefault();
    const url = new URL(location.href);
    for (const [name, value] of new FormData(form)) value.trim() ? url.searchParams.set(name, value.trim()) : url.searchParams.delete(name);
    window.emitEvent("sub_pages_navigate", url.pathname + url.search);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-view-drop]")) {
      event.preventDefault();
      event.stopImmediatePropagation();
      const name = event.target.closest("[data-view-drop]").dataset.viewDrop;
      remember(VIEWS, (remembered(VIEWS) || []).filter((view) => view.name !== name));
      views();
      return;
    }
    if (!event.target.closest?.("[data-view-save]")) return;
    const name = prompt(hesperSay("Name of this view"))?.trim().slice(0, 40);
    if (!name) return;
    remember(VIEWS, [...(remembered(VIEWS) || []).filter((view) => view.name !== name), { name, search: location.search }].slice(-12));
    views();
  }, true);
  function views() {
    const place = document.querySelector("[data-views]");
    place?.replaceChildren(...(remembered(VIEWS) || []).map((view) => {
      const chip = node("a", "chip", view.name), cross = node("span", "", "×");
      chip.href = `/meters${view.search}`;
      if (view.search === location.search) chip.setAttribute("aria-current", "true");
      cross.dataset.viewDrop = view.name;
      cross.setAttribute("role", "button");
      cross.setAttribute("aria-label", hesperSay("forget this view"));
      chip.append(cross);
      return chip;
    }));
  }

  const source = {
    rowCount: undefined,
    async getRows(params) {
      try {
        const page = await rows(params.startRow, params.endRow - params.startRow, params.sortModel[0]);
        counted(page.total);
        params.successCallback(page.rows, page.total);
        fit(page.rows);
      } catch { failed(); params.failCallback(); }
    },
  };

  function open(id) { window.emitEvent("sub_pages_navigate", `/meters/${encodeURIComponent(id)}`); }

  async function cards(append) {
    const host = document.querySelector("[data-cards]");
    if (!host) return;
    const mine = ++generation, from = append ? host.childElementCount : 0;
    try {
      const page = await rows(from, CARDS);
      if (mine !== generation) return;
      const drawnCards = page.rows.map((row) => {
        const card = link(row);
        card.className = "card";
        card.textContent = "";
        const top = node("span", "top");
        top.append(node("span", "", row.id), marked(row.state.mark, row.state.word));
        const bottom = node("span", "meta", `${hesperSay("Relay {word} · last contact", { word: row.relay.word })} `);
        bottom.append(ago(row.last_contact));
        card.append(top, node("span", "meta", [row.customer, row.address].filter(Boolean).join(" · ") || row.gateway), bottom);
        return card;
      });
      append ? host.append(...drawnCards) : host.replaceChildren(...drawnCards);
      counted(page.total);
      document.querySelector("[data-cards-more]").hidden = host.childElementCount >= page.total;
    } catch { failed(); }
  }

  const phone = matchMedia("(max-width: 720px)");
  const reload = () => { if (phone.matches) cards(false); else api?.purgeInfiniteCache(); };
  let waiting = 0;
  // What is typed and sorted by stands in the address: it outlives a reload, and a saved view has it.
  function address(parts) {
    const url = new URL(location.href);
    for (const [name, value] of Object.entries(parts)) value ? url.searchParams.set(name, value) : url.searchParams.delete(name);
    if (url.href !== location.href && url.pathname === "/meters") history.replaceState({ page: url.pathname + url.search }, "", url);
  }
  const search = () => {
    address({ q: document.querySelector("[data-search]")?.value });
    if (filters().toString() === shown) return;
    none(); // what was chosen is of the list before
    reload();
  };
  document.addEventListener("input", (event) => {
    if (!event.target.matches?.("[data-search]")) return;
    clearTimeout(waiting);
    waiting = setTimeout(search, 180);
  });
  document.addEventListener("click", (event) => { if (event.target.closest?.("[data-cards-more]")) cards(true); });
  phone.addEventListener("change", () => document.querySelector("[data-cards]") && reload());
  setInterval(() => {
    if (document.hidden || document.documentElement.dataset.link !== "live" || !document.querySelector("[data-cards]")) return;
    if (!phone.matches) api?.refreshInfiniteCache();
  }, 15000);

  // The grid's library is fetched while nobody waits for it: the first list opens as soon as every other.
  addEventListener("load", () => setTimeout(() => {
    const { imports } = JSON.parse(document.querySelector("script[type=importmap]")?.textContent || "{}");
    if (phone.matches || !imports?.["nicegui-aggrid"]) return;
    const library = node("link");
    library.rel = "modulepreload";
    library.href = imports["nicegui-aggrid"];
    document.head.append(library);
  }, LATER_MS));

  window.hesperGrid = {
    columns, source, block: BLOCK,
    sorted(params) {
      const by = params.api.getColumnState().find((column) => column.sort);
      address({ sort: by?.colId, descending: by?.sort === "desc" ? "true" : "" });
      views();
    },
    // Who types before the grid is there has searched all the same.
    chosen() { all = false; selection(); },
    ready(params) { api = params.api; all = false; views(); if (phone.matches) cards(false); search(); },
    pressed(params) { if (params.event.key === "Enter" && params.data) open(params.data.id); },
    clicked(params) { if (params.data && !params.event.target.closest("a, input, .ag-selection-checkbox")) open(params.data.id); },
  };
})();
