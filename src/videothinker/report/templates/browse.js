"use strict";
// The browser of questions. Everything from a dataset is put on the page as text, never as markup.
const PAGE = 20;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, ...children) {
  const node = attributes.svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "svg" || value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name === "klass" ? "class" : name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function bytesOf(id) {
  return Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (c) => c.charCodeAt(0));
}

async function unpack() {
  const stream = new Blob([bytesOf("pack")]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const given = (answer) => (answer === null ? "none" : answer.join(", ") || "none of them");
const truth = (value) => (value === undefined ? "" : value ? "happens" : "does not");

function movie(link) {
  if (link === null) return null;
  if (link.href === null) return make("p", { klass: "muted" }, `Video ${link.name} is not where the run recorded it.`);
  const held = document.getElementById(`video-${link.number}`);
  const source = held === null ? link.href : URL.createObjectURL(new Blob([bytesOf(held.id)], { type: "video/mp4" }));
  return make("video", { controls: true, loop: true, playsinline: true, preload: "metadata", src: source, "aria-label": `Video ${link.name}` });
}

// Does an event name the removed object? A phrase of a few words picks out one object of the scene.
function names(removed, event) {
  if (removed === null) return false;
  const wanted = removed.split(" ").filter((word) => word !== "the" && word !== "object");
  return event.split(" collides with ").some((side) => wanted.every((word) => side.split(" ").includes(word)));
}

function timeline(evidence) {
  const events = evidence.events.filter(([frame]) => frame !== null);
  if (!events.length) return null;
  const last = Math.max(...events.map(([frame]) => frame)) * 1.08 + 1;
  const at = (frame) => 12 + (frame / last) * 396;
  const words = `Collisions seen at frames ${events.map(([frame]) => frame).join(", ")}`;
  const drawn = make("svg", { svg: true, viewBox: "0 0 420 40", role: "img", "aria-label": words, klass: "timeline" },
    make("line", { svg: true, x1: 12, x2: 408, y1: 14, y2: 14 }),
    make("text", { svg: true, x: 12, y: 34 }, "frame 0"));
  let free = 70;
  for (const [frame, text] of events) {
    const touched = names(evidence.removed, text);
    drawn.append(make("circle", { svg: true, cx: at(frame), cy: 14, r: 5, klass: touched ? "touched" : "" },
      make("title", { svg: true }, `frame ${frame}: ${text}`)));
    if (at(frame) >= free) {
      drawn.append(make("text", { svg: true, x: at(frame), y: 34, "text-anchor": "middle" }, String(frame)));
      free = at(frame) + 26;
    }
  }
  return drawn;
}

let meanings = {};

function evidenceOf(row) {
  const e = row.evidence;
  if (e === null) return null;
  const rules = Object.entries(e.flags).map(([rule, flag]) => make("li", {}, `${rule}: ${flag === null ? "does not apply" : flag ? "observational" : "inferential"} `,
    make("span", { klass: "muted" }, meanings[rule] ? `(observational where ${meanings[rule]})` : "")));
  const probes = Object.entries(e.probes).map(([probe, [right, of]]) => `${probe} ${right} of ${of}`);
  const events = e.events.map(([frame, text]) => make("li", {}, frame === null ? text : `frame ${frame}: ${text}`));
  return make("div", { klass: "evidence" },
    make("p", { klass: "reason" }, e.reason),
    e.removed === null ? null : make("p", {}, make("span", { klass: "muted" }, "Removed: "), e.removed,
      make("span", { klass: "muted" }, e.events.some(([, text]) => names(e.removed, text)) ? " (its collisions are the red marks)" : " (in no collision seen)")),
    timeline(e),
    events.length ? make("ol", {}, ...events) : null,
    rules.length ? make("details", {}, make("summary", {}, "What each rule says"), make("ul", {}, ...rules)) : null,
    probes.length ? make("p", { klass: "muted" }, `Probes, right answers: ${probes.join("; ")}`) : null);
}

function optionsOf(row, answers) {
  const e = row.evidence;
  const told = e !== null && e.video.length > 0;
  const heads = ["", "option", ...(told ? ["in the video", "after removal"] : [])];
  const body = row.choices.map((choice, i) => {
    const correct = row.answer.includes(LETTERS[i]);
    const changed = told && e.video[i] !== e.after[i];
    return make("tr", { klass: correct ? "correct" : "" },
      make("td", {}, LETTERS[i]),
      make("td", {}, choice, correct ? make("span", { klass: "hit" }, " \u2713 correct") : null),
      ...(told ? [make("td", { "data-head": heads[2] }, truth(e.video[i])), make("td", { klass: changed ? "changed" : "", "data-head": heads[3] }, truth(e.after[i]))] : []),
      ...answers.map(([method, a]) => make("td", { klass: "by-method", "data-head": method.name }, a.answer !== null && a.answer.includes(LETTERS[i]) ? "chosen" : "")));
  });
  return make("div", { klass: "scroll" }, make("table", { klass: "options" },
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)),
      ...answers.map(([method]) => make("th", { scope: "col", klass: "by-method" }, method.name)))),
    make("tbody", {}, ...body)));
}

