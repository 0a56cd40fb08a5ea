// Curves, cost and forest plots. Each is drawn for a width in pixels and gives an <svg> with a title and a description.

const COLOURS = 7;
const colour = (system) => `s${system % COLOURS}`;

// One shape a system, beside its colour.
function mark(system, x, y, r, attributes = {}) {
  const shapes = [
    "M -1 0 A 1 1 0 1 1 1 0 A 1 1 0 1 1 -1 0 Z",
    "M -.9 -.9 H .9 V .9 H -.9 Z",
    "M 0 -1.15 L 1.1 .85 H -1.1 Z",
    "M 0 -1.25 L 1.25 0 L 0 1.25 L -1.25 0 Z",
    "M 0 1.15 L 1.1 -.85 H -1.1 Z",
    "M -.4 -1.1 H .4 V -.4 H 1.1 V .4 H .4 V 1.1 H -.4 V .4 H -1.1 V -.4 H -.4 Z",
  ];
  return svg("path", { d: shapes[system % shapes.length], class: `mark ${colour(system)}`, transform: `translate(${x} ${y}) scale(${r})`, "vector-effect": "non-scaling-stroke", ...attributes });
}

function key(system, name) {
  const drawing = svg("svg", { width: 16, height: 14, viewBox: "0 0 16 14", "aria-hidden": "true" }, mark(system, 8, 7, 5));
  return el("span", { class: "key" }, drawing, visible(name));
}

const legend = (names, shown) => el("ul", { class: "legend" }, shown.map((i) => el("li", {}, key(i, names[i]))));

let drawings = 0;
function drawing(width, height, title, description, ...children) {
  const id = `drawing-${++drawings}`;
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-labelledby": `${id}-title ${id}-desc` },
    svg("title", { id: `${id}-title` }, visible(title)), svg("desc", { id: `${id}-desc` }, visible(description)), ...children);
}

const line = (x1, y1, x2, y2, attributes) => svg("line", { x1, y1, x2, y2, ...attributes });
// As much of a name as stands in so many pixels: whole it is in the title, the description and the table.
const fitted = (name, width) => {
  const most = Math.max(4, Math.floor(width / 7.5)), characters = [...visible(name)];
  return characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : characters.join("");
};
const text = (x, y, content, attributes = {}) => svg("text", { x, y, ...attributes }, content);

// Round steps over [low, high]: 1, 2 or 5 times a power of ten, about `count` of them.
function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((k) => k * power >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step);
  return found;
}

function scoreAxis(frame, y) {
  return [0, 20, 40, 60, 80, 100].flatMap((v) => [
    line(frame.left, y(v), frame.right, y(v), { class: "grid" }),
    text(frame.left - 8, y(v) + 4, v, { "text-anchor": "end", class: "tick" }),
  ]);
}

function frameOf(width, height, bottom) {
  const frame = { left: 36, right: width - 12, top: 12, bottom: height - bottom };
  const y = (score) => frame.bottom - (frame.bottom - frame.top) * score / 100;
  return [frame, y];
}

function curveChart(data, curve, width) {
  const names = data.systems.map((s) => s.name);
  const lengths = data.lengths.filter((l) => curve.points.some((p) => p.length === l.tokens));
  const height = Math.round(Math.min(400, Math.max(260, width * 0.42)));
  const [frame, y] = frameOf(width, height, 44);
  const gap = (frame.right - frame.left) / lengths.length;
  const dodge = Math.min(9, gap / (2 * names.length));
  const x = (p) => frame.left + gap * (lengths.findIndex((l) => l.tokens === p.length) + 0.5) + dodge * (p.system - (names.length - 1) / 2);
  const told = ({ system, length, score, ci, n }) =>
    `${names[system]} at ${lengths.find((l) => l.tokens === length).name}: ${figure(score)} ${interval(...ci)}, n = ${n}`;
  const lines = names.flatMap((_, i) => {
    const points = curve.points.filter((p) => p.system === i).sort((a, b) => a.length - b.length);
    const d = points.map((p, k) => `${k ? "L" : "M"} ${x(p)} ${y(p.score)}`).join(" ");
    return [
      svg("path", { d, class: `path ${colour(i)}` }),
      points.map((p) => line(x(p), y(p.ci[0]), x(p), y(p.ci[1]), { class: `whisker ${colour(i)}` })),
      points.map((p) => svg("g", {}, svg("title", {}, visible(told(p))), mark(i, x(p), y(p.score), 5.5))),
    ].flat();
  });
  return drawing(width, height, `Score by length, ${curve.name}`, curve.points.map(told).join("; "),
    scoreAxis(frame, y),
    lengths.map((l, k) => text(frame.left + gap * (k + 0.5), frame.bottom + 19, l.name, { "text-anchor": "middle", class: "tick" })),
    text((frame.left + frame.right) / 2, height - 4, "length, tokens", { "text-anchor": "middle", class: "tick" }),
    lines);
}

// The line under which no system should fall: along the front from left to right, in steps.
function staircase(points, x, y, right) {
  const best = points.filter((p) => p.front).sort((a, b) => a.cost - b.cost);
  const steps = best.map((p, k) => `${k ? `H ${x(p.cost)} V ${y(p.score)}` : `M ${x(p.cost)} ${y(p.score)}`}`);
  return svg("path", { d: `${steps.join(" ")} H ${right}`, class: "front" });
}

