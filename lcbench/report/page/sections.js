// The sections of the page, top to bottom. `data` is what `lcbench.report.page.gather` describes.

const bounds = (c) => (c.ci ? interval(...c.ci) : "n/a");
const section = (id) => document.getElementById(id);
const paragraph = (content, attributes = { class: "takeaway" }) => el("p", attributes, visible(content));

// A section whose figure is chosen: what it says, the choices, and the figure. `draw` gives the first and the last for
// the values that are chosen.
function chosen(into, choices, draw) {
  const values = choices.map(({ options }) => options[0][0]);
  const told = el("div", { "aria-live": "polite" }), place = el("div");
  const redraw = () => {
    const [takeaway, ...figures] = draw(...values);
    told.replaceChildren(paragraph(takeaway));
    place.replaceChildren(...figures.flat().filter(Boolean));
  };
  const controls = choices.map(({ label, id, options }, k) => (options.length < 2 ? null : choice(label, id, options, (value) => { values[k] = value; redraw(); })));
  into.append(told, controls.some(Boolean) ? el("div", { class: "controls" }, controls) : "", place);
  redraw();
}

const numbered = (names) => names.map((name, k) => [String(k), visible(name)]);

function systemsSection(data) {
  const first = ["System", "Model", "Attention", "Strategy", "Prompts", "Samples", "Failed", "Machine", "Run"];
  const box = table(first, data.systems.map((s) => [s.name, s.model, s.attn, s.strategy, s.prompts.join(", "), s.n, s.n_failed, s.device, s.run].map((x) => visible(String(x)))), { label: "Systems" });
  [...box.querySelectorAll("tbody tr")].forEach((row, i) => row.firstChild.replaceChildren(key(i, data.systems[i].name)));
  section("systems").append(box);
}

function curvesSection(data, names) {
  const into = section("curves");
  if (!data.curves.length) return void into.append(paragraph("No task here has both a length and a score that is a share of 100."));
  const byPoint = (curve) => () => curve.points.map((p) => [visible(names[p.system]), lengthName(data, p.length), figure(p.score), interval(...p.ci), p.n]);
  chosen(into, [{ label: "Scores of", id: "curve", options: numbered(data.curves.map((c) => c.name)) }], (k) => {
    const curve = data.curves[k], shown = names.map((_, i) => i).filter((i) => curve.points.some((p) => p.system === i));
    return [curve.takeaway, legend(names, shown), responsive((width) => curveChart(data, curve, width)),
      paragraph("Score, 0 to 100, with its 95% interval.", { class: "caption" }),
      asTable(["System", "Length", "Score", "95% interval", "n"], byPoint(curve), "Score by length")];
  });
}

const lengthName = (data, tokens) => data.lengths.find((l) => l.tokens === tokens).name;

const why = (c) => (c.na ? `, ${c.na}` : c.n_failed ? `, ${c.n_failed} of ${c.n} failed` : "");

function heatSection(data, names, open) {
  const told = (c) => `${names[c.system]}, ${c.task} at ${lengthName(data, c.length)}: ` + (c.score === null ? `n/a${why(c)}` : `${figure(c.score)} ${bounds(c)}, n = ${c.n}`);
  const rows = data.tasks.map((t) => ({ value: t, name: t })), columns = data.lengths.map((l) => ({ value: l.tokens, name: l.name }));
  const cells = new Map(data.cells.map((c) => [`${c.system} ${c.length} ${c.task}`, c]));
  const maps = names.map((name, i) => heatmap(i, name, "", rows, columns, (task, length) => {
    const c = cells.get(`${i} ${length} ${task}`);
    return c && { score: c.share ? c.score : null, told: told(c), open: c.n ? () => open(task, length, i) : null };
  }));
  const costs = (c) => [c.seconds, c.peak_memory_bytes && c.peak_memory_bytes / 2 ** 30, c.flops && c.flops / 1e12].map((v) => (v === null || v === undefined ? "n/a" : significant(v)));
  const all = () => data.cells.map((c) => [visible(names[c.system]), visible(c.task), lengthName(data, c.length), figure(c.score), bounds(c), c.n, c.n_failed, c.n_unextracted, c.n_truncated, c.metric, ...costs(c), visible(c.na ?? "")]);
  section("heat").append(paragraph(data.hardest), el("div", { class: "maps" }, maps), ramp(),
    paragraph("Score of each cell, 0 to 100. A cell opens its samples below.", { class: "caption" }),
    asTable(["System", "Task", "Length", "Score", "95% interval", "n", "Failed", "Empty", "Cut", "Metric", "s a sample", "Peak GiB", "TFLOP a sample", "n/a because"], all, "All cells"));
}

