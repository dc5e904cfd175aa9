const table = document.getElementById("classes");
const body = table.tBodies[0];
const search = document.getElementById("search");

search.addEventListener("input", () => {
  const wanted = search.value.toLowerCase();
  for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
});

for (const heading of table.tHead.rows[0].cells) {
  heading.firstElementChild.addEventListener("click", () => {
    const falling = heading.ariaSort === "ascending";
    for (const other of table.tHead.rows[0].cells) other.ariaSort = null;
    heading.ariaSort = falling ? "descending" : "ascending";
    const text = (row) => row.cells[heading.cellIndex].dataset.value ?? row.cells[heading.cellIndex].textContent;
    const rows = [...body.rows].sort((a, b) => text(a).localeCompare(text(b), undefined, { numeric: true }));
    body.append(...(falling ? rows.reverse() : rows));
  });
}
