// Light, dark or the system's choice.  A classic script in <head>, so that the stored choice is set
// before the first paint (a module would run too late and flash).
(() => {
  const root = document.documentElement;
  const name = "bailey.theme";

  function apply(theme) {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  }

  function isDark() {
    if (root.dataset.theme) return root.dataset.theme === "dark";
    return matchMedia("(prefers-color-scheme: dark)").matches;
  }

  apply(localStorage.getItem(name));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-set-theme]");
    if (!button) return;
    const wish = button.dataset.setTheme;
    const theme = wish === "other" ? (isDark() ? "light" : "dark") : wish;
    if (theme === "system") localStorage.removeItem(name);
    else localStorage.setItem(name, theme);
    apply(theme);
  });
})();
