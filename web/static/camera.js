"use strict";
// The live picture. Either this page has the camera and sends its pictures to
// the agent, or the agent has it and sends them here for the mirror; the agent
// says which, and when. No picture is kept, and none is sent unasked.
(() => {
  const video = document.getElementById("video"), canvas = document.getElementById("mirror");
  const glass = canvas.getContext("2d", { alpha: false }), every = 100, backlog = 1 << 19;
  const text = new TextEncoder();
  let pass, socket, attempt = "", stream, timer;

  function stored() { try { return JSON.parse(localStorage.getItem("camera")); } catch { return null; } }
  function store() { try { localStorage.setItem("camera", JSON.stringify(pass)); } catch { /* then a reload asks anew */ } }

  async function proof() {
    pass.n += 1; store(); // before it is shown: a number counts once
    const key = await crypto.subtle.importKey("raw", text.encode(pass.secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, text.encode("camera/v1 " + pass.n)));
    return pass.n + "." + Array.from(mac, (b) => b.toString(16).padStart(2, "0")).join("");
  }

  async function connect() {
    pass = pass || stored();
    if (!pass) {
      const r = await fetch("/camera/secret", { method: "POST" }).catch(() => null);
      if (!r || !r.ok) return again(r && r.status === 404 ? 60000 : 3000);
      pass = { ...await r.json(), n: 0 };
    }
    let open = false;
    socket = new WebSocket("ws://" + location.host + "/camera", ["gate-camera", await proof()]);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { open = true; };
    socket.onmessage = (e) => { if (typeof e.data === "string") order(JSON.parse(e.data)); else draw(e.data); };
    socket.onclose = async () => {
      off();
      // Refused: the agent may have started anew, then it has a new secret.
      if (!open) {
        const r = await fetch("/camera/secret", { method: "POST" }).catch(() => null);
        if (r && r.ok) { pass = { ...await r.json(), n: 0 }; return connect(); }
      }
      again(2000);
    };
  }
  function again(ms) { clearTimeout(timer); timer = setTimeout(connect, ms); }

  function order(note) {
    off();
    if (note.on) { attempt = note.on; document.body.dataset.live = pass.owner; if (pass.owner === "page") film(attempt); }
  }
  function off() {
    attempt = "";
    delete document.body.dataset.live;
    if (stream) for (const t of stream.getTracks()) t.stop();
    stream = undefined; video.srcObject = null;
    canvas.width = canvas.height = 1;
  }

  // The agent's camera.
  async function draw(data) {
    const mine = attempt;
    const img = await createImageBitmap(new Blob([data], { type: "image/jpeg" })).catch(() => null);
    if (!img) return;
    if (mine && mine === attempt) { canvas.width = img.width; canvas.height = img.height; glass.drawImage(img, 0, 0); }
    img.close();
  }

  // This page's camera.
  async function film(mine) {
    let got;
    try {
      got = await navigator.mediaDevices.getUserMedia({ audio: false, video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 15 }, facingMode: "user" } });
    } catch (e) {
      if (mine === attempt && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ problem: e.name || "Error" }));
      return;
    }
    if (mine !== attempt) { for (const t of got.getTracks()) t.stop(); return; }
    stream = got; video.srcObject = got;
    const still = document.createElement("canvas"), pen = still.getContext("2d", { alpha: false });
    while (mine === attempt) {
      const next = new Promise((done) => setTimeout(done, every));
      if (video.videoWidth && socket.bufferedAmount < backlog) {
        still.width = video.videoWidth; still.height = video.videoHeight;
        pen.drawImage(video, 0, 0);
        const jpeg = await new Promise((done) => still.toBlob(done, "image/jpeg", 0.88));
        if (jpeg && mine === attempt && socket.readyState === WebSocket.OPEN) socket.send(new Blob([mine, jpeg]));
      }
      await next;
    }
    still.width = still.height = 1;
  }
  connect();
})();
