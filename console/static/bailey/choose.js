// Rows that are chosen for one act: x chooses the row the reader is at, shift and x all from the
// last one chosen to here, * all that are shown.  The choice outlives a refresh of the list.
import { say } from "./page.js";

const chosen = new Set(); // ids of checkboxes
let last = "";

const boxes = () => Array.from(document.querySelectorAll("[data-choose]"));

function put(box, on) {
  box.checked = on;
  if (on) chosen.add(box.id);
  else chosen.delete(box.id);
}

function show() {
  const all = boxes();
  const n = all.filter((box) => box.checked).length;
  const whole = document.querySelector("[data-choose-all]");
  if (whole) {
    whole.hidden = false;
    whole.checked = n > 0 && n === all.length;
    whole.indeterminate = n > 0 && n < all.length;
  }
  const button = document.querySelector("[data-chosen]");
  if (button) {
    button.disabled = n === 0;
    const does = button.dataset.chosen || "Act on";
    button.textContent = n ? `${does} ${n} chosen` : `${does} chosen`;
  }
  return n;
}

/** Choose every row from the last one chosen to this one. */
export function chooseUpTo(box) {
  const all = boxes();
  const ends = [all.findIndex((each) => each.id === last), all.indexOf(box)];
  const [from, to] = ends[0] < 0 ? [ends[1], ends[1]] : ends.sort((a, b) => a - b);
  for (const each of all.slice(from, to + 1)) put(each, true);
  last = box.id;
  say(`${show()} chosen.`);
}

document.addEventListener("change", (event) => {
  const box = event.target;
  if (box.matches("[data-choose]")) {
    put(box, box.checked);
    last = box.id;
  } else if (box.matches("[data-choose-all]")) {
    for (const each of boxes()) put(each, box.checked);
  } else return;
  say(`${show()} chosen.`);
});

document.addEventListener("htmx:afterSettle", () => {
  const all = boxes();
  for (const id of chosen) if (!all.some((box) => box.id === id)) chosen.delete(id);
  for (const box of all) box.checked = chosen.has(box.id);
  show();
});

// A browser that comes back to the page has kept its ticks.
addEventListener("pageshow", () => {
  for (const box of boxes()) put(box, box.checked);
  show();
});
