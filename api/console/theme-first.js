// Sets the chosen theme before the first paint; theme.js takes over once the modules are loaded.
(() => {
  try {
    const theme = JSON.parse(localStorage.getItem("maskwatch.theme") ?? "null");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is forbidden here: the system's theme it is.
  }
})();
