// Keyboard first.  j and k walk the rows, Enter opens one, / goes to the search, g and a letter to
// a page, ? shows all.  Other letters belong to the page: an element with data-key="a" is pressed
// by a, in the row the reader is at if it is there, else anywhere on the page.
// Single letters can be switched off in the help (WCAG 2.1.4).

import { chooseUpTo } from "./choose.js";

const off = "bailey.keys.off";
let prefix = "";

const rows = () => Array.from(document.querySelectorAll("[data-row]"));
const here = () => document.querySelector("[data-row].is-at");
let at = ""; // id of the row the reader is at; it outlives a refresh of the list

function go(row) {
  here()?.classList.remove("is-at");
  if (!row) return;
  at = row.id;
  row.classList.add("is-at");
  row.querySelector("a.open")?.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const all = rows();
  const index = all.indexOf(here());
  go(all[index < 0 ? 0 : Math.min(all.length - 1, Math.max(0, index + by))]);
}

function press(element) {
  if (!element) return false;
  if (element.matches("input:not([type=checkbox]), textarea, select")) element.focus();
  else element.click();
  return true;
}

function help() {
  const dialog = document.getElementById("keys");
  const list = dialog.querySelector("[data-page-keys]");
  list.replaceChildren();
  for (const element of document.querySelectorAll("[data-key][data-key-does]")) {
    const key = document.createElement("kbd");
    key.textContent = element.dataset.key;
    if (list.querySelector(`[data-for="${element.dataset.key}"]`)) continue;
    const term = document.createElement("dt");
    term.dataset.for = element.dataset.key;
    term.append(key);
    const does = document.createElement("dd");
    does.textContent = element.dataset.keyDoes;
    list.append(term, does);
  }
  dialog.querySelector("[name=keys]").checked = !localStorage.getItem(off);
  dialog.showModal();
}

function chooseTo() {
  const box = here()?.querySelector("[data-choose]");
  if (box) chooseUpTo(box);
}

const own = { j: () => step(1), k: () => step(-1), X: chooseTo, "?": help };

function handle(key) {
  if (prefix === "g") {
    prefix = "";
    return press(document.querySelector(`[data-go="${CSS.escape(key)}"]`));
  }
  if (key === "g") {
    prefix = "g";
    setTimeout(() => { prefix = ""; }, 1500);
    return true;
  }
  if (own[key]) {
    own[key]();
    return true;
  }
  const find = `[data-key="${CSS.escape(key)}"]`;
  return press(here()?.querySelector(find) ?? document.querySelector(find));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if (localStorage.getItem(off) && event.key !== "?") return;
  if (event.key.length === 1 && handle(event.key)) event.preventDefault();
});

document.addEventListener("focusin", (event) => {
  const row = event.target.closest("[data-row]");
  if (row && row !== here()) {
    here()?.classList.remove("is-at");
    row.classList.add("is-at");
    at = row.id;
  }
});

document.addEventListener("change", (event) => {
  if (!event.target.matches("#keys [name=keys]")) return;
  if (event.target.checked) localStorage.removeItem(off);
  else localStorage.setItem(off, "1");
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-show-keys]")) help();
});

document.addEventListener("htmx:afterSettle", () => {
  if (at && !here()) document.getElementById(at)?.classList.add("is-at");
});
