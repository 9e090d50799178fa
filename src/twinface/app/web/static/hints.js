// Live hints before a picture is taken: what /v1/detect says of the camera's frames, in words one can act on.

import { form, post } from "./api.js";
import { shoot } from "./camera.js";

const PAUSE = 350;

/** Looks at a frame about twice a second and tells what to do better; gives back what ends it. */
export function liveHints(video, tell) {
  let going = true;
  (async () => {
    while (going) {
      try {
        const frame = await shoot(video, 640, 0.8);
        if (!frame) break;
        const found = await post("/detect", { form: form({ picture: new File([frame], "frame.jpg", { type: "image/jpeg" }) }) });
        if (going) tell(...hint(found.faces, found.width));
      } catch (problem) {
        if (going) tell(problem.detail || problem.title || "No hints for now.", "doubt");
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  })();
  return () => { going = false; };
}

/** What to do about the faces found: words, and "good" or "doubt". */
export function hint(faces, width) {
  if (faces.length === 0) return ["No face to be seen. Come before the camera, into the light.", "doubt"];
  if (faces.length > 1 && faces[1].box[2] > faces[0].box[2] / 2) return ["Several people. One at a time, please.", "doubt"];
  const { usable, reasons, brightness, yaw } = faces[0].quality;
  if (faces[0].box[2] < width / 6) return ["Come nearer.", "doubt"];
  if (Math.abs(yaw) > 25) return ["Look straight into the camera.", "doubt"];
  if (brightness < 60) return ["Too dark. Turn towards the light.", "doubt"];
  if (!usable) return [`Not yet: ${reasons.join(", ")}. Hold still, look into the camera.`, "doubt"];
  return ["✓ Good. Take the picture.", "good"];
}
