// People: who is enrolled; search, enrol, rename, remove.

import { get } from "./api.js";
import { openEnrolment } from "./enrol.js";
import { showFindings } from "./findings.js";
import { el, icon, one, say, trouble } from "./dom.js";
import { openPerson, openRemoval, openRenaming } from "./person.js";
import { counted, day } from "./words.js";

const PAGE = 60;
const list = one("#list"), find = one("#find");
let people = [];

one("#enrol").addEventListener("click", () => openEnrolment(null, reload));
find.addEventListener("input", () => { shown = PAGE; render(); });
one("#more").addEventListener("click", () => { shown += PAGE; render(); });
let shown = PAGE;

reload();

async function reload() {
  try {
    people = await everybody();
    render();
    if (people.length) showFindings(one("#findings"));
    else one("#findings").hidden = true;
  } catch (problem) {
    list.replaceChildren(trouble(problem));
  }
}

async function everybody() {
  const found = [];
  let cursor = "";
  do {
    const page = await get(`/people?limit=1000${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    found.push(...page.people);
    cursor = page.next;
  } while (cursor);
  return found;
}

function render() {
  one("#tools").hidden = people.length === 0;
  const words = find.value.trim().toLocaleLowerCase();
  const found = people.filter((person) => person.name.toLocaleLowerCase().includes(words));
  one("#count").textContent = words ? `${found.length} of ${counted(people.length, "person", "people")}` : counted(people.length, "person", "people");
  one("#more-row").hidden = found.length <= shown;
  if (people.length === 0) list.replaceChildren(empty());
  else if (found.length === 0) list.replaceChildren(el("p", { className: "muted" }, `Nobody's name holds “${find.value.trim()}”.`));
  else list.replaceChildren(el("ul", { className: "people" }, found.slice(0, shown).map(card)));
}

function empty() {
  return el("section", { className: "card empty", "aria-label": "Nobody is enrolled" }, icon("people"),
    el("h2", {}, "Nobody is enrolled yet"),
    el("p", {}, "Enrol somebody, and TwinFace finds her again in pictures, videos and before the camera."),
    el("ol", {},
      el("li", {}, "Ask the person: her face is hers."),
      el("li", {}, "Take two or three pictures: from the front, in even light, one with glasses if she wears them."),
      el("li", {}, "Give her name. What is kept is a template of 128 numbers; the pictures only if you say so.")),
    el("button", { type: "button", className: "first", on: { click: () => openEnrolment(null, reload) } }, "Enrol the first person"));
}

function card(person) {
  const act = (words, open, kind = "") => el("button", { type: "button", className: `plain ${kind}`,
    "aria-label": `${words} ${person.name}`, on: { click: () => open(person, changed) } }, words);
  return el("li", { className: "card person" },
    el("div", { className: "face" }, face(person)),
    el("div", { className: "body" }, el("h2", {}, el("button", { type: "button", className: "name", "aria-haspopup": "dialog",
      on: { click: () => openPerson(person, changed) } }, person.name)),
      el("p", { className: "muted small" }, `${counted(person.pictures, "picture")}, since ${day(person.created)}`),
      person.expires ? el("p", { className: "small" }, el("span", { className: "chip doubt" }, `until ${day(person.expires)}`)) : ""),
    el("div", { className: "row" }, act("Rename", openRenaming), act("Remove", openRemoval, "grave")));
}

function face(person) {
  const letters = person.name.split(/\s+/).map((word) => word[0]).filter(Boolean);
  const initials = el("span", { "aria-hidden": "true" }, [letters[0], letters.length > 1 ? letters[letters.length - 1] : ""].join("").toLocaleUpperCase());
  if (!person.photos) return initials;
  const picture = el("img", { alt: "", loading: "lazy", src: `/v1/people/${person.uid}/thumbnail` });
  picture.addEventListener("error", () => picture.replaceWith(initials));
  return picture;
}

function changed(words) {
  say(words);
  return reload();
}
