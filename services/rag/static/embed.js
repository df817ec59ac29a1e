"use strict";
// One tag puts the chat on a page: <script src="https://chat.example.com/static/embed.js" data-label="Help desk" defer></script>
// The chat stays in a frame of its own origin: the page cannot read it, and it cannot read the page.
(() => {
  const script = document.currentScript;
  const label = script.dataset.label || "Help desk";
  const holder = document.createElement("div");
  holder.style.cssText = "position:fixed;right:1rem;bottom:1rem;z-index:2147483000;display:flex;flex-direction:column;align-items:flex-end;gap:.5rem";
  const frame = document.createElement("iframe");
  frame.title = label;
  frame.hidden = true;
  frame.referrerPolicy = "no-referrer";
  frame.style.cssText = "width:min(24rem,92vw);height:min(36rem,75vh);border:1px solid #888;border-radius:.5rem;background:Canvas";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.setAttribute("aria-expanded", "false");
  button.style.cssText = "font:inherit;padding:.5rem 1rem;border-radius:.5rem;cursor:pointer";
  button.addEventListener("click", () => {
    if (!frame.src) frame.src = new URL("/", script.src).href;
    frame.hidden = !frame.hidden;
    button.setAttribute("aria-expanded", String(!frame.hidden));
  });
  holder.append(frame, button);
  document.body.append(holder);
})();
