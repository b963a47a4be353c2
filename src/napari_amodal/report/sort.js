document.querySelectorAll("th[data-sort]").forEach((head) => {
  head.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0];
    const up = head.getAttribute("aria-sort") !== "ascending";
    head.parentElement.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => row.cells[head.cellIndex].dataset.value ?? "";
    const numeric = head.dataset.sort === "number";
    [...body.rows]
      .sort((first, second) => {
        const [a, b] = up ? [key(first), key(second)] : [key(second), key(first)];
        if (!numeric) return a.localeCompare(b, undefined, { numeric: true });
        return (a === "" ? Infinity : Number(a)) - (b === "" ? Infinity : Number(b));
      })
      .forEach((row) => body.append(row));
  });
});
