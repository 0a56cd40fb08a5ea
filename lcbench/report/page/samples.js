// The sample browser: every sample with all its answers, found by cell, verdict, mechanism, disagreement and words.

const PAGE = 25;
const VERDICT_NAMES = [["", "any"], ["right", "right"], ["wrong", "wrong"], ["partly", "partly right"], ["failed", "failed"], ["empty", "nothing extracted"], ["unscored", "no labels"]];

async function unpack(id) {
  const packed = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

const verdictOf = (a) => (a.finish === "failed" ? "failed" : a.score === null ? "unscored" : a.score >= 1 ? "right" : a.score > 0 ? "partly" : "wrong");
const verdictText = (a) => ({ failed: "failed", unscored: "no labels", right: "right", wrong: "wrong", partly: `${figure(100 * (a.score ?? 0), 0)} of 100` })[verdictOf(a)];
const isVerdict = (a, wanted) => (wanted === "empty" ? a.finish !== "failed" && a.extracted === null : verdictOf(a) === wanted);
const disagree = (item) => new Set(item.answers.map((a) => a.score)).size > 1;

// Everything of a sample that words may be found in.
const words = (item) => [item.id, ...item.references, ...item.excerpt,
  ...item.answers.flatMap((a) => [a.completion, a.extracted, a.error, ...(a.earlier ?? []), ...(a.flags ?? [])])].filter(Boolean).join("\n").toLowerCase();

function matches(item, wanted) {
  if (wanted.task && item.task !== wanted.task) return false;
  if (wanted.length && String(item.length) !== wanted.length) return false;
  if (wanted.disagree && !disagree(item)) return false;
  const answers = wanted.system === "" ? item.answers : item.answers.filter((a) => a.system === Number(wanted.system));
  if (!(wanted.verdict ? answers.some((a) => isVerdict(a, wanted.verdict)) : answers.length)) return false;
  if (!wanted.words) return true;
  item.words ??= words(item);
  return item.words.includes(wanted.words);
}

// A text as it was said, in a box of its own; the references in it are marked.
function said(content, references = []) {
  const shown = visible(content), found = references.map(visible).filter((r) => r.trim().length > 1);
  if (!found.length) return el("div", { class: "said", dir: "auto", tabindex: 0 }, shown);
  const escaped = found.map((r) => r.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const parts = shown.split(new RegExp(`(${escaped.join("|")})`));
  return el("div", { class: "said", dir: "auto", tabindex: 0 }, parts.map((part, k) => (k % 2 ? el("mark", {}, part) : part)));
}

const field = (name, ...content) => el("div", {}, el("dt", {}, name), el("dd", {}, content));

function answerBody(a, item, names) {
  const tokens = `${a.tokens[0].toLocaleString("en")} + ${a.tokens[1].toLocaleString("en")} tokens, ended by ${a.finish}`;
  return el("div", {},
    el("h3", {}, key(a.system, names[a.system])),
    el("dl", {},
      (a.earlier ?? []).map((earlier, k) => field(`Answer of turn ${k + 1}`, said(earlier))),
      a.completion === null ? null : field("Completion", said(a.completion, item.references)),
      a.error ? field("Error", said(a.error)) : null,
      a.likelihoods ? field("Log-likelihood of each option, nats", said(a.likelihoods.map(([nats, greedy]) => `${nats.toFixed(3)}${greedy ? ", what greedy decoding gives" : ""}`).join("\n"))) : null,
      field("Extracted answer", a.extracted === null ? el("p", { class: "quiet" }, "nothing") : said(a.extracted)),
      el("p", { class: "quiet" }, [verdictText(a), tokens, a.truncated ? "prompt cut" : "", ...(a.flags ?? [])].filter(Boolean).map(visible).join(" · "))));
}

function itemBody(item, names) {
  const depths = item.depths.length ? `, evidence at ${item.depths.map((d) => `${Math.round(100 * d)}%`).join(", ")} of the context` : "";
  return el("div", { class: "body" },
    el("dl", {},
      field(item.references.length > 1 ? "References" : "Reference", item.references.length ? said(item.references.join("\n")) : el("p", { class: "quiet" }, "none: its labels are not public")),
      item.excerpt.length
        ? field(`Prompt${depths}`, item.excerpt.map((part) => said(part, item.references)))
        : field(`Prompt${depths}`, el("p", { class: "quiet" }, "its text was not kept by this run"))),
    el("div", { class: "answers" }, item.answers.map((a) => answerBody(a, item, names))));
}

function itemRow(item, names) {
  const verdicts = item.answers.map((a) => el("span", { class: `verdict ${verdictOf(a)}` }, key(a.system, names[a.system]), " ", el("b", {}, verdictText(a))));
  const details = el("details", {}, el("summary", {}, el("span", { class: "id" }, visible(item.id)), verdicts));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(itemBody(item, names));
  });
  return el("li", {}, details);
}

