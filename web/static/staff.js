"use strict";
// The staff page: where the transaction stands, what failed first, and the
// referrals that a named operator resolves.
const $ = (id) => document.getElementById(id);
const marks = { failed: "✗", aborted: "!", undetermined: "?", not_supported: "–", successful: "✓" };
const stages = { idle: "waiting for a traveller", need_card: "waiting for the document", need_scan: "waiting for a scan", rescan: "scan unreadable, asked again", reading: "reading", admitted: "admitted, gate open", see_staff: "sent to staff", try_again: "asked to try again", out_of_order: "out of order", closed: "closed", help_coming: "help is coming" };
const steps = [["access", "Access"], ["sod", "Security object"], ["chip", "Chip proof"], ["dg1", "Data"], ["dg2", "Portrait"], ["decided", "Decision"]];
let about = { codes: {}, reasons: [] }, source;

function el(tag, cls, text) { const e = document.createElement(tag); if (cls) e.className = cls; if (text !== undefined) e.textContent = text; return e; }
async function post(path, body) {
  return fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}
const codeOf = (c) => about.codes[c] || { Name: "code " + c, Text: "", Remedy: "" };
const ago = (t) => { const s = Math.max(0, (Date.now() - new Date(t)) / 1000); return s < 60 ? Math.round(s) + " s" : s < 5400 ? Math.round(s / 60) + " min" : s < 172800 ? Math.round(s / 3600) + " h" : Math.round(s / 86400) + " days"; };

$("login").addEventListener("submit", async (e) => {
  e.preventDefault();
  const f = e.target, err = f.querySelector(".error");
  const r = await post("/staff/login", { name: f.name.value, pin: f.pin.value });
  f.pin.value = "";
  if (r.ok) { err.textContent = ""; start(); } else err.textContent = (await r.text()).trim();
});
$("rearm").addEventListener("click", async (e) => {
  e.target.disabled = true;
  const r = await post("/staff/camera", {});
  e.target.disabled = false;
  if (r.status === 401) leave();
});
$("logout").addEventListener("click", async () => { await post("/staff/logout", {}); leave(); });

function leave() {
  if (source) source.close();
  source = undefined;
  document.body.className = "out"; $("login").hidden = false; $("app").hidden = true;
}
async function start() {
  const r = await fetch("/staff/about");
  if (!r.ok) return leave();
  about = await r.json();
  document.body.className = ""; $("login").hidden = true; $("app").hidden = false;
  $("operator").textContent = about.operator;
  const m = about.message || {}, said = [m.vi, m.en].filter((x) => x);
  $("message").hidden = !said.length; $("message").textContent = said.join(" · ");
  source = new EventSource("/staff/events");
  source.onmessage = (e) => draw(JSON.parse(e.data));
  source.onerror = async () => {
    $("stage").textContent = "no connection to the agent"; $("stage").className = "chip refer";
    const ok = await fetch("/staff/about").then((x) => x.status, () => 0);
    if (ok === 401) leave();
  };
}

