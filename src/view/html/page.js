// Replaces the pieces of the page that changed. Without this script the page is the same when it is loaded again.
"use strict";
(() => {
  const live = document.documentElement.dataset.live;
  if (!live || !window.EventSource) return;
  const stale = document.createElement("p");
  stale.id = "stale";
  stale.hidden = true;
  stale.setAttribute("role", "alert");
  stale.textContent = "The agent does not answer: this is what was seen before.";
  document.body.prepend(stale);
  const reachable = "a, button, input, summary";
  const pieces = new EventSource(live);
  let last = Date.now();
  const seen = () => {
    last = Date.now();
    stale.hidden = true;
  };
  pieces.addEventListener("piece", (event) => {
    seen();
    const { id, html } = JSON.parse(event.data);
    const piece = document.getElementById(id);
    if (!piece) return;
    // Who is at a link or a button stays there.
    const places = [...piece.querySelectorAll(reachable)];
    const place = places.indexOf(document.activeElement);
    const open = [...piece.querySelectorAll("details")].map((one) => one.open);
    piece.innerHTML = html;
    piece.querySelectorAll("details").forEach((one, at) => (one.open = open[at] ?? false));
    if (place >= 0) piece.querySelectorAll(reachable)[place]?.focus({ preventScroll: true });
    if (id === "verdict") document.title = piece.querySelector("h1").lastChild.textContent.trim() + " – neural-exporter";
  });
  pieces.addEventListener("beat", seen);
  setInterval(() => {
    stale.hidden = Date.now() - last < 5000;
  }, 1000);
})();
