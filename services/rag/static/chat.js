"use strict";
// Everything said is put in as text, never as HTML; a link leads only to evidence, and only over http(s) or within this site.
const NAMES = { user: "You", assistant: "Help desk", agent: "Support agent" };
const STATES = { open: "Ask a question.", escalated: "A person has your conversation and answers here.", resolved: "Solved. Write again at any time." };
const POLL_MS = 2000;
const log = document.getElementById("log");
const box = document.getElementById("text");
const shown = new Set();
// A browser may keep storage from a page in another's frame: then a conversation lasts as long as the page.
const memory = (() => {
  try {
    return window.sessionStorage;
  } catch {
    return { getItem: () => null, setItem: () => {} };
  }
})();
let session = null;

async function call(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (session) headers.Authorization = "Bearer " + session.token;
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.message);
  return data;
}

function show(message) {
  if (shown.has(message.id)) return;
  shown.add(message.id);
  const article = document.createElement("article");
  article.className = message.author;
  article.append(element("h2", NAMES[message.author]), element("p", message.text));
  const evidence = message.answer && message.answer.claims.length ? message.answer.evidence : [];
  if (evidence.length) {
    const sources = document.createElement("ul");
    sources.setAttribute("aria-label", "Sources");
    evidence.forEach((one) => sources.append(source(one)));
    article.append(sources);
  }
  log.append(article);
  article.scrollIntoView();
}

function source(evidence) {
  const item = document.createElement("li");
  const place = evidence.start_s !== null ? "#t=" + Math.floor(evidence.start_s) : evidence.page !== null ? "#page=" + evidence.page : "";
  if (/^https?:\/\//.test(evidence.uri)) {
    const link = element("a", (evidence.title || evidence.uri) + watchFrom(evidence));
    link.href = evidence.uri + place;
    link.rel = "noopener noreferrer";
    link.target = "_blank";
    item.append(link);
  } else {
    item.textContent = "Source: " + (evidence.title || evidence.uri) + watchFrom(evidence) + " (" + evidence.uri + place + ")";
  }
  return item;
}

function watchFrom(evidence) {
  if (evidence.start_s === null) return "";
  const seconds = Math.floor(evidence.start_s);
  return ", watch from " + Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

async function refresh() {
  if (!session) return;
  const read = await call("/sessions/" + session.id);
  read.messages.forEach(show);
  document.getElementById("state").textContent = STATES[read.state];
}

async function send(event) {
  event.preventDefault();
  const text = box.value.trim();
  if (!text) return;
  box.value = "";
  const id = crypto.randomUUID ? crypto.randomUUID() : undefined;
  try {
    if (!session) {
      session = await call("/sessions", {});
      memory.setItem("conversation", JSON.stringify(session));
    }
    if (id) show({ id, author: "user", text, answer: null });
    await call("/sessions/" + session.id + "/messages", { text, id });
    await refresh();
  } catch (error) {
    document.getElementById("state").textContent = error.message;
    box.value = text;
  }
  box.focus();
}

document.getElementById("say").addEventListener("submit", send);
box.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) document.getElementById("say").requestSubmit(), event.preventDefault();
});
session = JSON.parse(memory.getItem("conversation") || "null");
setInterval(() => refresh().catch(() => {}), POLL_MS);
refresh().catch(() => {});
