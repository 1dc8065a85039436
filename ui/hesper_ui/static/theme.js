// Runs before the first paint: the chosen theme (dark, light or system) is on <html> before anything is drawn.
(() => {
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
