"use strict";
// Everything said is put in as text, never as HTML; a link leads only to evidence, and only over http(s) or within this site.
const NAMES = { user: "You", assistant: "Help desk", agent: "Support agent" };
const STATES = { open: "Ask a question.", escalated: "A person has your conversation and answers here.", resolved: "Solved. Write again at any time." };
const DOING = { reading: "Reading your message…", searching: "Searching the documents…", checking: "Checking the answer…", writing: "Writing the answer…" };
const POLL_MS = 2000;
const log = document.getElementById("log");
const box = document.getElementById("text");
const state = document.getElementById("state");
const shown = new Set();
// A browser may keep storage from a page in another's frame: then a conversation lasts as long as the page.
const memory = (() => {
  try {
    return window.sessionStorage;
  } catch {
    return { getItem: () => null, setItem: () => {}, removeItem: () => {} };
  }
})();
let session = null;
let speaking = false;
let unsent = {};

async function request(path, body, accept) {
  const headers = { "Content-Type": "application/json", Accept: accept };
  if (session) headers.Authorization = "Bearer " + session.token;
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  if (answer.status === 401) forget(); // erased, or from another server: the next message begins anew
  return answer;
}

function forget() {
  session = null;
  memory.removeItem("conversation");
}

async function call(path, body) {
  const answer = await request(path, body, "application/json");
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.message);
  return data;
}

// Server-sent events of a POST, which EventSource cannot send: parted by empty lines, each with its name and its data.
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const found = (rest + part.value).split("\n\n");
    rest = found.pop();
    for (const one of found) {
      const [name, data] = one.split("\n");
      yield { name: name.slice("event: ".length), data: JSON.parse(data.slice("data: ".length)) };
    }
  }
}

// Sentences appear as they come; a screen reader is told once, when all are there.
async function say(text, id) {
  const answer = await request("/sessions/" + session.id + "/messages", { text, id }, "text/event-stream");
  if (!answer.ok) throw new Error((await answer.json()).message);
  const article = document.createElement("article");
  const paragraph = element("p", "");
  article.className = "assistant";
  article.setAttribute("aria-busy", "true");
  article.append(element("h2", NAMES.assistant), paragraph);
  try {
    for await (const { name, data } of events(answer)) {
      if (name === "error") throw new Error(data.message);
      if (name === "doing") state.textContent = DOING[data.doing];
      if (name === "claim") {
        if (!article.isConnected) put(article);
        paragraph.textContent += (paragraph.textContent && "\n") + data.text;
      }
      if (name === "message" && data.answer) show(data.answer, article);
    }
  } finally {
    if (article.getAttribute("aria-busy")) article.remove(); // the connection broke: what was answered is read again
  }
}

function show(message, article = document.createElement("article")) {
  if (shown.has(message.id)) return;
  shown.add(message.id);
  article.className = message.author;
  article.replaceChildren(element("h2", NAMES[message.author]), element("p", message.text));
  article.removeAttribute("aria-busy");
  const isTheWay = message.answer && message.answer.action === "clarify" && message.answer.reason; // to a page, not an answer
  const evidence = message.answer && (message.answer.claims.length || isTheWay) ? message.answer.evidence : [];
  if (evidence.length) {
    const sources = document.createElement("ul");
    sources.setAttribute("aria-label", "Sources");
    evidence.forEach((one) => sources.append(source(one)));
    article.append(sources);
  }
  if (!article.isConnected) put(article);
}

function put(article) {
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
  if (!session || speaking) return; // an answer that is coming in is not to be read twice
  const read = await call("/sessions/" + session.id);
  if (speaking) return;
  read.messages.forEach((message) => show(message));
  state.textContent = STATES[read.state];
}

// The same words sent again after a failure are the same message: they are answered once.
async function send(event) {
  event.preventDefault();
  const text = box.value.trim();
  if (!text || speaking) return;
  if (unsent.text !== text) unsent = { text, id: newId() };
  box.value = "";
  speaking = true;
  try {
    if (!session) {
      session = await call("/sessions", {});
      memory.setItem("conversation", JSON.stringify(session));
    }
    show({ id: unsent.id, author: "user", text, answer: null });
    await say(text, unsent.id);
    unsent = {};
    speaking = false;
    await refresh();
  } catch (error) {
    state.textContent = error.message;
    box.value = text;
  }
  speaking = false;
  box.focus();
}

// crypto.randomUUID is there on secure pages only.
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

document.getElementById("say").addEventListener("submit", send);
box.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) document.getElementById("say").requestSubmit(), event.preventDefault();
});
session = JSON.parse(memory.getItem("conversation") || "null");
setInterval(() => refresh().catch(() => {}), POLL_MS);
refresh().catch(() => {});
