// Dark where the address says so, or else the reader's system; before anything is painted.
const asked = new URLSearchParams(location.search).get("__theme");
const dark = asked ? asked === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.dataset.theme = dark ? "dark" : "light";
