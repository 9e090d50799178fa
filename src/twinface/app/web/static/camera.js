// The browser's camera: a stream, a picture of it, and a dialog that takes one.

import { el, openDialog, trouble } from "./dom.js";

/** Starts the camera into a <video>. Raises an error in words. */
export async function startCamera(video, size = { width: { ideal: 1280 }, height: { ideal: 960 } }) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw { title: "This page may not use the camera", detail: "Browsers allow it at https:// addresses and on this machine only. Choose a picture from a file instead." };
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", ...size }, audio: false });
    video.srcObject = stream;
    video.muted = true;
    video.playsInline = true;
    await video.play();
    return () => {
      for (const track of stream.getTracks()) track.stop();
      video.srcObject = null;
    };
  } catch (error) {
    const reasons = {
      NotAllowedError: "The browser was not allowed to use the camera. Allow it in the address bar, then try again.",
      NotFoundError: "There is no camera at this device. Choose a picture from a file instead.",
      NotReadableError: "Another program holds the camera. Close it, then try again.",
    };
    throw { title: "The camera does not start", detail: reasons[error.name] || error.message };
  }
}

/** A frame as JPEG. */
export function shoot(video, longest = 1600, quality = 0.92) {
  const scale = Math.min(1, longest / Math.max(video.videoWidth, video.videoHeight));
  const canvas = el("canvas", { width: Math.round(video.videoWidth * scale), height: Math.round(video.videoHeight * scale) });
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
}

/**
 * A dialog that takes a picture; resolves with a file, or null if it was closed.
 * `hints(video, tell)` may start to tell how good the picture would be, and gives back a function that stops it.
 */
export function takePicture(title = "Take a picture", hints = null) {
  return new Promise((resolve) => {
    const video = el("video", { muted: true, playsInline: true, "aria-label": "The camera's picture" });
    const tell = el("p", { role: "status", className: "notice" }, "The camera starts…");
    const take = el("button", { type: "button", className: "first", disabled: true }, "Take the picture");
    const cancel = el("button", { type: "button" }, "Cancel");
    const dialog = openDialog(title, el("div", { className: "shot" },
      el("div", { className: "view mirror" }, video), tell, el("div", { className: "row" }, take, cancel)));
    let stop = () => {}, quiet = () => {}, taken = null, closed = false;
    cancel.addEventListener("click", () => dialog.close());
    take.addEventListener("click", async () => {
      const picture = await shoot(video);
      taken = new File([picture], "camera.jpg", { type: "image/jpeg" });
      dialog.close();
    });
    dialog.addEventListener("close", () => { closed = true; quiet(); stop(); resolve(taken); });
    startCamera(video).then((end) => {
      stop = end;
      if (closed) return end();
      take.disabled = false;
      take.focus();
      tell.textContent = "Look into the camera.";
      if (hints) quiet = hints(video, (words, kind) => { tell.textContent = words; tell.className = `notice ${kind}`; });
    }).catch((problem) => tell.replaceWith(trouble(problem)));
  });
}
