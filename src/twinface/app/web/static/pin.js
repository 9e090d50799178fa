// A PIN, asked for where a place wants one. It is sent with the request and kept nowhere.

import { el, openDialog } from "./dom.js";

/** The PIN typed; null if it was given up. */
export function askPin(where) {
  return new Promise((resolve) => {
    const field = el("input", { id: "pin", type: "password", inputMode: "numeric", autocomplete: "off", required: true });
    const form = el("form", {}, el("div", { className: "field" }, el("label", { htmlFor: "pin" }, "PIN"), field),
      el("div", { className: "row" }, el("button", { className: "first" }, "Go on"),
        el("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel")));
    const dialog = openDialog(where, form);
    let pin = null;
    form.addEventListener("submit", (event) => { event.preventDefault(); pin = field.value; dialog.close(); });
    dialog.addEventListener("close", () => { field.value = ""; resolve(pin); });
  });
}
