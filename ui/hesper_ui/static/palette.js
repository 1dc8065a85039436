// Work by keys: the command palette (Ctrl+K), shortcuts, the help that lists them, and where the focus stays.
// Everything shown is a text node.
(() => {
  const node = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const go = (address) => window.emitEvent("sub_pages_navigate", address);
  const holder = (event) => event.target.closest?.("input, textarea, select, [contenteditable], .q-dialog, dialog");
  const typing = (event) => holder(event)?.checkVisibility(); // a dialog that has just been closed may hold the focus yet
  let asked = 0, waiting = 0, found = [], at = 0, answered = null; // `found` is the answer to that text

  function dialog(name, label) {
    const element = node("dialog", name);
    element.setAttribute("aria-label", label);
    element.addEventListener("click", (event) => { if (event.target === element) element.close(); });
    document.body.append(element);
    return element;
  }

  const box = dialog("palette", hesperSay("Go to"));
  const field = node("input", "native"), list = node("ul"), said = node("p", "visually-hidden");
  field.type = "search";
  field.maxLength = 100;
  field.autocomplete = "off";
  field.placeholder = hesperSay("Page, serial, customer, gateway …");
  for (const [name, value] of Object.entries({ role: "combobox", "aria-expanded": "true", "aria-controls": "palette-list", "aria-label": hesperSay("Go to") })) field.setAttribute(name, value);
  list.id = "palette-list";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", hesperSay("Found"));
  said.setAttribute("role", "status");
  box.append(field, list, said);

  function draw() {
    list.replaceChildren(...found.map((each, index) => {
      const row = node("li", index === at ? "here" : "");
      row.id = `palette-${index}`;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", String(index === at));
      row.append(node("span", "", each.title), node("span", "meta", each.note));
      row.addEventListener("click", () => choose(index));
      return row;
    }));
    field.setAttribute("aria-activedescendant", found.length ? `palette-${at}` : "");
    list.children[at]?.scrollIntoView({ block: "nearest" });
    said.textContent = found.length ? "" : hesperSay("Nothing found.");
  }
  function choose(index) {
    const chosen = found[index];
    if (!chosen) return;
    box.close();
    go(chosen.address);
  }
  async function look() {
    const mine = ++asked, text = field.value;
    try {
      const answer = await fetch(`/console/search?q=${encodeURIComponent(text)}`, { cache: "no-store" });
      const rows = answer.ok ? (await answer.json()).found : [];
      if (mine !== asked) return;
      found = rows;
      answered = text;
    } catch { found = []; }
    at = 0;
    draw();
  }
  async function enter() {
    if (answered !== field.value) { clearTimeout(waiting); await look(); } // not what was found for the first letters
    if (box.open && answered === field.value) choose(at);
  }
  field.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(look, 120); });
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); at = Math.min(found.length - 1, Math.max(0, at + step)); draw(); }
    if (event.key === "Enter") { event.preventDefault(); enter(); }
  });
  function open() {
    if (box.open) return;
    field.value = "";
    found = [];
    answered = null;
    draw();
    box.showModal();
    field.focus();
    look();
  }

  const HELP = [
    ["Ctrl K", hesperSay("go anywhere: pages, meters, gateways")],
    ["/", hesperSay("search in this list")],
    ["j  k", hesperSay("next and previous row")],
    ["x", hesperSay("mark a row")],
    ["a", hesperSay("acknowledge")],
    ["s", hesperSay("shelve")],
    ["Enter", hesperSay("open the row")],
    ["Esc", hesperSay("close a dialog; nothing changes")],
    ["?", hesperSay("this help")],
  ];
  const keyed = () => [...document.querySelectorAll(".frame-nav a[data-key]")];
  const help = dialog("help", hesperSay("Shortcuts"));
  function explain() {
    const rows = [...HELP, ...keyed().map((link) => [`g  ${link.dataset.key}`, link.title])];
    const facts = node("dl", "facts");
    for (const [keys, text] of rows) {
      const term = node("dt");
      for (const key of keys.split(/\s+/)) term.append(node("kbd", "", key));
      facts.append(term, node("dd", "", text));
    }
    const close = node("button", "btn", hesperSay("Close"));
    close.type = "button";
    close.addEventListener("click", () => help.close());
    help.replaceChildren(node("h2", "", hesperSay("Shortcuts")), facts, close);
    help.showModal();
  }

  let leading = -Infinity; // when g was pressed: the next key names a place
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") { event.preventDefault(); open(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
    if (event.key === "?") { event.preventDefault(); explain(); return; }
    if (performance.now() - leading < 1200) {
      leading = -Infinity;
      const link = keyed().find((each) => each.dataset.key === event.key);
      if (link) { event.preventDefault(); event.stopImmediatePropagation(); go(link.getAttribute("href")); }
      return;
    }
    if (event.key === "g") leading = performance.now();
  }, true);
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-palette]")) open();
    if (event.target.closest?.("[data-help]")) explain();
  });
})();
