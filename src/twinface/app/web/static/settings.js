// Settings: keys are made, shown once, revoked; the session ends here.

import { ask, get, post, rememberToken } from "./api.js";
import { el, facts, one, openDialog, say, trouble } from "./dom.js";
import { day } from "./words.js";

const keys = one("#keys"), made = one("#made"), session = one("#session");
let first = false;

one("#make").addEventListener("submit", make);
load();
showSession();

async function load() {
  try {
    const answer = await get("/keys");
    const open = one("#open");
    open.hidden = !answer.open;
    first = answer.open;
    if (first) one("#role").value = "admin";
    open.textContent = "There is no key yet: everybody at this machine may do everything. The first key is an admin's, and from then on every request needs one.";
    keys.replaceChildren(answer.keys.length ? table(answer.keys) : el("p", { className: "muted" }, "No key was made yet."));
  } catch (problem) {
    keys.replaceChildren(trouble(problem));
  }
}

function table(all) {
  const head = ["For", "May", "Made", "Until", "State", ""];
  return el("table", {}, el("thead", {}, el("tr", {}, head.map((word) => el("th", { scope: "col" }, word || el("span", { className: "visually-hidden" }, "Action"))))),
    el("tbody", {}, all.map((key) => el("tr", {},
      el("td", {}, el("strong", {}, key.name), el("div", { className: "code small muted" }, key.id)),
      el("td", {}, key.role), el("td", {}, day(key.created)), el("td", {}, key.expires ? day(key.expires) : "it is revoked"),
      el("td", {}, key.revoked ? el("span", { className: "chip bad" }, "✗ revoked") : el("span", { className: "chip good" }, "✓ valid")),
      el("td", {}, key.revoked ? "" : el("button", { type: "button", className: "plain grave", "aria-label": `Revoke ${key.name}`,
        on: { click: () => openRevoking(key) } }, "Revoke"))))));
}

async function make(event) {
  event.preventDefault();
  try {
    const key = await post("/keys", { json: { name: one("#key-name").value, role: one("#role").value } });
    const copy = el("button", { type: "button" }, "Copy");
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(key.secret).then(() => say("Copied"), () => say("The browser refused to copy; select the key instead"));
      copy.textContent = "✓ Copied";
    });
    made.replaceChildren(el("div", { className: "notice good stack" },
      el("strong", {}, "Copy it now: it is shown once, and kept only as a hash."), el("div", { className: "secret" }, key.secret),
      el("div", { className: "row" }, copy)));
    one("#key-name").value = "";
    if (first) rememberToken((await post("/session", { json: { key: key.secret } })).csrf);
    await load();
    await showSession();
  } catch (problem) {
    made.replaceChildren(trouble(problem));
  }
}

function openRevoking(key) {
  const place = el("div", { role: "alert" });
  const revoke = el("button", { type: "button", className: "grave first" }, "Revoke it");
  const keep = el("button", { type: "button", on: { click: () => dialog.close() } }, "Keep it");
  const dialog = openDialog(`Revoke “${key.name}”?`, el("div", { className: "stack" },
    el("p", {}, "Whoever uses it is refused from now on. A revoked key does not come back; make another."), place,
    el("div", { className: "row" }, revoke, keep)));
  keep.focus();
  revoke.addEventListener("click", async () => {
    try {
      await ask("DELETE", `/keys/${encodeURIComponent(key.id)}`);
      dialog.close();
      say(`${key.name} is revoked`);
      await load();
    } catch (problem) {
      place.replaceChildren(trouble(problem));
    }
  });
}

async function showSession() {
  try {
    const now = await get("/session");
    if (!now.role) {
      session.replaceChildren(el("p", {}, "Nobody is signed in here. ", el("a", { href: "/login?next=/settings" }, "Sign in")));
      return;
    }
    session.replaceChildren(
      facts([["Signed in as", now.open ? "everybody at this machine" : now.name], ["May", now.role]]),
      now.csrf ? el("p", {}, el("button", { type: "button", on: { click: leave } }, "Sign out"))
        : el("p", { className: "muted small" }, "No key is wanted here, so there is no session to end."));
  } catch (problem) {
    session.replaceChildren(trouble(problem));
  }
}

async function leave() {
  await ask("DELETE", "/session").catch((problem) => session.append(trouble(problem)));
  rememberToken("");
  location.assign("/login");
}
