// Keeps the overview current: the server sends the whole part whenever it has
// changed. Without this script the page is complete and simply stands still.
(function () {
  "use strict";
  var live = document.querySelector("[data-stream]");
  var state = document.getElementById("link");
  if (!live || !window.EventSource) return;
  var say = function (word, text) {
    state.className = "linkstate " + word;
    state.textContent = text;
  };
  var stream = new EventSource(live.dataset.stream);
  stream.onopen = function () { say("on", "live"); };
  stream.onmessage = function (m) {
    // A button that is about to be pressed must not jump away.
    if (live.querySelector("button:active")) return;
    live.innerHTML = m.data;
  };
  stream.onerror = function () {
    say("off", "no connection to central: what you see is old");
    if (stream.readyState === EventSource.CLOSED) {
      setTimeout(function () { location.reload(); }, 5000);
    }
  };
})();