// Where labels go that would stand at these places: down by a line where another is near.
function lineHeights(places) {
  const placed = [];
  for (const k of [...places.keys()].sort((a, b) => places[a][1] - places[b][1])) {
    const [x, y] = places[k];
    const near = placed.filter((other) => other && Math.abs(other[0] - x) < 140).map((other) => other[1] + 15);
    placed[k] = [x, Math.max(y, ...near)];
  }
  return placed.map(([, y]) => y);
}

function costChart(data, axis, at, width) {
  const names = data.systems.map((s) => s.name);
  const height = Math.round(Math.min(400, Math.max(280, width * 0.42)));
  const [frame, y] = frameOf(width, height, 48);
  const most = Math.max(...at.points.map((p) => p.cost)) * 1.15 || 1;
  const x = (cost) => frame.left + (frame.right - frame.left) * cost / most;
  const told = (p) => `${names[p.system]}: ${figure(p.score)} ${interval(...p.ci)} at ${significant(p.cost)} ${axis.unit}${p.front ? ", on the front" : ""}`;
  const labelY = lineHeights(at.points.map((p) => [x(p.cost), y(p.score) - 9]));
  const label = (p, k) => {
    const end = x(p.cost) > (frame.left + frame.right) / 2;
    return text(x(p.cost) + (end ? -11 : 11), labelY[k], fitted(names[p.system], width / 2 - 40), { "text-anchor": end ? "end" : "start" });
  };
  return drawing(width, height, `Score against ${axis.name.toLowerCase()} at ${at.name}`, at.points.map(told).join("; "),
    scoreAxis(frame, y),
    ticks(0, most, Math.max(3, Math.floor(width / 130))).map((v) => text(x(v), frame.bottom + 19, significant(v), { "text-anchor": "middle", class: "tick" })),
    text((frame.left + frame.right) / 2, height - 6, `${axis.name}, ${axis.unit}`, { "text-anchor": "middle", class: "tick" }),
    staircase(at.points, x, y, frame.right),
    at.points.map((p, k) => svg("g", {}, svg("title", {}, visible(told(p))),
      line(x(p.cost), y(p.ci[0]), x(p.cost), y(p.ci[1]), { class: `whisker ${colour(p.system)}` }),
      mark(p.system, x(p.cost), y(p.score), 6.5, p.front ? {} : { class: `hollow ${colour(p.system)}` }),
      label(p, k))));
}

// rows: {label, pooled, difference, low, high, shown, na}. Beside the label on a wide page, below it on a narrow one.
function forestChart(pair, rows, names, width) {
  const wide = width >= 620;
  const step = wide ? 30 : 48, top = 46;
  const left = wide ? Math.min(280, width * 0.34) : 4, right = wide ? width - 150 : width - 4;
  const known = rows.filter((r) => r.difference !== null);
  const reach = Math.max(5, ...known.flatMap((r) => [Math.abs(r.low), Math.abs(r.high)])) * 1.04;
  const x = (v) => left + (right - left) * (v + reach) / (2 * reach);
  const height = top + step * rows.length + 34;
  const told = (r) => (r.na ? `${r.label}: n/a, ${r.na}` : `${r.label}: ${signed(r.difference)} ${interval(r.low, r.high, signed)}, p ${pValue(r.p_holm)}, ${r.shown ? "shown" : "not shown"}`);
  const drawn = rows.map((r, k) => {
    const base = top + step * k + step / 2, y = wide ? base : base + 11;
    const labelled = text(wide ? 0 : left, wide ? y + 4 : base - 6, fitted(r.label, wide ? left : right - left - 150), r.pooled ? { "font-weight": 600 } : {});
    if (r.na) return svg("g", {}, svg("title", {}, visible(told(r))), labelled, text(x(0), y + 4, "n/a", { "text-anchor": "middle", class: "tick" }));
    const value = `${signed(r.difference)} ${interval(r.low, r.high, signed)}`;
    const hue = r.shown ? colour(r.difference > 0 ? pair.b : pair.a) : "unshown";
    return svg("g", {}, svg("title", {}, visible(told(r))), labelled,
      line(x(r.low), y, x(r.high), y, { class: `whisker ${hue}`, "stroke-width": r.pooled ? 3 : 1.75 }),
      mark(r.pooled ? 3 : 1, x(r.difference), y, r.pooled ? 6.5 : 5, { class: `${r.shown ? "mark" : "hollow"} ${hue}` }),
      text(width, wide ? y + 4 : base - 6, value, { "text-anchor": "end", class: "tick" }));
  });
  return drawing(width, height, `${names[pair.b]} − ${names[pair.a]}`, rows.map(told).join("; "),
    ticks(-reach, reach, wide ? 8 : 6).flatMap((v) => [
      line(x(v), top - 6, x(v), height - 26, { class: Math.abs(v) < 1e-9 ? "zero" : "grid" }),
      text(Math.min(Math.max(x(v), 18), width - 18), height - 8, Math.abs(v) < 1e-9 ? "0" : signed(v).replace(".0", ""), { "text-anchor": "middle", class: "tick" }),
    ]),
    text(x(0) - 8, 16, `← ${fitted(names[pair.a], x(0) - 90)} higher`, { "text-anchor": "end", class: "tick" }),
    text(x(0) + 8, 16, `${fitted(names[pair.b], width - x(0) - 90)} higher →`, { class: "tick" }),
    drawn);
}
