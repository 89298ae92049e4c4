"use strict";
for (const box of document.querySelectorAll("[data-filters]")) {
  const list = document.getElementById(box.dataset.filters);
  const items = Array.from(list.children);
  const words = items.map((item) => item.textContent.toLowerCase());
  const input = box.querySelector("input");
  const said = box.querySelector("output");
  const filter = () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    items.forEach((item, i) => {
      item.hidden = !wanted.every((word) => words[i].includes(word));
      shown += item.hidden ? 0 : 1;
    });
    said.textContent = `${shown} of ${items.length} shown`;
  };
  input.addEventListener("input", filter);
  box.hidden = false;
  filter();
}
