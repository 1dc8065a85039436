// A part of a page that is drawn anew: what is under the hand stays under it.
(() => {
  const named = (element) => element.getAttribute("aria-label") || element.textContent;
  // Who works by keys stays where they are: what is drawn anew under the focus gives it to its like,
  // what is gone or held, as after a dialog that has acted, to the title of the page.
  let last = null;
  const reachable = (element) => element.isConnected && !element.disabled && element.checkVisibility();
  document.addEventListener("focusin", ({ target }) => {
    if (!target.closest(".q-dialog, dialog")) last = { target, name: named(target), area: target.closest(".live-area") };
  });
  setInterval(() => {
    if (!last || reachable(last.target) || document.activeElement !== document.body || document.querySelector(".q-dialog, dialog[open]")) return;
    const alike = [...(last.area?.querySelectorAll(last.target.tagName) || [])];
    const twin = alike.find((each) => named(each) === last.name && reachable(each));
    last = null;
    (twin || document.querySelector("#content h1"))?.focus({ preventScroll: true });
  }, 150);
  // A menu that is open stays so when the part around it is drawn anew.
  const title = (menu) => menu.querySelector("summary").textContent;
  document.addEventListener("toggle", ({ target }) => {
    const area = target.matches("details.menu") && target.open && target.closest(".live-area");
    if (!area) return;
    const name = title(target);
    new MutationObserver((_, watching) => {
      if (target.isConnected) return;
      const twin = target.open && [...area.querySelectorAll("details.menu")].find((each) => title(each) === name);
      if (twin) twin.open = true;
      if (twin || !target.open) watching.disconnect();
    }).observe(area, { childList: true, subtree: true });
  }, true);
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && event.target.closest?.("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  // A press that a new drawing cuts in two is a click still, upon what was pressed: on the server the drawing
  // before goes on hearing for a while. What is under the pointer by then must bear the same words.
  const PRESSED = "button, a, summary";
  let press = null;
  document.addEventListener("pointerdown", ({ target, pointerType }) => {
    const pressed = pointerType === "mouse" && target.closest?.(PRESSED);
    press = pressed && { pressed, name: named(pressed), area: pressed.closest(".live-area") };
  }, true);
  document.addEventListener("pointerup", ({ target }) => {
    const isCut = press?.area && !press.pressed.isConnected && press.area.contains(target);
    const twin = isCut && document.documentElement.dataset.link === "live" && target.closest(PRESSED);
    if (twin && named(twin) === press.name && !twin.disabled) (twin.matches("summary") ? twin : press.pressed).click();
    press = null;
  }, true);
  // The second press of a double click is for what the first was: not for a button that came there meanwhile,
  // as the next row does where the first one left the list.
  let first = null;
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".live-area button");
    if (event.detail < 2) first = button;
    else if (button && button !== first) { event.preventDefault(); event.stopImmediatePropagation(); }
  }, true);
})();
