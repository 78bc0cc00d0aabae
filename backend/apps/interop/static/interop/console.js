// Ticks every row with one box. Every page works without this file.
"use strict";
for (const box of document.querySelectorAll("[data-ticks]")) {
  box.hidden = false;
  box.addEventListener("change", () => {
    for (const row of document.querySelectorAll(`input[name="${box.dataset.ticks}"]`)) row.checked = box.checked;
  });
}
