// Heat-maps are tables: a figure stands in every cell, and the colour only helps to find it.

// Viridis (Smith and van der Walt 2015), nine of its colours from 0 to 100.
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];

function fill(score) {
  const at = Math.min(score, 99.999) / 100 * (VIRIDIS.length - 1), k = Math.floor(at), part = at - k;
  const rgb = VIRIDIS[k].map((v, i) => Math.round(v + (VIRIDIS[k + 1][i] - v) * part));
  const linear = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]; // relative luminance of WCAG 2
  return { "--fill": `rgb(${rgb.join(" ")})`, "--on": light > 0.179 ? "#000" : "#fff" };
}

// rows and columns: {value, name}. cell(row, column) -> {score, small, told, open} or null; open makes it a button.
function heatmap(system, name, corner, rows, columns, cell) {
  const shown = (row, column) => {
    const found = cell(row.value, column.value);
    if (!found) return el("span", { class: "absent" }, "·");
    const content = [figure(found.score), found.small ? el("small", {}, found.small) : null];
    const look = found.score === null ? { class: "absent" } : { class: "filled", ...fill(found.score) };
    const told = visible(found.told);
    if (!found.open) return el("span", { title: told, ...look }, content);
    return el("button", { type: "button", title: told, "aria-label": told, onclick: found.open, ...look }, content);
  };
  return el("figure", { "data-system": system },
    el("h3", {}, key(system, name)),
    el("div", { class: "box", tabindex: 0, role: "region", "aria-label": visible(name) }, el("table", { class: "map" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, el("span", { class: "quiet" }, corner)), columns.map((c) => el("th", { scope: "col" }, c.name)))),
      el("tbody", {}, rows.map((row) => el("tr", {},
        el("th", { scope: "row" }, visible(row.name)),
        columns.map((column) => el("td", {}, shown(row, column)))))))));
}

function ramp() {
  const steps = [0, 12.5, 25, 37.5, 50, 62.5, 75, 87.5, 100];
  return el("p", { class: "ramp", "aria-hidden": "true" }, "0", el("span", {}, steps.map((s) => el("i", fill(s)))), "100");
}