function vital(name, value, cls) { const d = el("div"); d.append(el("dt", "", name), el("dd", cls || "", value)); return d; }
function draw(v) {
  document.title = v.gate + " · staff";
  $("gate").textContent = v.gate;
  $("stage").textContent = (stages[v.stage] || v.stage) + (v.stage === "closed" && v.opens ? ", opens " + new Date(v.opens).toLocaleString() : "");
  $("stage").className = "chip " + (v.stage === "out_of_order" || v.stage === "closed" ? "refer" : v.stage === "admitted" ? "admit" : "");
  const l = v.list_status, expired = l.Present && new Date(l.Expires) < new Date();
  $("vitals").replaceChildren(
    vital("central", v.uplink_up ? "connected" : "not connected", v.uplink_up ? "" : "warn"),
    vital("results waiting", String(v.queue_depth)),
    vital("allowlist", !l.Present ? "none" : `v${l.Version}, ${ago(l.Issued)} old${expired ? ", expired" : ""}`, !l.Present || expired ? "bad" : ""),
    vital("time", timeFrom(v.clock || {}), !v.clock?.trusted ? "bad" : v.clock.source === "assumed" ? "warn" : ""),
    vital("policy", v.policy || "none", v.policy ? "" : "bad"));
  $("faceoff").hidden = !v.face_off;
  $("help").hidden = !v.help;
  $("camera").hidden = !v.camera_problem; $("camerawhy").textContent = v.camera_problem || "";
  $("notices").replaceChildren(...(v.notices || []).map((n) => { const li = el("li", n.level); li.append(el("b", "", n.source), n.text); return li; }));
  drawTx(v);
  drawOpen(v.open || []);
}
// Where the time comes from, how old that is, and when it ends.
function timeFrom(c) {
  if (!c.trusted) return "not trusted";
  const until = c.until ? `, ${ago(c.since)} ago, good until ${new Date(c.until).toLocaleString()}` : "";
  return ({ kernel: "synchronised", held: "synchronised before", central: "from central", assumed: "assumed right" }[c.source] || c.source) + until;
}
function drawTx(v) {
  const decided = ["admitted", "see_staff", "try_again", "help_coming"].includes(v.stage) || (v.reasons || []).length > 0;
  const at = decided ? steps.length : steps.findIndex((s) => s[0] === v.step);
  $("steps").replaceChildren(...steps.map((s, i) => el("li", v.tx && i < at ? "done" : v.tx && i === at ? "now" : "", s[1])));
  const out = $("outcome");
  out.className = v.tx && decided ? v.outcome : "";
  out.replaceChildren();
  if (!v.tx) out.append(el("span", "none", "Nobody is at the gate."));
  else if (decided) {
    const words = { admit: "Admitted", refer: "Referred to staff", abort: "Interrupted, may try again" };
    out.append(words[v.outcome], el("small", "", (v.reasons || []).map((c) => codeOf(c).Text).join("; ") || (v.clone_unproven ? "by the face at the stricter threshold: the chip offers no proof that it is no copy" : v.passage ? "passage: " + v.passage.replace("_", " ") : "all checks passed")));
  } else out.append(el("span", "", stages[v.stage] || v.stage));
  $("checks").replaceChildren(...(v.checks || []).map(checkLine));
  drawFace(v.face_result);
  const t = v.timing_ms || {};
  $("timing").textContent = t.total ? `Decided ${(t.total / 1000).toFixed(2)} s after document and scan were at hand` + (v.list ? ` · allowlist: ${v.list.replaceAll("_", " ")}` : "") : "";
}
// What was measured of the face, for staff alone; never a picture.
const verdicts = { matched: "Same person as on the chip", mismatched: "Not the person on the chip", not_compared: "Not compared" };
function drawFace(f) {
  const box = $("face");
  box.hidden = !f;
  if (!f) return box.replaceChildren();
  const part = (x) => Math.max(0, Math.min(100, x * 100)), pct = (x) => Math.round(x * 100) + " %", deg = (x) => Math.round(x) + "°";
  const head = el("h3", f.verdict, "Face: " + (verdicts[f.verdict] || f.verdict));
  const rows = [head];
  if (f.verdict !== "not_compared") {
    const bar = el("div", "scale" + (f.score < f.threshold ? " below" : "")), fill = el("i"), mark = el("b");
    fill.style.width = part(f.score) + "%"; mark.style.left = part(f.threshold) + "%";
    mark.dataset.at = "threshold " + f.threshold.toFixed(3);
    bar.append(fill, mark);
    rows.push(bar);
  }
  const q = f.quality || {}, list = el("dl");
  if (f.verdict !== "not_compared") list.append(vital("score", f.score.toFixed(3), f.score < f.threshold ? "bad" : ""), vital("threshold", f.threshold.toFixed(3)));
  if (q.inter_eye_px) list.append(vital("quality", pct(q.overall)), vital("between the eyes", Math.round(q.inter_eye_px) + " px"), vital("turned · raised · tilted", [q.yaw_deg, q.pitch_deg, q.roll_deg].map(deg).join(" ")),
    vital("sharpness", pct(q.sharpness)), vital("exposure", pct(q.exposure)), vital("covered", pct(q.occlusion)));
  list.append(vital("live picture", f.pad < 0 ? "not measured" : pct(f.pad)), vital("pictures", String(f.frames)));
  if (f.challenge) list.append(...challenge(f.challenge));
  rows.push(list);
  if (f.code) { const i = codeOf(f.code); rows.push(el("p", "", `${f.code} · ${i.Text}${i.Remedy ? " → " + i.Remedy : ""}`)); }
  rows.push(el("p", "", (f.pack || "no model pack") + (f.admits ? "" : " · for evaluation only, its score admits nobody")));
  box.replaceChildren(...rows);
}
const challenges = { turn: "asked to turn the head", light: "asked to hold still in coloured light" };
function challenge(c) {
  const what = c.kind === "turn" ? "nose against eyes" : "follows the screen";
  return [vital(challenges[c.kind] || c.kind, c.answered ? `answered after ${(c.reaction_ms / 1000).toFixed(1)} s` : "not answered", c.answered ? "" : "bad"),
    vital(what, c.evidence.toFixed(2)), ...(c.flat ? [vital("flatness", Math.round(c.flat * 100) + " %")] : []), vital("challenge", Math.round(c.score * 100) + " %", c.answered ? "" : "bad")];
}
function checkLine(c) {
  const d = el("div", "check " + c.result), body = el("div"), info = codeOf(c.code);
  const head = el("div"); head.append(el("code", "", c.id), el("small", "", c.result.replace("_", " ") + (c.code ? " · " + c.code : "")));
  body.append(head);
  if (c.code) { body.append(el("p", "", info.Text)); if (info.Remedy) body.append(el("p", "remedy", info.Remedy)); }
  d.append(el("span", "mark", marks[c.result] || "?"), body);
  return d;
}

