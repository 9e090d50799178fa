// The way of frames: JPEG with an eight-byte header over a WebSocket, the next only when the last was answered.

import { liveAddress } from "./api.js";
import { shoot } from "./camera.js";

const LONGEST = 640, LATE = 4000, AGAIN = 3;

/** A frame as it is sent: its number, when it was taken in milliseconds (both uint32, big-endian), the JPEG. */
export async function packed(number, milliseconds, jpeg) {
  const header = new DataView(new ArrayBuffer(8));
  header.setUint32(0, number >>> 0);
  header.setUint32(4, Math.round(milliseconds) >>> 0);
  return new Blob([header, jpeg]);
}

/**
 * Sends what a <video> shows, as fast as answers come; an answer that does not come is given up after some seconds.
 * Without a <video> it is the server's camera that is shown: its frames come in the same form, each before its answer.
 */
export class LiveLink {
  constructor(video, { answer, pace, failed }) {
    Object.assign(this, { _video: video, _answer: answer, _pace: pace, _failed: failed });
    this._number = this._answered = this._tries = 0;
    this._closed = false;
    this._since = performance.now();
    this._open();
  }

  close() {
    this._closed = true;
    clearTimeout(this._timer);
    this._socket.close();
  }

  _open() {
    this._socket = new WebSocket(liveAddress() + (this._video ? "" : "?source=server"));
    this._socket.binaryType = "arraybuffer";
    this._socket.addEventListener("open", () => this._send());
    this._socket.addEventListener("message", (event) => this._receive(event));
    this._socket.addEventListener("close", (event) => this._lost(event));
  }

  async _send() {
    if (this._closed || !this._video || this._socket.readyState !== WebSocket.OPEN) return;
    const jpeg = await shoot(this._video, LONGEST, 0.8);
    if (this._closed || !jpeg || this._socket.readyState !== WebSocket.OPEN) return;
    this._size = sizeOf(this._video);
    this._number += 1;
    this._socket.send(await packed(this._number, performance.now(), jpeg));
    this._timer = setTimeout(() => this._send(), LATE);
  }

  async _receive(event) {
    if (typeof event.data !== "string") {
      this._picture = createImageBitmap(new Blob([new Uint8Array(event.data, 8)], { type: "image/jpeg" })).catch(() => null);
      return;
    }
    const answer = JSON.parse(event.data), picture = await this._picture;
    clearTimeout(this._timer);
    this._tries = 0;
    this._answered += 1;
    if (answer.frame || this._size) this._answer(answer, ...(answer.frame || this._size), picture);
    if (this._answered % 10 === 0) {
      const seconds = (performance.now() - this._since) / 10_000;
      this._since = performance.now();
      this._pace(`${(1 / seconds).toFixed(0)} frames a second`);
    }
    requestAnimationFrame(() => this._send());
  }

  _lost(event) {
    if (this._closed) return;
    clearTimeout(this._timer);
    this._tries += 1;
    if (this._tries > AGAIN || event.code === 1008) {
      this._stop({ title: "The connection ended", detail: event.reason || (this._video
        ? "The server does not answer any more, or this page may not ask it. Reload the page."
        : "The server shows no camera. Start it with one: twinface serve --source 0") });
    } else setTimeout(() => this._closed || this._open(), 500 * this._tries);
  }

  _stop(problem) {
    this.close();
    this._failed(problem);
  }
}

function sizeOf(video) {
  const scale = Math.min(1, LONGEST / Math.max(video.videoWidth, video.videoHeight));
  return [Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale)];
}
