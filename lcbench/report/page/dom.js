"use strict";

// Elements and text. Text enters as text nodes alone: nothing that a run says is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

function make(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const el = (name, attributes = {}, ...children) => make(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) => make(document.createElementNS(SVG, name), attributes, children);

// Text as it was said, with what cannot be seen made visible: control characters, marks that turn the direction of
// writing, and halves of surrogate pairs.
function visible(text) {
  const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
  return text.replace(hidden, (c) => `⟨U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

const figure = (value, digits = 1) => (value === null || value === undefined ? "n/a" : value.toFixed(digits));
const signed = (value) => {
  const size = Math.abs(value).toFixed(1);
  return size === "0.0" ? size : (value < 0 ? "−" : "+") + size;
};
const interval = (low, high, show = figure) => `[${show(low)}, ${show(high)}]`;
const significant = (value) => (value >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3))));
const pValue = (p) => (p < 0.001 ? "< 0.001" : p.toFixed(3));

// A labelled choice. options: [value, text]; change is called with the chosen value.
function choice(label, id, options, change, attributes = {}) {
  const select = el("select", { id, onchange: () => change(select.value) },
    options.map(([value, text]) => el("option", { value }, text)));
  return el("label", { for: id, ...attributes }, label, select);
}

// header and rows are texts; a column whose body is all figures stands to the right.
function table(header, rows, attributes = {}) {
  const isNumber = header.map((_, k) => rows.length > 0 && rows.every((row) => /^([−+<]? ?[\d.,]|n\/a)/.test(String(row[k]))));
  const side = (k) => (isNumber[k] ? { class: "number" } : {});
  return el("div", { class: "box", tabindex: 0, role: "region", "aria-label": attributes.label ?? "Table" },
    el("table", {},
      el("thead", {}, el("tr", {}, header.map((text, k) => el("th", { scope: "col", ...side(k) }, text)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((text, k) => el("td", side(k), text)))))));
}

// The same figures as text, closed until asked for and made only then.
function asTable(header, rows, label) {
  const details = el("details", { class: "table" }, el("summary", {}, "These figures as a table"));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(table(header, rows(), { label }));
  });
  return details;
}

// Draw into a box at its own width, so that text keeps its size on a phone; again where the width changes.
function responsive(draw) {
  const box = el("div", { class: "chart" });
  let width = 0;
  new ResizeObserver(() => {
    const now = Math.round(box.clientWidth);
    if (now === width || now === 0) return;
    width = now;
    box.replaceChildren(draw(width));
  }).observe(box);
  return box;
}