// Open forms are kept while new views arrive, so that nobody's choice is lost.
const cards = new Map();
function drawOpen(open) {
  $("count").textContent = open.length;
  const seen = new Set(open.map((r) => r.tx));
  for (const [tx, card] of cards) if (!seen.has(tx)) { card.remove(); cards.delete(tx); }
  const list = $("list");
  list.querySelector(".none")?.remove();
  if (!open.length) list.append(el("p", "none", "None. Everybody has been looked after."));
  for (const r of [...open].reverse()) {
    if (cards.has(r.tx)) continue;
    const card = referral(r);
    cards.set(r.tx, card);
    list.prepend(card);
  }
}
function referral(r) {
  const card = $("referral").content.firstElementChild.cloneNode(true);
  const first = (r.reasons || [])[0];
  card.querySelector(".why").textContent = first ? codeOf(first).Text : "referred";
  const at = new Date(r.at);
  const time = card.querySelector("time");
  time.dateTime = r.at; time.textContent = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const detail = card.querySelector(".detail");
  const rest = (r.reasons || []).slice(1).map((c) => codeOf(c));
  if (rest.length) detail.append(el("p", "none", rest.map((i) => i.Text).join("; ")));
  const remedy = (rest[0] || codeOf(first)).Remedy;
  if (remedy) detail.append(el("p", "", "→ " + remedy));
  if ((r.checks || []).length) { const d = el("details"); d.append(el("summary", "", `${r.checks.length} failing checks`), ...r.checks.map(checkLine)); detail.append(d); }
  const select = card.querySelector("select");
  for (const why of about.reasons) { const o = el("option", "", why); o.value = why; select.append(o); }
  card.querySelector("form").addEventListener("submit", async (e) => {
    e.preventDefault();
    const f = e.target, b = f.querySelector("button");
    b.disabled = true;
    const res = await post("/staff/resolve", { tx: r.tx, outcome: f.outcome.value, reason: f.reason.value });
    b.disabled = false;
    if (res.status === 401) return leave();
    f.querySelector(".error").textContent = res.ok ? "" : (await res.text()).trim();
  });
  return card;
}
start();