function thought(method, a, bare) {
  const several = a.of > 1 ? `; ${a.hits} of ${a.of} samples right` : "";
  const verdict = a.verdict === "ok" ? "" : ` (${a.verdict}${a.error ? `: ${a.error}` : ""})`;
  return make("div", { klass: `thought ${a.right ? "right" : "wrong"}` },
    make("h4", {}, `${method.name}: `, make("span", { klass: a.right ? "hit" : "miss" }, `${given(a.answer)}, ${a.right ? "right" : "wrong"}`), `${verdict}${several}`),
    bare ? make("p", { klass: "muted" }, "Thinking left out for size; it stands in samples.jsonl.")
      : make("p", { klass: "thinking", tabindex: "0" }, a.text || "(empty)"));
}

function fill(row, answers, reading) {
  const film = movie(row.link);
  return make("div", { klass: "inside" },
    row.struck === null ? null : make("p", { klass: "caption" }, `Premise removed: ${row.struck}`),
    make("div", { klass: film === null ? "scene alone" : "scene" }, film, evidenceOf(row)),
    optionsOf(row, answers),
    row.context === null ? null : make("details", {}, make("summary", {}, "Transcript shown in place of a video"),
      reading ? make("p", { klass: "caption" }, reading) : null, make("p", { klass: "context" }, row.context)),
    answers.length ? make("div", { klass: "thoughts" }, ...answers.map(([method, a]) => thought(method, a, row.bare))) : null,
    make("p", { klass: "caption" }, `${row.id}, ${row.type}${row.clip ? `, ${row.clip[0]} to ${row.clip[1]} s` : ""} `,
      make("a", { href: `#${row.anchor}` }, "Link to this question")));
}

function card(row, answers, marked, reading) {
  const label = row.evidence === null ? "" : row.evidence.label;
  const marks = marked.map(([method, a]) => make("span", {}, `${method.name} `,
    make("span", { klass: a.right ? "hit" : "miss" }, a.right ? "\u2713" : "\u2717", make("span", { klass: "skip" }, a.right ? " right" : " wrong"))));
  const node = make("details", { klass: "card", id: row.anchor, "data-id": row.id },
    make("summary", {}, make("span", { klass: `label ${label}` }, label), make("span", { klass: "ask" }, row.question), make("span", { klass: "marks" }, ...marks)));
  node.addEventListener("toggle", () => { if (node.open && node.children.length === 1) node.append(fill(row, answers, reading)); });
  return node;
}

function select(title, options, chosen, change) {
  const box = make("select", { onchange: () => change(box.value) }, ...options.map(([value, text]) => make("option", { value, selected: value === chosen }, text)));
  return make("label", {}, title, box);
}

class Browser {
  constructor(root, list) {
    Object.assign(this, { root, list, shown: PAGE, label: "all", search: "", filter: "all" });
    list.rows.forEach((row) => { row.anchor = `${list.anchor}-${encodeURIComponent(row.id)}`; });
    const first = (role) => Math.max(0, list.methods.findIndex((method) => method.role === role));
    this.left = first("GRPO");
    this.right = list.methods.some((method) => method.role === "CDPO") ? first("CDPO") : Math.max(0, list.methods.length - 1);
    this.seeds = [...new Set(list.methods.flatMap((method) => (method.seeds.length > 1 ? method.seeds : [])))];
    this.seed = this.seeds.length ? this.seeds[0] : null;
    this.count = make("p", { klass: "caption", role: "status", "aria-live": "polite" });
    this.cards = make("div", { klass: "cards" });
    this.more = make("button", { type: "button", klass: "more", onclick: () => { this.shown += PAGE; this.draw(); } });
    this.tools = make("div", { klass: "tools" });
    root.replaceChildren(this.tools, this.count, this.cards, this.more);
    this.controls();
    this.draw();
  }

  // The answer of a method under the chosen seed; a method with one seed stands beside every seed.
  answer(row, method) {
    const seeds = this.list.methods[method].seeds;
    const at = seeds.length > 1 && this.seed !== null ? seeds.indexOf(this.seed) : 0;
    return at < 0 ? null : row.answers[method][at];
  }

  parts(row, wrong, right) {
    const [a, b] = [this.answer(row, wrong), this.answer(row, right)];
    return a !== null && b !== null && !a.right && b.right;
  }

  filters() {
    const [left, right] = [this.left, this.right];
    const name = (method) => this.list.methods[method].name;
    const all = { all: ["All", () => true] };
    if (this.list.kind !== "answers" || left === right) return all;
    const show = this.list.show.map((one, i) => [`show-${i}`, [`Show me: ${name(one.method)} against ${name(one.against)}`,
      (row) => one.rows.includes(this.list.rows.indexOf(row))]]);
    return { ...all, ...Object.fromEntries(show),
      repaired: [`${name(left)} wrong, ${name(right)} right`, (row) => this.parts(row, left, right)],
      broken: [`${name(left)} right, ${name(right)} wrong`, (row) => this.parts(row, right, left)] };
  }

