// Live updates.  A message says only {"type": "changed", "what": "incident", "id": "…"}; the page
// then fetches what it shows again, so that permission is checked in one place, on the server.
//
// An element that wants to follow has data-live="incident" (any) or data-live="incident:<id>",
// an hx-get for itself and hx-trigger="live".

const pause_ms = 1200; // at most one fetch of an element in this time, however much changes
const waiting = new Set();
let timer = 0;

function follows(element, change) {
  const words = element.dataset.live.split(" ");
  return words.includes(change.what) || words.includes(`${change.what}:${change.id}`);
}

/** Never under the reader's hands: not while a dialog is open or she types in the element. */
function isBusy(element) {
  const active = document.activeElement;
  return Boolean(document.querySelector("dialog[open]"))
    || (element.contains(active) && active.matches("input, textarea, select"));
}

function flush() {
  timer = 0;
  for (const element of waiting) {
    if (!element.isConnected) waiting.delete(element);
    else if (!document.hidden && !isBusy(element)) {
      waiting.delete(element);
      window.htmx.trigger(element, "live");
    }
  }
  if (waiting.size) timer = setTimeout(flush, pause_ms);
}

function wake(element) {
  waiting.add(element);
  timer ||= setTimeout(flush, pause_ms / 4);
}

// What was fetched by the clock, or before she began to write, is thrown away and fetched later: the
// fetch itself still says that she is here.
document.addEventListener("htmx:beforeSwap", (event) => {
  const element = event.detail.requestConfig.elt;
  if (!element.matches("[data-live]") || !isBusy(element)) return;
  event.detail.shouldSwap = false;
  wake(element);
});

export function changed(change) {
  for (const element of document.querySelectorAll("[data-live]:not(body)")) {
    if (!change || follows(element, change)) wake(element);
  }
}

function show(state, text) {
  const light = document.getElementById("live");
  if (!light || light.dataset.state === state) return;
  light.dataset.state = state;
  light.textContent = text;
}

/** Keeps one socket open; after a break everything is fetched once, for nothing is replayed. */
export function connect(path) {
  if (!path) return;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  let tries = 0;
  let wasOpen = false;
  (function open() {
    const socket = new WebSocket(`${scheme}://${location.host}${path}`);
    socket.onopen = () => {
      show("on", "Live");
      if (wasOpen) changed(null);
      wasOpen = true;
      tries = 0;
    };
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "changed") changed(message);
    };
    socket.onclose = (event) => {
      if (event.code === 4401) {
        location.reload(); // signed out meanwhile: the server shows the way in
        return;
      }
      show("off", "Reconnecting");
      const wait_ms = Math.min(30_000, 500 * 2 ** tries) * (0.7 + 0.6 * Math.random());
      tries += 1;
      setTimeout(open, wait_ms);
    };
  })();
}

// Rows that were not there before a refresh are tinted for a moment.
let known = new Set();
document.addEventListener("htmx:beforeSwap", (event) => {
  const rows = event.detail.target.querySelectorAll("[data-row]");
  known = new Set(Array.from(rows, (row) => row.id));
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.requestConfig?.triggeringEvent?.type !== "live" || !known.size) return;
  const fresh = Array.from(document.querySelectorAll("[data-row]")).filter((row) => !known.has(row.id));
  for (const row of fresh) row.classList.add("is-new");
  const line = document.getElementById("said");
  if (fresh.length && line) line.textContent = `${fresh.length} new: ${fresh[0].querySelector("a.open")?.textContent}`;
});
