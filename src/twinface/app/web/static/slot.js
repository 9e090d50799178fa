// A place for one picture: drop, paste, choose or shoot.

import { takePicture } from "./camera.js";
import { el, icon, one, say } from "./dom.js";
import { mark, show, upright } from "./picture.js";

/** Wires a .slot of the page; `onPicture(file)` is told when there is a new one. */
export class Slot {
  constructor(place, name, onPicture) {
    this.name = name;
    this.file = this.picture = null;
    this._drop = one(".drop", place);
    this._input = one("input", place);
    this._told = onPicture;
    this._canvas = el("canvas", { "aria-hidden": "true" });
    this._input.addEventListener("change", () => this._input.files[0] && this.take(this._input.files[0]));
    one("[data-camera]", place).addEventListener("click", async () => {
      const file = await takePicture(`Picture ${name}`);
      if (file) this.take(file);
    });
    for (const kind of ["dragenter", "dragover"]) {
      this._drop.addEventListener(kind, (event) => { event.preventDefault(); this._drop.classList.add("over"); });
    }
    for (const kind of ["dragleave", "drop"]) this._drop.addEventListener(kind, () => this._drop.classList.remove("over"));
    this._drop.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) this.take(event.dataTransfer.files[0]);
    });
  }

  /** Takes a picture from wherever. */
  async take(file) {
    this.file = file;
    this.picture = await upright(file);
    if (this.file !== file) return;
    one(".hint", this._drop).hidden = true;
    this._drop.classList.add("full");
    one(".stand-in", this._drop)?.remove();
    this._canvas.remove();
    if (this.picture) {
      this._scale = show(this._canvas, this.picture);
      this._drop.append(this._canvas);
    } else {
      this._drop.classList.remove("full");
      this._drop.append(el("span", { className: "hint stand-in" }, icon("picture"), el("strong", {}, file.name), "This browser cannot show it."));
    }
    say(`Picture ${this.name}: ${file.name}`);
    this._told(file);
  }

  /** Draws the faces that were found. */
  markFaces(faces) {
    if (!this.picture) return;
    show(this._canvas, this.picture);
    mark(this._canvas, faces, this._scale);
  }
}
