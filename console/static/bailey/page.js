// What every page needs: local times, dialogs, menus, toasts.  Everything works without it; this
// makes it quicker.
import "./choose.js";
import "./keys.js";
import { connect } from "./live.js";

const day = { day: "numeric", month: "short" };
const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const shapes = {
  clock: { ...clock, second: "2-digit" },
  minute: clock,
  day: { ...day, year: "numeric" },
  full: { ...day, year: "numeric", ...clock },
};
// The page's own language; of English the European way to write a date.
const language = document.documentElement.lang || "en";
const dates = language === "en" ? "en-GB" : language;
const relative = new Intl.RelativeTimeFormat(language, { numeric: "always", style: "short" });
const now = new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(0, "second");
const steps = [["day", 86400], ["hour", 3600], ["minute", 60]];

/** "8 min ago", "in 2 hr"; "now" under a minute. */
export function age(then, at = Date.now()) {
  const seconds = Math.round((then - at) / 1000);
  for (const [unit, size] of steps) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return now;
}

/** Writes every <time data-moment> below `root` in the reader's own time zone. */
function writeTimes(root) {
  for (const element of root.querySelectorAll("time[data-moment]")) {
    const when = new Date(element.dateTime);
    const shape = shapes[element.dataset.moment];
    element.textContent = shape ? new Intl.DateTimeFormat(dates, shape).format(when) : age(when.getTime());
    element.title = new Intl.DateTimeFormat(dates, { dateStyle: "full", timeStyle: "long" }).format(when);
  }
}

export function say(text) {
  const line = document.getElementById("said");
  if (line) line.textContent = text;
}

function showDialog(dialog) {
  if (!dialog.open) dialog.showModal();
  const field = "form input:not([type=hidden]), form textarea, form select";
  const first = dialog.querySelector(field) ?? dialog.querySelector(".btn.primary");
  first?.focus();
}

document.addEventListener("htmx:afterSwap", (event) => {
  writeTimes(event.detail.target);
  if (event.detail.target.id === "dialog") showDialog(event.detail.target);
});

document.addEventListener("click", (event) => {
  const dialog = event.target.closest("dialog");
  if (dialog && (event.target === dialog || event.target.closest("[data-close]"))) {
    event.preventDefault();
    dialog.close();
  }
  event.target.closest("[data-dismiss]")?.closest(".toast")?.remove();
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) navigator.clipboard.writeText(copy.dataset.copy).then(() => say("Copied."));
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// A form that is on its way is not sent twice; the server has its own guard, this is courtesy.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  else if (event.target.method === "post") event.target.dataset.sent = "1";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

writeTimes(document);
setInterval(() => writeTimes(document), 30_000);
connect(document.body.dataset.live);
