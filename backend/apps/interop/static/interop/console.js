// Ticks every row with one box, and looks again at what is still running. Every page works without this file.
"use strict";
for (const box of document.querySelectorAll("[data-ticks]")) {
  box.hidden = false;
  box.addEventListener("change", () => {
    for (const row of document.querySelectorAll(`input[name="${box.dataset.ticks}"]`)) row.checked = box.checked;
  });
}
// Looks again at a page that shows how far something is, unless somebody is using a control on it.
for (const box of document.querySelectorAll("[data-again]")) {
  setTimeout(function again() {
    if (document.activeElement === document.body || document.activeElement === document.getElementById("content")) location.reload();
    else setTimeout(again, 1000);
  }, 1000 * Number(box.dataset.again));
}
// A part of a page that htmx fetches again waits while somebody is on a control in it, or does not look.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden || event.target.contains(document.activeElement)) event.preventDefault();
});
for (const [name, stale] of [["sendError", true], ["responseError", true], ["timeout", true], ["afterSwap", false]]) {
  document.addEventListener(`htmx:${name}`, () => {
    const told = document.getElementById("stale");
    if (told) told.hidden = !stale;
  });
}
