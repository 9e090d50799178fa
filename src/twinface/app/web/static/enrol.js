// Enrolment: pictures from files or the camera, with hints on their quality before anything is kept.

import { form, post } from "./api.js";
import { takePicture } from "./camera.js";
import { el, openDialog, say, trouble } from "./dom.js";
import { liveHints } from "./hints.js";
import { cutOut, upright } from "./picture.js";
import { counted } from "./words.js";

/** Opens the form, for somebody new or for more pictures of a person; `done` is called when somebody was enrolled. */
export function openEnrolment(person, done) {
  const name = person?.name || "";
  const who = el("input", { id: "who", required: true, autocomplete: "off", maxLength: 200, value: name, readOnly: Boolean(name) });
  const file = el("input", { type: "file", accept: "image/*", multiple: true, id: "photos" });
  const camera = el("button", { type: "button" }, "Use the camera");
  const keep = el("input", { type: "checkbox", id: "keep" });
  const shots = el("ul", { className: "shots", "aria-label": "Pictures chosen" });
  const place = el("div", { role: "alert" });
  const submit = el("button", { className: "first" }, "Enrol");
  const sheet = el("form", {},
    el("div", { className: "field" }, el("label", { htmlFor: "who" }, "Name"), who),
    el("div", { className: "field" }, el("label", { htmlFor: "photos" }, "Pictures, each with one clear face"), file),
    el("div", { className: "row" }, camera), shots,
    el("label", { className: "check" }, keep, "Keep the photos: they are shown here, and a later model can learn the person anew"),
    place, el("div", { className: "row" }, submit, el("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel")));
  const dialog = openDialog(name ? `More pictures of ${name}` : "Enrol somebody", sheet);
  let pictures = [], once = newKey();

  who.addEventListener("input", () => { once = newKey(); });

  file.addEventListener("change", () => { for (const one of file.files) add(one); file.value = ""; });
  camera.addEventListener("click", async () => {
    const shot = await takePicture("Picture for enrolment", liveHints);
    if (shot) add(shot);
  });

  async function add(picture) {
    place.replaceChildren();
    const told = el("p", {}, "…");
    const canvas = el("canvas", { "aria-hidden": "true" });
    const drop = el("button", { type: "button", className: "plain", "aria-label": `Leave out ${picture.name}` }, "Leave out");
    const item = el("li", {}, canvas, told, drop);
    pictures.push(picture);
    once = newKey();
    shots.append(item);
    drop.addEventListener("click", () => { pictures = pictures.filter((one) => one !== picture); once = newKey(); item.remove(); });
    try {
      const found = await post("/detect", { form: form({ picture }) });
      const shown = await upright(picture);
      if (shown && found.faces[0]) cutOut(canvas, shown, found.faces[0].box);
      told.textContent = verdict(found.faces);
    } catch (problem) {
      told.textContent = `✗ ${problem.detail || problem.title}`;
    }
    say(`${picture.name}: ${told.textContent}`);
  }

  sheet.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (pictures.length === 0) {
      place.replaceChildren(trouble({ title: "There is no picture yet", detail: "Choose one, or use the camera." }));
      return;
    }
    submit.disabled = true;
    try {
      const shared = { photo: pictures, keep_photos: keep.checked };
      const answer = person ? await post(`/people/${person.uid}/photos`, { form: form(shared) })
        : await post("/people", { form: form({ name: who.value, ...shared }), headers: { "idempotency-key": once } });
      await done();
      tell(answer);
    } catch (problem) {
      place.replaceChildren(trouble(problem));
    } finally {
      submit.disabled = false;
    }
  });

  function tell(answer) {
    const refused = answer.photos.filter((one) => one.result !== "enrolled");
    const enrolled = counted(answer.photos.length - refused.length, "picture");
    say(`${who.value}: ${enrolled} enrolled`);
    if (refused.length === 0) return dialog.close();
    pictures = [];
    shots.replaceChildren();
    place.replaceChildren(el("div", { className: "notice doubt" }, el("strong", {}, `${enrolled} enrolled, ${refused.length} not`),
      refused.map((one) => el("p", {}, `${one.photo || "A picture"}: ${one.why || one.result}`))));
  }
}

/** A request sent again with the same key is carried out once. */
function newKey() {
  return `page-${Date.now()}-${Math.random().toString(36).slice(2)}`;
}

function verdict(faces) {
  if (faces.length === 0) return "✗ no face found";
  const { usable, reasons } = faces[0].quality;
  const several = faces.length > 1 ? `; ${faces.length} faces` : "";
  return usable ? `✓ fit${several}` : `✗ ${reasons.join(", ")}`;
}
