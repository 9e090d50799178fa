// How results read: the words of the command line (core/wording.py), for people at the pages.

export const SIGNS = { same: "✓", different: "✗", inconclusive: "?" };
export const VERDICTS = { same: "Same person", different: "Different persons", inconclusive: "Inconclusive" };

/** 0.5 -> "50.0%", 0.9996 -> "99.96%"; certainty is never claimed. */
export function percent(probability) {
  if (probability > 0.9999) return "> 99.99%";
  if (probability < 0.0001) return "< 0.01%";
  return `${(100 * probability).toFixed(probability >= 0.01 && probability <= 0.99 ? 1 : 2)}%`;
}

/** 0.001 -> "1e-3", 0.0025 -> "2.5e-3". */
export function scientific(rate) {
  return Number(rate.toPrecision(3)).toExponential().replace("e+", "e");
}

/** 0.001 -> "1 in 1,000". */
export function oneIn(rate) {
  const pairs = 1 / rate;
  const about = Math.abs(pairs - Math.round(pairs)) <= 1e-6 * pairs ? "" : "about ";
  return `${about}1 in ${Math.round(pairs).toLocaleString("en")}`;
}

/** What to say of doubt; "" where there is none. */
export function caution(verdict, probability, fmr) {
  if (verdict === "inconclusive") {
    return `probably ${probability > 0.5 ? "one person" : "two persons"}, but not surely enough to say so`;
  }
  if (verdict === "different" && probability > 0.5) return `probably one person, but not surely enough for FMR ${scientific(fmr)}`;
  if (verdict === "same" && probability < 0.5) return `near enough for FMR ${scientific(fmr)}, but probably two persons`;
  return "";
}

/** 2, "picture" -> "2 pictures". */
export function counted(count, word, several = `${word}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? word : several}`;
}

/** 75.3 -> "1:15". */
export function clock(seconds) {
  const whole = Math.floor(seconds), hours = Math.floor(whole / 3600);
  const rest = String(whole % 60).padStart(2, "0"), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** A day as the reader's region writes it. */
export function day(text) {
  return new Date(text).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
}

export function bytes(count) {
  const steps = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]];
  for (const [size, unit] of steps) if (count >= size) return `${(count / size).toFixed(1)} ${unit}`;
  return `${count} bytes`;
}

const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1);
export { capital };
