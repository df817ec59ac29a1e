// What htmx does not do by itself: keys in the review queue, focus after an answer, and telling when the gateway is away.
"use strict";

const openCards = () => [...document.querySelectorAll("[data-review]")];
const currentCard = () => document.activeElement?.closest("[data-review]");
const isTyping = (element) => element.matches("input, select, textarea, [contenteditable]");

function focusOn(element) {
  element?.focus({ preventScroll: true });
  element?.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const cards = openCards();
  const at = cards.indexOf(currentCard());
  focusOn(cards[at < 0 ? 0 : Math.min(Math.max(at + by, 0), cards.length - 1)]);
}

// Only on the card that has the focus: nobody answers what they have not looked at.
const answer = (form) => () => currentCard()?.querySelector(form)?.requestSubmit();
// The newest answer: the one below which the focus stands, or the last on the page.
let lastUndo = null;
const undo = () => (document.getElementById(lastUndo)?.querySelector("[data-undo]") ?? [...document.querySelectorAll("[data-undo]")].at(-1))?.requestSubmit();
function showAlike() {
  const head = currentCard()?.querySelector("[data-alike]");
  head?.click();
  head?.focus();
}

const KEYS = {
  a: answer("[data-accept]"),
  1: answer("[data-choice='1']"),
  2: answer("[data-choice='2']"),
  3: answer("[data-choice='3']"),
  c: () => currentCard()?.querySelector("select")?.focus(),
  n: answer("[data-no-group]"),
  x: answer("[data-not-a-ticket]"),
  l: showAlike,
  u: undo,
  j: () => step(1),
  k: () => step(-1),
};

// Teams: the same keys step through their headings, n opens the form for a new one.
const teamHeads = () => [...document.querySelectorAll("[data-team] > summary")];
function stepTeams(by) {
  const heads = teamHeads();
  const at = heads.indexOf(document.activeElement?.closest("[data-team]")?.querySelector("summary"));
  focusOn(heads[at < 0 ? 0 : Math.min(Math.max(at + by, 0), heads.length - 1)]);
}
function openNewTeam() {
  const panel = document.querySelector("[data-new-team]");
  if (!panel) return;
  panel.open = true;
  focusOn(panel.querySelector("input"));
}
const TEAM_KEYS = { j: () => stepTeams(1), k: () => stepTeams(-1), n: openNewTeam };

document.addEventListener("change", async (event) => {
  const into = document.getElementById(event.target.dataset?.into ?? "");
  if (into && event.target.files?.[0]) into.value = await event.target.files[0].text();
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && currentCard()) return focusOn(currentCard());
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const act = openCards().length || document.querySelector("[data-undo]") ? KEYS[event.key] : teamHeads().length ? TEAM_KEYS[event.key] : undefined;
  if (!act) return;
  event.preventDefault();
  act();
});

document.addEventListener("change", (event) => {
  const about = event.target.closest("form")?.querySelector(".about");
  if (about && event.target.matches("select")) about.textContent = event.target.selectedOptions[0]?.dataset.about ?? "";
});

// A page in the background asks for nothing.
document.addEventListener("htmx:before:request", (event) => {
  if (document.hidden && event.detail.ctx.sourceEvent?.type === "every") event.preventDefault();
});

// The card that was answered is gone: go on with the one after it.
let next = null;
document.addEventListener("htmx:before:swap", (event) => {
  const source = event.detail.ctx.sourceElement;
  if (source.matches("[data-undo]")) next = source.dataset.card ?? "queue";
  const card = source.closest("[data-review]");
  if (!card || source.matches("[data-alike]")) return;
  if (source.matches(".bulk")) return void (next = "queue");
  const cards = openCards();
  lastUndo = card.id;
  next = event.detail.ctx.response.status < 400 ? (cards[cards.indexOf(card) + 1] ?? cards.find((other) => other !== card)) : card;
  next = next?.id ?? "more";
});

document.addEventListener("htmx:after:swap", (event) => {
  if (next === "queue") focusOn(openCards()[0] ?? document.getElementById("queue"));
  else if (next) focusOn(document.getElementById(next) ?? document.getElementById("more"));
  else if (event.detail.ctx.request?.method === "POST") focusOn(document.getElementById("answer"));
  next = null;
  const tickets = document.getElementById("tickets");
  if (tickets) history.replaceState(null, "", tickets.dataset.address);
});

const notice = (text) => {
  const line = document.getElementById("notice");
  if (line.textContent.trim() !== text) line.replaceChildren(...(text ? [Object.assign(document.createElement("p"), { className: "problem", textContent: text })] : []));
};
document.addEventListener("htmx:error", () => notice("The gateway does not answer. Trying again…"));
document.addEventListener("htmx:after:request", (event) => {
  if (event.detail.ctx.response?.status < 400) notice("");
});

document.addEventListener("DOMContentLoaded", () => openCards()[0]?.focus({ preventScroll: true }));
