// Pictures in the browser: read upright, boxes and landmarks drawn, faces turned as the encoder sees them.

/** An upright picture, or null where the browser cannot show this kind (HEIF); the server may read it all the same. */
export async function upright(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return null;
  }
}

/** Shows a picture on a canvas, at most `longest` pixels wide or high; gives the scale it was drawn at. */
export function show(canvas, picture, longest = 1200) {
  const scale = Math.min(1, longest / Math.max(picture.width, picture.height));
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return scale;
}

/** Boxes and landmarks over what a canvas shows; `faces` as the server gives them, in pixels of the picture. */
export function mark(canvas, faces, scale, { colour = "#4cc3cc", label = () => "" } = {}) {
  const pen = canvas.getContext("2d");
  const unit = Math.max(1.5, canvas.width / 320);
  for (const face of faces) {
    const [x, y, width, height] = face.box.map((value) => value * scale);
    const own = typeof colour === "function" ? colour(face) : colour;
    pen.lineWidth = unit * 1.4;
    pen.strokeStyle = own;
    pen.beginPath();
    pen.roundRect(x, y, width, height, unit * 5);
    pen.stroke();
    dots(pen, (face.landmarks || []).map(([a, b]) => [a * scale, b * scale]), unit * 1.5, own);
    const words = label(face);
    if (words) caption(pen, words, x, y, canvas, own);
  }
}

function dots(pen, points, radius, colour) {
  for (const [x, y] of points) {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fillStyle = colour;
    pen.fill();
    pen.lineWidth = Math.max(1, radius / 3);
    pen.strokeStyle = "rgb(0 0 0 / 65%)";
    pen.stroke();
  }
}

function caption(pen, words, x, y, canvas, colour) {
  const size = Math.max(13, canvas.width / 32);
  pen.font = `600 ${size}px system-ui, sans-serif`;
  const width = pen.measureText(words).width + size;
  const left = Math.max(0, Math.min(x, canvas.width - width)), top = y > size * 1.9 ? y - size * 1.75 : y + 4;
  pen.fillStyle = colour;
  pen.beginPath();
  pen.roundRect(left, top, width, size * 1.55, size * 0.35);
  pen.fill();
  pen.fillStyle = "#0b0d12";
  pen.textBaseline = "middle";
  pen.fillText(words, left + size / 2, top + size * 0.8);
}

/**
 * The similarity transform that brings landmarks onto the points of a contract, by least squares.
 * Points are complex numbers: target = a * source + b. Gives [real a, imaginary a, x of b, y of b].
 */
export function similarity(source, target) {
  const middle = (points) => [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
  const [sx, sy] = middle(source), [tx, ty] = middle(target);
  let real = 0, imaginary = 0, size = 0;
  source.forEach(([x, y], index) => {
    const [u, v] = [x - sx, y - sy], [p, q] = [target[index][0] - tx, target[index][1] - ty];
    real += u * p + v * q;
    imaginary += u * q - v * p;
    size += u * u + v * v;
  });
  const [a, b] = [real / size, imaginary / size];
  return [a, b, tx - a * sx + b * sy, ty - b * sx - a * sy];
}

/** Draws a face as the encoder sees it, with its landmarks. `contract` holds `size` and `points`. */
export function aligned(canvas, picture, face, contract) {
  const side = 300, ratio = side / contract.size;
  canvas.width = canvas.height = side;
  const points = contract.points.map((point) => point.map((value) => value * ratio));
  const [a, b, x, y] = similarity(face.landmarks, points);
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.setTransform(a, b, -b, a, x, y);
  pen.drawImage(picture, 0, 0);
  pen.resetTransform();
  dots(pen, face.landmarks.map(([u, v]) => [a * u - b * v + x, b * u + a * v + y]), 4, "#4cc3cc");
}

/** A face cut out of a picture, with some room around it. */
export function cutOut(canvas, picture, box, side = 220) {
  const [x, y, width, height] = box, reach = Math.max(width, height) * 1.5;
  canvas.width = canvas.height = side;
  canvas.getContext("2d").drawImage(
    picture, x + width / 2 - reach / 2, y + height / 2 - reach / 2, reach, reach, 0, 0, side, side);
}
