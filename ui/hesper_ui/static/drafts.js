// What was typed and not sent outlives a page that is loaded anew: a session that ended, a server that was started
// again, another language. It is kept for this tab and this person, and shown to be copied; no form is filled by
// itself, since nobody knows whether what it says still holds. Secrets and what a list is searched for are left out.
(() => {
  const KEY = "hesper_drafts", LOOK_MS = 300, MOST = 16000;
  const NOT = "[type=password], [type=search], [type=file], [autocomplete=one-time-code], [role=search] *, [data-filters] *, dialog *, [readonly]";
  const { node } = window.hesperLive, typed = new Set();
  const who = () => document.querySelector("[data-who]")?.dataset.who;
  const title = (field) => field.getAttribute("aria-label") || field.closest("label")?.querySelector("span")?.textContent || field.name;
  const read = () => { try { return JSON.parse(sessionStorage.getItem(KEY)); } catch { return null; } };
  const write = (kept) => { try { kept ? sessionStorage.setItem(KEY, JSON.stringify(kept)) : sessionStorage.removeItem(KEY); } catch { /* a private window keeps nothing */ } };

  document.addEventListener("input", ({ target }) => {
    if (target.matches("input, textarea") && !target.matches(NOT)) typed.add(target);
  }, true);
  addEventListener("pagehide", () => {
    const left = [...typed].filter((field) => field.isConnected && field.value.trim()).map((field) => [title(field), field.value.slice(0, MOST)]);
    if (left.length && who()) write({ who: who(), texts: { ...read()?.texts, ...Object.fromEntries(left) } });
  });

  function show(texts) {
    const box = node("details", "drafts panel"), list = node("dl", "facts"), discard = node("button", "btn small", hesperSay("Discard"));
    for (const [index, [name, text]] of Object.entries(texts).entries()) {
      const copy = node("button", "btn small", hesperSay("Copy")), called = node("dt", "", name), said = node("dd");
      called.id = `draft-${index}`;
      copy.setAttribute("aria-describedby", called.id);
      copy.addEventListener("click", () => navigator.clipboard?.writeText(text));
      said.append(node("span", "written", text), copy);
      list.append(called, said);
    }
    discard.addEventListener("click", () => { write(null); box.remove(); });
    box.open = true;
    box.append(node("summary", "", hesperSay("Written before this page was loaded again, and perhaps not sent")), list, discard);
    document.body.append(box);
  }

  // The frame around the page says who is there, once it is drawn.
  const kept = read(), looking = kept && setInterval(() => {
    if (!who()) return;
    clearInterval(looking);
    if (who() === kept.who) show(kept.texts);
    else write(null);
  }, LOOK_MS);
})();