// Gives {show(task, length, system)}: what a cell of the heat-map opens.
function sampleBrowser(section, data, items) {
  const names = data.systems.map((s) => s.name);
  const wanted = { task: "", length: "", system: "", verdict: "", disagree: false, words: "" };
  let found = items, page = 0, waiting;
  const status = el("p", { class: "quiet", role: "status", id: "found" });
  const list = el("ul", { class: "items" });
  const place = el("p", { class: "quiet" });
  const turn = (by) => () => { page += by; draw(); section.scrollIntoView(); };
  const before = el("button", { type: "button", id: "before", onclick: turn(-1) }, "Previous");
  const after = el("button", { type: "button", id: "after", onclick: turn(1) }, "Next");

  function draw() {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    list.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map((item) => itemRow(item, names)));
    status.textContent = `${found.length.toLocaleString("en")} of ${items.length.toLocaleString("en")} samples`;
    place.textContent = `Page ${page + 1} of ${pages}`;
    before.disabled = page === 0;
    after.disabled = page + 1 >= pages;
  }
  function search(change) {
    Object.assign(wanted, change);
    found = items.filter((item) => matches(item, wanted));
    page = 0;
    draw();
  }
  const set = (name) => (value) => search({ [name]: value });
  const later = (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => search({ words: event.target.value.toLowerCase() }), 150);
  };
  section.append(
    el("form", { class: "controls", onsubmit: (event) => event.preventDefault() },
      choice("Task", "by-task", [["", "all"], ...data.tasks.map((t) => [t, visible(t)])], set("task")),
      choice("Length", "by-length", [["", "all"], ...data.lengths.map((l) => [String(l.tokens), l.name])], set("length"), { class: "half" }),
      choice("System", "by-system", [["", "any"], ...names.map((name, i) => [String(i), visible(name)])], set("system"), { class: "half" }),
      choice("Verdict", "by-verdict", VERDICT_NAMES, set("verdict")),
      el("label", { class: "wide", for: "by-words" }, "Search", el("input", { type: "search", id: "by-words", oninput: later, placeholder: "in prompts, answers, references, ids" })),
      names.length > 1 ? el("label", { class: "check", for: "by-disagreement" }, el("input", { type: "checkbox", id: "by-disagreement", onchange: (event) => search({ disagree: event.target.checked }) }), "Verdicts differ") : null),
    status, list, el("div", { class: "pager" }, before, after, place));
  draw();

  const controls = { task: "by-task", length: "by-length", system: "by-system", verdict: "by-verdict", words: "by-words" };
  return {
    show(task, length, system) {
      clearTimeout(waiting);
      const chosen = { task, length: String(length), system: String(system), verdict: "", disagree: false, words: "" };
      for (const [name, id] of Object.entries(controls)) document.getElementById(id).value = chosen[name];
      const differ = document.getElementById("by-disagreement");
      if (differ) differ.checked = false;
      search(chosen);
      section.scrollIntoView();
      document.getElementById("by-task").focus({ preventScroll: true });
    },
  };
}
