// Access: floor buttons, the door's camera, the light and the sound, what was decided.

import { get, post } from "./api.js";
import { askPin } from "./pin.js";
import { el, icon, one, trouble } from "./dom.js";
import { chime } from "./sound.js";

const LIT = 6000, FRAME = 200, STATUS = 400;
const lamp = one("#lamp"), camera = one("#camera"), place = one("#place");
let busy = false, dark = null, names = new Map();

load();

async function load() {
  try {
    const policy = await get("/access/policy");
    names = new Map(policy.places.map((one) => [one.id, one.name || one.id]));
    one("#floors").replaceChildren(...[...policy.places].reverse().map(floor));
    place.replaceChildren();
    one("#panel").hidden = false;
    refresh();
    film();
  } catch (problem) {
    place.replaceChildren(problem.code === "access-not-configured" ? empty() : trouble(problem));
  }
}

function empty() {
  return el("section", { className: "card empty", "aria-label": "No access point" }, icon("access"),
    el("h2", {}, "This server watches no door"),
    el("p", {}, "Start it with a policy and a camera, and this page is the panel of your elevator:"),
    el("p", {}, el("code", {}, "twinface serve --policy policy.toml --source 0")),
    el("ol", {}, el("li", {}, "The policy says who may go where and when; whatever it does not allow is refused."),
      el("li", {}, "Enrol the people it names on the People page."),
      el("li", {}, "A camera that fails, a doubtful face, a picture held up: refused, with the reason in the log.")));
}

function floor(where) {
  const number = (where.name || where.id).match(/\d+/);
  const pin = wantsPin(where) ? el("span", { className: "muted small" }, " with PIN") : "";
  return el("li", {}, el("button", { type: "button", "aria-pressed": "false", on: { click: (event) => ask(where, event.currentTarget) } },
    el("span", { className: "key", "aria-hidden": "true" }, number ? number[0] : (where.name || where.id)[0].toLocaleUpperCase()),
    el("span", {}, where.name || where.id, pin)));
}

function wantsPin(where) {
  return where.asked.some((words) => /\bPIN\b/.test(words));
}

async function ask(where, button) {
  if (busy) return;
  const pin = wantsPin(where) ? await askPin(where.name || where.id) : "";
  if (pin === null) return;
  busy = true;
  clearTimeout(dark);
  button.setAttribute("aria-pressed", "true");
  light("", "…", "Look into the camera", names.get(where.id));
  const watching = setInterval(prompt, STATUS);
  try {
    const answer = await post("/access/requests", { json: pin ? { place: where.id, pin } : { place: where.id } });
    const granted = answer.decision === "grant";
    light(granted ? "go" : "stop", granted ? "✓" : "✗", granted ? "Go" : "Stop", answer.words);
    sound(granted);
  } catch (problem) {
    light("stop", "✗", "Stop", [problem.title, problem.detail].filter(Boolean).join(": "));
    sound(false);
  } finally {
    clearInterval(watching);
    button.setAttribute("aria-pressed", "false");
    busy = false;
    dark = setTimeout(() => light("", "", "Ready", "Press a floor."), LIT);
    refresh();
  }
}

/** A light is never the only sign: there is a mark, a word, and why. */
function light(kind, sign, word, why) {
  lamp.className = `lamp ${kind}`;
  one("#sign").textContent = sign;
  one("#word").textContent = word;
  one("#why").textContent = why;
}

async function prompt() {
  const status = await get("/access/status").catch(() => null);
  if (busy && status?.prompt && status.prompt !== one("#word").textContent) one("#word").textContent = status.prompt;
}

function sound(granted) {
  if (one("#sound").checked) chime(granted);
}

async function refresh() {
  const events = one("#events");
  try {
    const answer = await get("/access/events?limit=40");
    const decided = answer.events.filter((event) => event.damaged || event.decision);
    events.replaceChildren(decided.length ? table(decided) : el("p", { className: "muted" }, "Nobody has asked yet. Every request is listed here, granted or refused, and why."));
  } catch (problem) {
    events.replaceChildren(trouble(problem));
  }
}

function table(rows) {
  const head = ["When", "Decision", "Where", "Who", "Why"];
  return el("table", {}, el("thead", {}, el("tr", {}, head.map((word) => el("th", { scope: "col" }, word)))), el("tbody", {}, rows.map(row)));
}

function row(event) {
  if (event.damaged) return el("tr", {}, el("td", { colSpan: 5 }, `✗ Record ${event.number} is damaged`));
  const granted = event.decision === "grant";
  const decision = event.decision ? el("span", { className: `chip ${granted ? "good" : "bad"}` }, granted ? "✓ grant" : "✗ refuse") : "";
  const people = event.people.map((name) => name || "removed person").join(", ");
  return el("tr", {}, el("td", {}, new Date(event.at).toLocaleTimeString()), el("td", {}, decision),
    el("td", {}, names.get(event.place) || event.place || ""), el("td", {}, people || "nobody known"), el("td", {}, event.words || ""));
}

/** The door's camera, a picture at a time, while somebody looks at this page. */
async function film() {
  for (;;) {
    if (!document.hidden) {
      const answer = await fetch("/v1/access/frame").catch(() => null);
      const picture = answer?.ok ? await createImageBitmap(await answer.blob()).catch(() => null) : null;
      one("#curtain").hidden = picture !== null;
      if (picture === null) {
        const status = await get("/access/status").catch(() => null);
        one("#dark").textContent = status?.trouble || "The camera shows nothing.";
      } else {
        camera.width = picture.width;
        camera.height = picture.height;
        camera.getContext("2d").drawImage(picture, 0, 0);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, FRAME));
  }
}
