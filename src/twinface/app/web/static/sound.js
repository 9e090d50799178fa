// A chime or a buzz, made by the browser: no file is loaded.

let speaker = null;

/** Sounds; where the browser has no sound, the light and the words are enough. */
export function chime(granted) {
  try {
    speaker ||= new AudioContext();
  } catch {
    return;
  }
  if (granted) [[660, 0], [880, 0.16], [1320, 0.32]].forEach(([pitch, start]) => tone("sine", pitch, start, 0.5, 0.2));
  else [0, 0.28].forEach((start) => tone("sawtooth", 140, start, 0.22, 0.12));
}

function tone(kind, pitch, start, lasts, loudness) {
  const at = speaker.currentTime + start, voice = speaker.createOscillator(), volume = speaker.createGain();
  voice.type = kind;
  voice.frequency.value = pitch;
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(loudness, at + 0.02);
  volume.gain.exponentialRampToValueAtTime(0.0001, at + lasts);
  voice.connect(volume).connect(speaker.destination);
  voice.start(at);
  voice.stop(at + lasts);
}
