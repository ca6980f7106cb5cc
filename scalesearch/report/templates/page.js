"use strict";
(() => {
  const value = (row, column) => {
    const cell = row.cells[column];
    const own = cell.dataset.value;
    if (own !== undefined) return own === "" ? null : Number(own);
    return cell.textContent.trim().toLowerCase();
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));

  const sortBy = (table, header, column) => {
    const rising = header.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((one, two) => {
      const [a, b] = [value(one, column), value(two, column)];
      if (a === null || b === null) return (a === null) - (b === null);
      return rising ? compare(a, b) : compare(b, a);
    });
    body.append(...rows);
  };

  const filterFor = (table) => {
    const label = document.createElement("label");
    const field = document.createElement("input");
    const count = document.createElement("span");
    field.type = "search";
    count.setAttribute("role", "status");
    field.addEventListener("input", () => {
      const wanted = field.value.trim().toLowerCase();
      let shown = 0;
      for (const row of table.tBodies[0].rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted);
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = wanted ? ` ${shown} of ${table.tBodies[0].rows.length} networks` : "";
    });
    label.append("Show only networks with: ", field);
    const line = document.createElement("p");
    line.className = "filter";
    line.append(label, count);
    return line;
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sortBy(table, header, column));
      header.append(button);
    });
    table.parentElement.before(filterFor(table));
  }

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  const tell = (link) => {
    const row = document.getElementById(link.getAttribute("href").slice(1));
    if (!row) return;
    const heads = row.closest("table").tHead.rows[0].cells;
    tip.replaceChildren();
    [...row.cells].forEach((cell, i) => {
      if (!cell.textContent.trim()) return;
      const name = document.createElement("b");
      name.textContent = `${heads[i].textContent.trim()} `;
      const line = document.createElement("div");
      line.append(name, cell.textContent.trim());
      tip.append(line);
    });
    const box = link.getBoundingClientRect();
    tip.hidden = false;
    tip.style.left = `${Math.max(4, Math.min(box.right + 8, window.innerWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${Math.max(4, Math.min(box.top, window.innerHeight - tip.offsetHeight - 4))}px`;
  };
  for (const link of document.querySelectorAll("figure a")) {
    for (const name of ["mouseenter", "focus"]) link.addEventListener(name, () => tell(link));
    for (const name of ["mouseleave", "blur"]) link.addEventListener(name, () => { tip.hidden = true; });
  }
})();
