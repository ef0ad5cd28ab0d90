"use strict";
// A click sorts ascending, the next descending, the third restores the order of the paper.
// Rows without a figure stay last.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headers = [...table.tHead.rows[0].cells];
  const next = { none: "ascending", ascending: "descending", descending: "none" };

  const key = (row, column) => {
    const cell = row.cells[column];
    if (!cell || cell.dataset.sort === "") return null;
    return cell.dataset.sort === undefined ? cell.textContent.trim() : Number(cell.dataset.sort);
  };
  const compare = (a, b) =>
    typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });

  const sort = (column, direction) => {
    if (direction === "none") return original;
    const sign = direction === "ascending" ? 1 : -1;
    const filled = original.filter((row) => key(row, column) !== null);
    const empty = original.filter((row) => key(row, column) === null);
    return [...filled.sort((a, b) => sign * compare(key(a, column), key(b, column))), ...empty];
  };

  headers.forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => {
      const direction = next[header.getAttribute("aria-sort")];
      headers.forEach((other) => other.setAttribute("aria-sort", "none"));
      header.setAttribute("aria-sort", direction);
      body.append(...sort(column, direction));
    });
  });
}
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
