"""The report's style sheet: one column, light or dark as the reader's screen, A4 when printed."""

STYLE = """
:root {
  --paper: #fdfdfc; --ink: #1f2328; --soft: #5c636b; --line: #dfe2e6; --shade: #f3f4f5; --accent: #0072b2;
  --warn: #b45309; --card: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16191d; --ink: #e4e7ea; --soft: #9aa3ac; --line: #343a41; --shade: #1e2227; --accent: #6cb8e6;
    --warn: #f0a35e; --card: #f4f4f2;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 52rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 1.25rem; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 0 0 .75rem; }
section { margin: 2.75rem 0 0; }
p, figcaption { color: var(--soft); font-size: .9rem; margin: .6rem 0; }
a { color: var(--accent); }
dl { margin: 0; padding: .4rem 1rem; background: var(--shade); border-radius: .5rem; }
dl div { display: flex; gap: 1rem; padding: .3rem 0; }
dl div + div { border-top: 1px solid var(--line); }
dt { flex: 0 0 9rem; color: var(--soft); }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
nav { margin: 1.5rem 0 0; font-size: .9rem; }
nav ol { margin: 0; padding-left: 1.4rem; columns: 2 18rem; column-gap: 3rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .75rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { padding-left: 0; }
thead th { color: var(--soft); font-weight: 600; border-bottom: 2px solid var(--line); white-space: nowrap; }
tbody th { font-weight: 500; min-width: 7rem; overflow-wrap: break-word; }
figure { margin: 0; }
.plot img { display: block; width: 100%; height: auto; background: var(--card); border-radius: .5rem; }
.gallery ol {
  margin: 1rem 0 0; padding: 0; list-style: none; display: grid; gap: 1.25rem;
  grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr));
}
.gallery li div { display: grid; grid-template-columns: 1fr 1fr; gap: 3px; }
.gallery img, .gallery span {
  display: block; width: 100%; aspect-ratio: 1; object-fit: cover; background: var(--shade); border-radius: .25rem;
}
.gallery span { display: grid; place-items: center; color: var(--soft); font-size: .8rem; }
.gallery figcaption { margin: .35rem 0 0; font-size: .82rem; line-height: 1.35; overflow-wrap: anywhere; }
.notes { border-left: 4px solid var(--warn); padding-left: 1rem; }
.notes ul { margin: 0; padding-left: 1.1rem; }
.notes li + li { margin-top: .4rem; }
@page { size: A4; margin: 16mm 15mm; }
@media print {
  :root {
    --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --shade: #fff; --accent: #000; --warn: #000; --card: #fff;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  dl { border: 1px solid var(--line); }
  section { margin-top: 8mm; }
  h2, thead { break-after: avoid; }
  .plot, .gallery li, tr, dl, .notes li { break-inside: avoid; }
  thead { display: table-header-group; }
  .wide { overflow: visible; }
  .plot img { max-height: 200mm; object-fit: contain; object-position: left; }
  .gallery ol { grid-template-columns: repeat(3, 1fr); gap: 5mm; }
  .gallery img { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
