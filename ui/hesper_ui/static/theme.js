// Runs before the first paint: the chosen theme (dark, light or system) is on <html> before anything is drawn.
(() => {
  // The page's language and the words of our scripts, in that language, stand in its head.
  const words = JSON.parse(document.getElementById("hesper-words")?.textContent || "{}");
  window.hesperTag = document.querySelector("meta[name=hesper-language]")?.content || "en-GB";
  document.documentElement.lang = window.hesperTag;
  // The signs of numbers and the units may be chosen apart from the language.
  window.hesperNumbers = document.querySelector("meta[name=hesper-numbers]")?.content || window.hesperTag;
  window.hesperUnits = document.querySelector("meta[name=hesper-units]")?.content || "auto";
  window.hesperSay = (english, values) => (words[english] || english).replace(/\{(\w+)\}/g, (_, name) => values?.[name] ?? "");
  document.addEventListener("click", (event) => {
    for (const kept of ["language", "decimal", "units"]) {
      const chosen = event.target.closest?.(`[data-${kept}-choice]`)?.getAttribute(`data-${kept}-choice`);
      if (!chosen) continue;
      document.cookie = `hesper_${kept}=${chosen}; path=/; max-age=31536000; samesite=strict`;
      location.reload();
    }
  });
  const chosen = () => (document.cookie.match(/(?:^|; )hesper_theme=(dark|light)/) || [])[1] || "system";
  const paint = (theme) => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-theme-choice]"))
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === theme));
  };
  window.hesperTheme = {
    choose(theme) {
      const age = theme === "system" ? 0 : 31536000;
      document.cookie = `hesper_theme=${theme}; path=/; max-age=${age}; samesite=strict`;
      paint(theme);
    },
    show: () => paint(chosen()),
  };
  paint(chosen());
  document.addEventListener("click", (event) => {
    const choice = event.target.closest?.("[data-theme-choice]");
    if (choice) window.hesperTheme.choose(choice.dataset.themeChoice);
  });
})();