function depthSection(data, names) {
  const { maps, several } = data.depths, into = section("depth");
  const left = several.length ? `Left out, because one verdict cannot say which of several pieces of evidence was missed: ${several.join(", ")}.` : "";
  if (!maps.length) return void into.append(paragraph(`No task here has its evidence in one known place. ${left}`));
  const bands = Array.from({ length: 10 }, (_, b) => ({ value: b, name: `${10 * b}–${10 * b + 10}%` }));
  chosen(into, [{ label: "Task", id: "depth-task", options: numbered(maps.map((m) => m.task)) }], (k) => {
    const map = maps[k], columns = data.lengths.filter((l) => map.cells.some((c) => c.length === l.tokens)).map((l) => ({ value: l.tokens, name: l.name }));
    const drawn = names.map((name, i) => heatmap(i, name, "depth", bands, columns, (band, length) => {
      const c = map.cells.find((x) => x.system === i && x.band === band && x.length === length);
      return c && { score: c.score, small: `n = ${c.n}`, told: `${name}, depth ${bands[band].name} of ${lengthName(data, length)}: ${figure(c.score)}, n = ${c.n}` };
    }));
    return [map.takeaway, el("div", { class: "maps" }, drawn), ramp(),
      paragraph(`Mean score by where in the context the evidence stands, 0% at its beginning. ${left}`, { class: "caption" })];
  });
}

function costSection(data, names) {
  const lengths = data.costs[0].lengths, into = section("cost");
  if (!lengths.length) return void into.append(paragraph("There is no length at which every system has a score of the same task."));
  const axes = { label: "Cost", id: "cost-axis", options: numbered(data.costs.map((c) => c.name)) };
  const at = { label: "Length", id: "cost-length", options: numbered(lengths.map((l) => l.name)).reverse() };
  chosen(into, [axes, at], (k, j) => {
    const axis = data.costs[k], here = axis.lengths[j];
    const absent = here.absent.map(({ system, reason }) => `${names[system]}: n/a, ${reason}.`).join(" ");
    const over = here.tasks.length > 1 ? `Means over ${here.tasks.length} tasks${axis.key === "peak_memory_bytes" ? ", memory the most of them" : ""}.` : `${here.tasks[0]}.`;
    const rows = () => [...here.points.map((p) => [visible(names[p.system]), significant(p.cost), figure(p.score), interval(...p.ci), p.front ? "yes" : "no"]), ...here.absent.map((a) => [visible(names[a.system]), "n/a", "n/a", "n/a", "n/a"])];
    const chart = here.points.length ? [responsive((width) => costChart(data, axis, here, width)),
      paragraph(`${over} Filled: on the Pareto front, where no other system is both no dearer and no worse.`, { class: "caption" })] : [];
    return [here.takeaway, absent ? paragraph(absent, { class: "takeaway absent-figures" }) : null, ...chart,
      asTable(["System", `${axis.name}, ${axis.unit}`, "Score", "95% interval", "On the front"], rows, "Score against cost")];
  });
}

function forestRows(data, pair) {
  const pooled = pair.pooled.map((e) => ({ ...e, pooled: true, na: null, label: `${e.whole ? "all" : e.groups.join(", ")}${pair.pooled.some((o) => o.prompt !== e.prompt) ? `, ${e.prompt}` : ""} (${e.cells} cells)` })).reverse();
  const cells = pair.rows.map((r) => ({ ...r, label: `${r.task} ${lengthName(data, r.length)}${r.unpaired ? " †" : ""}` }));
  return [...pooled, ...cells];
}

function forestSection(data, names) {
  const into = section("forest");
  if (!data.forests.length) return void into.append(paragraph("There is one system here alone, or none shares a task and length with another."));
  chosen(into, [{ label: "Compare", id: "pair", options: numbered(data.forests.map((f) => `${names[f.b]} − ${names[f.a]}`)) }], (k) => {
    const pair = data.forests[k], sides = [names[pair.a], names[pair.b]], rows = forestRows(data, pair);
    const reasons = [...new Set(pair.rows.map((r) => r.unpaired).filter(Boolean))];
    const unpaired = reasons.length ? ` † Not paired: ${reasons.join("; ")}.` : "";
    const listed = () => rows.map((r) => [visible(r.label), ...(r.na ? ["n/a", "n/a", "n/a", "n/a", "n/a", visible(r.na)] : [signed(r.difference), interval(r.low, r.high, signed), pValue(r.p), pValue(r.p_holm), r.shown ? "yes" : "no", `${r.method}, n = ${r.n}`])]);
    return [pair.takeaway, responsive((width) => forestChart(pair, rows, names, width)),
      paragraph(`Difference in points with its 95% interval; ${sides[1]} − ${sides[0]}. Filled, in the colour of the higher one: p at most 5%, adjusted over the cells (Holm). Diamonds are pooled over cells.${unpaired}`, { class: "caption" }),
      asTable(["Cell", "Difference", "95% interval", "p", "p, Holm", "Shown", "Test"], listed, "Differences")];
  });
}

async function start() {
  const data = JSON.parse(section("figures").textContent), names = data.systems.map((s) => s.name);
  let browser = null;
  document.title = `lcbench report: ${visible(data.headline)}`;
  section("headline").textContent = visible(data.headline);
  section("lead").textContent = visible(data.lead);
  systemsSection(data);
  curvesSection(data, names);
  heatSection(data, names, (...cell) => browser?.show(...cell));
  depthSection(data, names);
  costSection(data, names);
  forestSection(data, names);
  section("notes").append(el("ul", {}, data.notes.map((note) => el("li", {}, visible(note)))));
  browser = sampleBrowser(section("samples"), data, await unpack("packed"));
  document.documentElement.dataset.ready = "";
}

start();