  matching(test) {
    const text = this.search.toLowerCase();
    return this.list.rows.filter((row) => test(row)
      && (this.label === "all" || (row.evidence !== null && row.evidence.label === this.label))
      && (!text || `${row.id} ${row.question} ${row.choices.join(" ")}`.toLowerCase().includes(text)));
  }

  controls() {
    const redraw = (key, read) => (value) => { this[key] = read(value); this.shown = PAGE; this.controls(); this.draw(); };
    const buttons = Object.entries(this.filters()).map(([key, [title, test]]) => make("button", {
      type: "button", "aria-pressed": String(this.filter === key), "data-filter": key, onclick: () => { this.filter = key; this.shown = PAGE; this.controls(); this.draw(); },
    }, `${title} `, make("span", { klass: "muted" }, String(this.matching(test).length))));
    const labels = [...new Set(this.list.rows.map((row) => (row.evidence === null ? null : row.evidence.label)))].filter((x) => x !== null).sort();
    const methods = this.list.methods.map((method, i) => [String(i), method.name]);
    const box = make("input", { type: "search", placeholder: "Search", "aria-label": "Search the questions", value: this.search,
      oninput: () => { this.search = box.value; this.shown = PAGE; this.recount(); this.draw(); } });
    const held = document.activeElement !== null && this.tools.contains(document.activeElement) ? document.activeElement.dataset.filter : null;
    this.tools.replaceChildren(...buttons,
      ...(methods.length > 2 ? [select("compare", methods, String(this.left), redraw("left", Number)), select("with", methods, String(this.right), redraw("right", Number))] : []),
      ...(labels.length > 1 ? [select("label", [["all", "all"], ...labels.map((x) => [x, x])], this.label, redraw("label", String))] : []),
      ...(this.seeds.length > 1 ? [select("seed", this.seeds.map((x) => [String(x), String(x)]), String(this.seed), redraw("seed", Number))] : []),
      box);
    if (held) this.tools.querySelector(`[data-filter="${held}"]`).focus();
  }

  recount() {
    for (const [key, [, test]] of Object.entries(this.filters()))
      this.tools.querySelector(`[data-filter="${key}"] .muted`).textContent = String(this.matching(test).length);
  }

  // The rows to draw: in the questions' order, or in that of the telling ones.
  ordered() {
    const rows = this.matching(this.filters()[this.filter][1]);
    if (!this.filter.startsWith("show-")) return rows;
    const places = this.list.show[Number(this.filter.slice(5))].rows;
    const at = (row) => places.indexOf(this.list.rows.indexOf(row));
    return rows.sort((a, b) => at(a) - at(b));
  }

  // Draw until one row stands among the cards, open it and go there.
  reveal(row) {
    Object.assign(this, { label: "all", search: "", filter: "all", shown: Math.max(this.shown, this.list.rows.indexOf(row) + 1) });
    this.controls();
    this.draw();
    for (let node = this.root; node !== null; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    const found = document.getElementById(row.anchor);
    found.open = true;
    found.scrollIntoView();
    found.firstElementChild.focus({ preventScroll: true });
  }

  draw() {
    const rows = this.ordered();
    const visible = rows.slice(0, this.shown);
    this.count.textContent = `${rows.length} of ${this.list.rows.length} questions`;
    this.root.dataset.count = String(rows.length);
    const few = this.list.methods.length <= 3;
    this.cards.replaceChildren(...visible.map((row) => {
      const answers = this.list.methods.map((method, i) => [method, row.answers.length ? this.answer(row, i) : null, i]).filter(([, a]) => a !== null);
      return card(row, answers, answers.filter(([, , i]) => few || i === this.left || i === this.right), this.list.reading);
    }));
    this.more.hidden = visible.length === rows.length;
    this.more.textContent = `Show ${Math.min(PAGE, rows.length - visible.length)} more`;
  }
}

function walk(event) {
  if (!["j", "k"].includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const heads = [...document.querySelectorAll(".card > summary")].filter((head) => head.checkVisibility());
  if (!heads.length) return;
  const at = heads.indexOf(document.activeElement);
  const to = at < 0 ? 0 : Math.min(heads.length - 1, Math.max(0, at + (event.key === "j" ? 1 : -1)));
  heads[to].focus();
  heads[to].scrollIntoView({ block: "nearest" });
}

const browsers = [];

function openTarget() {
  const hash = location.hash.slice(1);
  for (const browser of browsers) {
    const row = browser.list.rows.find((one) => one.anchor === hash);
    if (row !== undefined) browser.reveal(row);
  }
  const target = location.hash.startsWith("#run-") ? document.querySelector(`${location.hash} > details`) : null;
  if (target !== null) target.open = true;
}

async function start() {
  document.addEventListener("keydown", walk);
  window.addEventListener("hashchange", openTarget);
  openTarget();
  const { meanings: told, ...lists } = await unpack();
  meanings = told;
  for (const root of document.querySelectorAll(".browser")) browsers.push(new Browser(root, lists[root.dataset.list]));
  openTarget();
  document.documentElement.dataset.ready = "true";
}

start();
