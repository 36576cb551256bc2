"use strict";
// A conversation with the server, and a picture of what the past takes. No libraries, nothing from elsewhere.

const element = (id) => document.getElementById(id);
const KINDS = {
  tokens: "whole tokens",
  exact_dims: "dims kept whole",
  coefficients: "spectra and coefficients",
  codes: "codes of few bits",
  bookkeeping: "bookkeeping",
};
const POLL_MS = 700;

/** The conversation as the API takes it. */
let messages = [];
let model = null;
let attachment = null;
/** Stops the answer that is coming. */
let running = null;

/** A response, or an error that says what the server said. */
async function ask(path, options = {}) {
  const response = await fetch(path, { headers: { "content-type": "application/json" }, ...options });
  if (!response.ok) {
    const body = await response.json().catch(() => null);
    throw new Error(body?.error?.message ?? `the server answered with status ${response.status}`);
  }
  return response;
}

function notice(text) {
  element("notice").textContent = text;
  element("notice").hidden = !text;
}

/** 5123456 as "5.1 MB". */
function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? count : count.toFixed(1)} ${units[unit]}`;
}

// ---- the conversation ----

function turn(role, text) {
  element("turns").querySelector(".empty")?.remove();
  const item = document.createElement("li");
  item.className = role;
  item.append(document.createTextNode(text));
  element("turns").append(item);
  item.scrollIntoView({ block: "end" });
  return item;
}

function addNote(item, text, kind) {
  const note = document.createElement("span");
  note.className = kind;
  note.textContent = text;
  item.append(note);
}

/** The objects of a stream of server-sent events. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      return;
    }
    held += value;
    const whole = held.split("\n\n");
    held = whole.pop();
    for (const event of whole) {
      const data = event.startsWith("data: ") ? event.slice(6) : null;
      if (data === "[DONE]") {
        yield { done: true };
      } else if (data !== null) {
        yield JSON.parse(data);
      }
    }
  }
}

function request() {
  const system = element("system").value.trim();
  return JSON.stringify({
    model,
    messages: [...(system ? [{ role: "system", content: system }] : []), ...messages],
    stream: true,
    stream_options: { include_usage: true },
    temperature: Number(element("temperature").value),
    max_tokens: Number(element("tokens").value),
  });
}

/** Shows an answer as it comes; its text. */
async function show(item, signal) {
  const response = await ask("/v1/chat/completions", { method: "POST", body: request(), signal });
  const text = item.firstChild;
  let ended = false;
  for await (const event of events(response)) {
    if (event.error) {
      throw new Error(event.error.message);
    }
    ended ||= event.done === true;
    const choice = event.choices?.[0];
    const list = element("turns");
    const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    text.data += choice?.delta?.content ?? "";
    if (follows) {
      list.scrollTop = list.scrollHeight;
    }
    if (choice?.finish_reason === "length") {
      addNote(item, "cut at the longest length", "note");
    }
    if (event.usage) {
      const { prompt_tokens: read, completion_tokens: made, prompt_tokens_details: details } = event.usage;
      const reused = details?.cached_tokens ? `, ${details.cached_tokens} of them from memory` : "";
      addNote(item, `${read} tokens read${reused}; ${made} written`, "note");
    }
  }
  if (!ended) {
    throw new Error("the connection was lost");
  }
}

function busy(controller) {
  running = controller;
  element("send").disabled = controller !== null;
  element("stop").hidden = controller === null;
}

async function send() {
  const typed = element("text").value.trim();
  if (running || (!typed && !attachment)) {
    return;
  }
  notice("");
  const content = attachment ? `${attachment.text}\n\n${typed}` : typed;
  messages.push({ role: "user", content });
  const mine = turn("user", typed);
  if (attachment) {
    addNote(mine, `${attachment.name}, ${bytes(attachment.text.length)}`, "file");
  }
  const draft = { typed, attachment };
  element("text").value = "";
  attach(null);
  await answer(draft, mine);
}

async function answer(draft, mine) {
  const controller = new AbortController();
  busy(controller);
  const item = turn("assistant", "");
  item.classList.add("working");
  try {
    await show(item, controller.signal);
    messages.push({ role: "assistant", content: item.firstChild.data });
  } catch (error) {
    failed(error, item, draft, mine);
  } finally {
    item.classList.remove("working");
    busy(null);
    element("text").focus();
    look();
  }
}

/** What was written so far stays; if that is nothing, the message goes back to be sent again. */
function failed(error, item, draft, mine) {
  const said = item.firstChild.data;
  if (said) {
    messages.push({ role: "assistant", content: said });
    addNote(item, error.name === "AbortError" ? "stopped" : "cut short", "note");
  } else {
    messages.pop();
    item.remove();
    mine.remove();
    element("text").value = draft.typed;
    attach(draft.attachment);
  }
  if (error.name !== "AbortError") {
    const lost = error instanceof TypeError || /network/i.test(error.message);
    notice(lost ? "The connection was lost. Your message is kept: send it again." : error.message);
  }
}

function attach(file) {
  attachment = file;
  element("attached").hidden = file === null;
  element("attached-name").textContent = file ? `${file.name} (${bytes(file.text.length)})` : "";
  element("file").value = "";
}

function clear() {
  running?.abort();
  messages = [];
  element("turns").replaceChildren();
  notice("");
  element("text").focus();
}

// ---- the picture ----

function bar(label, parts, whole) {
  const box = document.createElement("div");
  const name = document.createElement("span");
  name.className = "label";
  name.textContent = label;
  const meter = document.createElement("div");
  meter.className = "meter";
  for (const [kind, count] of parts) {
    const part = document.createElement("span");
    part.style.width = `${(100 * count) / Math.max(whole, 1)}%`;
    part.style.background = `var(--${kind})`;
    meter.append(part);
  }
  box.append(name, meter);
  return box;
}

function row(text, value, colour) {
  const item = document.createElement("li");
  const amount = document.createElement("b");
  amount.textContent = value;
  if (colour) {
    const mark = document.createElement("i");
    mark.style.background = `var(--${colour})`;
    item.append(mark);
  }
  item.append(text, amount);
  return item;
}

/** One past: what it holds, by region, beside what exact would take. */
function pastItem(past) {
  const what = past.now ? "answering" : past.named ? "session" : "kept";
  const item = document.createElement("li");
  const parts = Object.keys(KINDS).map((kind) => [kind, past.by_kind[kind]]);
  const label = `${what}, ${past.tokens} tokens: ${bytes(past.bytes)} instead of ${bytes(past.exact_bytes)}`;
  item.append(bar(label, parts, Math.max(past.bytes, past.exact_bytes)));
  return item;
}

function draw(cache) {
  const pasts = [...cache.running.map((past) => ({ ...past, now: true })), ...cache.sessions.map((past) => ({ ...past, named: true })), ...cache.kept];
  const sum = (of) => pasts.reduce((total, past) => total + of(past), 0);
  const [held, exact] = [sum((past) => past.bytes), sum((past) => past.exact_bytes)];
  const kinds = Object.keys(KINDS).map((kind) => [kind, sum((past) => past.by_kind[kind])]);
  element("saving").textContent = held ? `${(exact / held).toFixed(1)}×` : "–";
  element("saving-note").textContent = held
    ? `smaller than exact: ${bytes(held)} instead of ${bytes(exact)}`
    : "nothing is held yet";
  const whole = Math.max(held, exact);
  element("bars").replaceChildren(
    bar(`held: ${bytes(held)}`, kinds, whole),
    bar(`exact would take: ${bytes(exact)}`, [["exact", exact]], whole),
  );
  const shown = kinds.filter(([, count]) => count > 0);
  element("legend").replaceChildren(...shown.map(([kind, count]) => row(KINDS[kind], bytes(count), kind)));
  element("pasts").replaceChildren(...(pasts.length ? pasts.map(pastItem) : [row("none", "")]));
  const share = Math.min(100, (100 * cache.bytes) / cache.budget_bytes);
  element("room").firstElementChild.style.width = `${share}%`;
  const waiting = cache.queued + cache.reading;
  element("room-note").textContent =
    `${bytes(cache.bytes)} of ${bytes(cache.budget_bytes)} for everybody` + (waiting ? `; ${waiting} waiting` : "");
}

/** Asks for the model and the picture once. */
async function look() {
  try {
    if (model === null) {
      const { data } = await (await ask("/v1/models")).json();
      model = data[0].id;
      element("model").textContent = `${model}, ${data[0].context_length} tokens of context, ${data[0].cache.split(":")[0]} cache`;
      element("model").title = data[0].cache;
    }
    draw(await (await ask("/v1/cache")).json());
  } catch (error) {
    element("model").textContent = error instanceof TypeError ? "the server cannot be reached" : error.message;
    model = null;
  }
}

async function watch() {
  await look();
  setTimeout(watch, document.hidden ? 10 * POLL_MS : POLL_MS);
}

// ---- what people do ----

element("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
element("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    running?.abort();
  }
});
element("stop").addEventListener("click", () => running?.abort());
element("clear").addEventListener("click", clear);
element("detach").addEventListener("click", () => attach(null));
element("attach").addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    element("file").click();
  }
});
element("file").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  if (file) {
    attach({ name: file.name, text: await file.text() });
  }
  element("text").focus();
});
watch();
