// One person: what is kept of her; another name; removal with its receipt.

import { ask, askTagged, get } from "./api.js";
import { openEnrolment } from "./enrol.js";
import { el, facts, openDialog, trouble } from "./dom.js";
import { bytes, counted, day } from "./words.js";

const address = (person) => `/people/${encodeURIComponent(person.uid)}`;

/** Shows all that is kept of a person. */
export async function openPerson(person, changed) {
  const content = el("div", { className: "stack" }, el("p", { className: "busy" }, "Reading…"));
  const close = el("button", { type: "button", on: { click: () => dialog.close() } }, "Close");
  const more = el("button", { type: "button", className: "first", on: { click: () => {
    dialog.close();
    openEnrolment(person, () => changed(`${person.name} has another picture`));
  } } }, "Add pictures");
  const dialog = openDialog(person.name, content, el("div", { className: "row" }, more, close));
  try {
    const whole = await get(address(person));
    content.replaceChildren(
      facts([["Since", day(whole.created)], ["Forgotten on", whole.expires ? day(whole.expires) : "never, until somebody removes her"],
        ["Pictures", String(whole.pictures)], ["Photos kept", String(whole.photos)]]),
      el("div", { className: "scroll" }, samples(whole)));
  } catch (problem) {
    content.replaceChildren(trouble(problem));
  }
}

function samples({ uid, samples: all }) {
  const head = ["Picture", "From", "Added", "Eyes apart", "Sharpness", "Findings"];
  return el("table", {}, el("thead", {}, el("tr", {}, head.map((word) => el("th", { scope: "col" }, word)))),
    el("tbody", {}, all.map((sample) => el("tr", {},
      el("td", {}, sample.photo ? el("img", { className: "thumb", alt: "", src: `/v1/people/${uid}/photos/${sample.number}/thumbnail` }) : el("span", { className: "muted small" }, "not kept")),
      el("td", {}, sample.source || "imported"), el("td", {}, day(sample.added)),
      el("td", {}, sample.quality ? `${Math.round(sample.quality.eye_distance)} px` : ""),
      el("td", {}, sample.quality ? sample.quality.sharpness.toFixed(2) : ""),
      el("td", {}, sample.quality?.reasons.join(", ") || (sample.quality ? "✓ fit" : "not known"))))));
}

/** Asks for another name. */
export function openRenaming(person, changed) {
  const name = el("input", { id: "new-name", required: true, value: person.name, autocomplete: "off", maxLength: 200 });
  const place = el("div", { role: "alert" });
  const form = el("form", {}, el("div", { className: "field" }, el("label", { htmlFor: "new-name" }, "New name"), name),
    el("p", { className: "muted small" }, "The old name is erased from the gallery."), place,
    el("div", { className: "row" }, el("button", { className: "first" }, "Rename"),
      el("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel")));
  const dialog = openDialog(`Rename ${person.name}`, form);
  name.select();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const { tag } = await askTagged("GET", address(person));
      await ask("PATCH", address(person), { json: { name: name.value }, headers: { "if-match": tag } });
      dialog.close();
      await changed(`${person.name} is ${name.value} now`);
    } catch (problem) {
      place.replaceChildren(trouble(problem));
    }
  });
}

/** Says what would be erased, asks once more, and shows the receipt. */
export function openRemoval(person, changed) {
  const place = el("div", { role: "alert" });
  const remove = el("button", { type: "button", className: "grave first" }, `Erase ${person.name}`);
  const keep = el("button", { type: "button", on: { click: () => dialog.close() } }, "Keep her");
  const content = el("div", { className: "stack" },
    el("p", {}, "This erases for good, from this gallery:"),
    el("ul", {}, el("li", {}, "the name and when it was enrolled"),
      el("li", {}, `the ${counted(person.pictures, "template")} made of ${person.pictures === 1 ? "the picture" : "the pictures"}`),
      el("li", {}, person.photos ? `${counted(person.photos, "kept photo")}` : "no photo, as none was kept"),
      el("li", {}, "pictures of her beside the access log; the log keeps a random number and no name")),
    el("p", { className: "muted" }, "Backups and exports made before are not touched: delete them yourself."),
    place, el("div", { className: "row" }, remove, keep));
  const dialog = openDialog(`Remove ${person.name}?`, content);
  keep.focus();
  remove.addEventListener("click", async () => {
    remove.disabled = true;
    try {
      const receipt = await ask("DELETE", address(person));
      showReceipt(content, person, receipt, dialog);
      await changed(`${person.name} was erased`);
    } catch (problem) {
      remove.disabled = false;
      place.replaceChildren(trouble(problem));
    }
  });
}

function showReceipt(content, person, receipt, dialog) {
  dialog.querySelector("h2").textContent = `${person.name} was erased`;
  const close = el("button", { type: "button", className: "first", on: { click: () => dialog.close() } }, "Done");
  content.replaceChildren(
    el("p", {}, "✓ Done. This receipt is shown once and kept nowhere."),
    el("div", { className: "receipt" }, el("h3", {}, "Erasure receipt"), facts([
      ["Person", person.name],
      ["Subject", el("span", { className: "code" }, receipt.subjects.join(", "))],
      ["Removed", [counted(receipt.pictures, "picture"), receipt.photos ? `, ${counted(receipt.photos, "kept photo")}` : "",
        receipt.keys ? `, ${counted(receipt.keys, "key")} destroyed` : ""].join("")],
      ["Gallery", el("span", { className: "code" }, receipt.gallery)],
      ["When", new Date(receipt.when).toLocaleString()],
      ["How", `the file was written anew, ${bytes(receipt.rebuilt_bytes)}, and its log emptied`],
    ])),
    el("div", { className: "row" }, close, el("button", { type: "button", on: { click: () => window.print() } }, "Print")));
  close.focus();
}
