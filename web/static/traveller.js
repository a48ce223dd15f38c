"use strict";
// The traveller's screen. It knows stages and nothing else: no reason ever
// reaches this page.
const words = {
  idle: ["Quét mã trên thẻ hoặc hộ chiếu", "Scan the code on your ID card or the lines in your passport"],
  need_scan: ["Quét mã trên thẻ hoặc hộ chiếu", "Now scan the code or the lines of your document"],
  rescan: ["Vui lòng quét lại", "Please scan again"],
  need_card: ["Đặt giấy tờ lên đầu đọc", "Place your document on the reader"],
  reading: ["Giữ yên giấy tờ", "Leave your document where it is"],
  admitted: ["Mời quý khách đi qua", "Please walk through"],
  see_staff: ["Mời quý khách gặp nhân viên", "Please see our staff"],
  help_coming: ["Nhân viên đang đến giúp", "Somebody is coming to help you"],
  try_again: ["Vui lòng thử lại", "Please try again"],
  closed: ["Cửa đang đóng", "This gate is closed"],
  out_of_order: ["Mời quý khách dùng cửa khác", "Please use another gate"],
  wait: ["Xin chờ", "Please wait"],
};
// Where to go, where the operator says nothing of it.
const elsewhere = { vi: "Mời quý khách dùng cửa khác", en: "Please use another gate" };
// What the camera wants of the traveller; never how well it goes.
const hints = {
  "": ["Nhìn vào khung hình", "Look into the oval"],
  look_here: ["Nhìn vào đây", "Look here"],
  closer: ["Lại gần hơn", "Come closer"],
  back: ["Lùi lại một chút", "Move back a little"],
  one_person: ["Chỉ một người thôi", "One person only, please"],
  light: ["Quay về phía có ánh sáng", "Turn towards the light"],
  hold: ["Tốt rồi, giữ yên", "Good, hold still"],
  turn_left: ["Quay đầu sang trái", "Turn your head to the left"],
  turn_right: ["Quay đầu sang phải", "Turn your head to the right"],
  glow: ["Nhìn vào đây, giữ yên", "Look here and hold still"],
};
// A challenge is shown whether the portrait is there or not.
const challenges = ["turn_left", "turn_right", "glow"];
const almost = ["Xin chờ một chút", "One moment, please"];
// A face step shows only where nothing else is to be said.
const faceStages = ["need_card", "need_scan", "reading"];
const steps = ["access", "sod", "chip", "dg1", "dg2"];
const body = document.body, vi = document.getElementById("vi"), en = document.getElementById("en");

// The operator's own words, and when a closed gate opens. Whatever they hold is
// shown as plain text.
const say = document.querySelector(".say").children;
function own(stage, words, opens) {
  const w = words || (stage === "closed" ? elsewhere : { vi: "", en: "" });
  say[0].textContent = w.vi; say[1].textContent = w.en;
  say[2].textContent = opens ? `Mở cửa lúc ${opens} · Opens at ${opens}` : "";
}

function show(stage, step, face, hint, glow) {
  const w = words[stage] || words.wait;
  body.dataset.stage = words[stage] ? stage : "wait";
  face = faceStages.includes(stage) && ["ask", "capture", "compare"].includes(face) ? face : "";
  if (face === "ask" && body.dataset.face !== "ask") asked();
  if (glow) hint = "glow";
  if (face === "compare" && challenges.includes(hint)) face = "capture";
  body.dataset.face = face;
  body.style.backgroundColor = face === "capture" && glow ? glow : "";
  body.dataset.hint = face === "capture" ? hint || "" : "";
  const said = face === "capture" ? hints[hint] || hints[""] : face === "compare" ? almost : w;
  if (vi.textContent !== said[0]) { vi.textContent = said[0]; en.textContent = said[1]; }
  const also = document.querySelector(".also").children;
  also[0].textContent = face ? w[0] : ""; also[1].textContent = face ? w[1] : "";
  const at = steps.indexOf(step);
  document.querySelectorAll(".progress li").forEach((li, i) => {
    li.className = stage !== "reading" ? "" : i < at ? "done" : i === at ? "now" : "";
  });
  if (!["idle", "need_scan", "rescan"].includes(stage) && pad.open) pad.close();
}

// A stream that stays silent longer than this is dead: then the screen must
// not go on inviting people.
const silence = 12000;
let heard = Date.now(), source;
function connect() {
  if (source) source.close();
  heard = Date.now();
  source = new EventSource("/events");
  source.onmessage = (e) => { heard = Date.now(); const v = JSON.parse(e.data); own(v.stage, v.say, v.opens); show(v.stage, v.step, v.face, v.hint, v.glow); };
  source.onopen = () => { heard = Date.now(); };
  source.onerror = () => { own("wait"); show("wait"); };
}
// Comments keep the connection but do not reach this page, so the state of
// the stream is what counts.
setInterval(() => {
  if (source.readyState === EventSource.OPEN) heard = Date.now();
  else if (Date.now() - heard > silence) { own("out_of_order"); show("out_of_order"); connect(); }
}, 2000);

document.getElementById("help").addEventListener("click", async (e) => {
  const b = e.currentTarget;
  b.disabled = true;
  try { await fetch("/help", { method: "POST" }); } finally { setTimeout(() => { b.disabled = false; }, 1000); }
});

// The notice before the camera: two answers of equal weight. Silence is none.
const choices = document.querySelectorAll(".choices button"), choicenote = document.querySelector(".choicenote");
function asked() { choicenote.textContent = ""; for (const b of choices) { b.disabled = false; b.blur(); } }
for (const b of choices) b.addEventListener("click", async () => {
  for (const x of choices) x.disabled = true;
  const r = await fetch("/face", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ choice: b.dataset.choice }) }).catch(() => ({ ok: false }));
  if (!r.ok) { asked(); choicenote.textContent = "Vui lòng thử lại · Please try again"; }
});

const pad = document.getElementById("pad"), out = document.getElementById("digits"), note = document.getElementById("padnote");
let digits = "";
function draw() { out.textContent = digits.padEnd(6, "·"); }
function key(text, cls, does) {
  const b = document.createElement("button");
  b.type = "button"; b.textContent = text; b.className = cls;
  b.addEventListener("click", does);
  document.querySelector(".keys").append(b);
}
for (const d of "123456789") key(d, "", () => press(d));
key("⌫", "back", () => { digits = digits.slice(0, -1); note.textContent = ""; draw(); });
key("0", "", () => press("0"));
key("✓", "ok", send);
function press(d) { if (digits.length < 6) digits += d; draw(); }
async function send() {
  if (digits.length !== 6) { note.textContent = "6 số · 6 digits"; return; }
  const r = await fetch("/can", { method: "POST", body: digits });
  digits = ""; draw();
  if (r.ok) pad.close(); else note.textContent = "Vui lòng thử lại · Please try again";
}
document.getElementById("keys").addEventListener("click", () => { digits = ""; note.textContent = ""; draw(); pad.showModal(); });
pad.addEventListener("click", (e) => { if (e.target === pad) pad.close(); });
pad.addEventListener("close", () => { digits = ""; draw(); });

connect();
