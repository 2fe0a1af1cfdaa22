"""The style sheet of the report's page: light, dark and print, no outside files."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f5f6f8; --card: #ffffff; --ink: #1c1f24; --muted: #5b626d; --line: #e1e4e9;
  --accent: #1f66bd; --good: #14744f; --bad: #b3341c; --soft: #eef4fc;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #0f1216; --card: #171b21; --ink: #eceff3; --muted: #a3acb9; --line: #2c333d;
    --accent: #6aabf4; --good: #4ccb98; --bad: #f08a72; --soft: #1b2635;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink); line-height: 1.55;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0; letter-spacing: -0.02em; }
h2 { font-size: 1.3rem; margin: 0 0 0.75rem; letter-spacing: -0.01em; }
p { margin: 0 0 0.75rem; max-width: 46rem; }
a { color: var(--accent); }
.origin { color: var(--muted); margin: 0.35rem 0 1.5rem; max-width: none; }
.verdict { font-size: 1.15rem; margin-bottom: 1.25rem; max-width: 54rem; text-wrap: pretty; }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 1.4rem 1.5rem; margin-top: 1.25rem;
}
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; margin-top: 1.25rem; font-size: 0.92rem; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(8.3rem, 1fr)); gap: 0.75rem; margin: 0;
}
.tiles div { border: 1px solid var(--line); border-radius: 9px; padding: 0.65rem 0.8rem; }
.tiles dt { color: var(--muted); font-size: 0.84rem; }
.tiles dd {
  margin: 0.1rem 0 0; font-size: 1.06rem; font-weight: 600; white-space: nowrap;
  font-variant-numeric: tabular-nums;
}
.tiles dd.absent { font-size: 0.95rem; font-weight: 400; color: var(--muted); padding-top: 0.25rem; }
.claims { list-style: none; margin: 0; padding: 0; }
.claims li { display: grid; grid-template-columns: 8rem 1fr; gap: 0 0.9rem; padding: 0.55rem 0; }
.claims li + li { border-top: 1px solid var(--line); }
.claims .mark { font-weight: 600; white-space: nowrap; }
.claims .yes { color: var(--good); }
.claims .no { color: var(--bad); }
.claims .mark.absent { font-weight: 400; }
.claims .absent, .absent, .claims .evidence { color: var(--muted); }
.claims .evidence { grid-column: 2; font-size: 0.92rem; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
.caption { color: var(--muted); font-size: 0.92rem; max-width: none; }
th, td {
  padding: 0.45rem 0.6rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line);
}
th { font-weight: 600; }
thead th { color: var(--muted); font-size: 0.84rem; vertical-align: bottom; }
th:first-child { text-align: left; padding-left: 0; position: sticky; left: 0; background: var(--card); }
tbody th { font-weight: 400; min-width: 8.5rem; }
tbody tr:last-child > * { border-bottom: 0; }
tr.strong > * { font-weight: 650; background: var(--soft); }
tr.strong > th { padding-left: 0.5rem; }
td small {
  display: block; color: var(--muted); font-size: 0.76rem; font-weight: 400; white-space: normal; min-width: 7.5rem;
}
td { white-space: nowrap; }
table.text td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
table.text tbody th { color: var(--muted); width: 12rem; }
figure { margin: 0; }
* + figure { margin-top: 1.5rem; }
h2 + figure { margin-top: 0; }
figure img { display: block; width: 100%; height: auto; }
figcaption { color: var(--muted); font-size: 0.92rem; margin-bottom: 0.5rem; max-width: 46rem; }
figcaption strong { color: var(--ink); }
details { margin-top: 0.9rem; }
summary { cursor: pointer; color: var(--accent); }
pre {
  margin: 0.6rem 0 0; padding: 0.8rem 1rem; overflow-x: auto;
  border: 1px solid var(--line); border-radius: 8px;
  font: 0.8rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
}
.problems { color: var(--bad); margin: 0.75rem 0 0; padding-left: 1.2rem; }
@media (max-width: 36rem) {
  main { padding: 1.25rem 0.75rem 2.5rem; }
  section { padding: 1.1rem 0.9rem; }
  .claims li { grid-template-columns: 1fr; }
  .claims .evidence { grid-column: 1; }
}
@media print {
  body { background: #fff; font-size: 10pt; }
  main { max-width: none; padding: 0; }
  section { border: 0; padding: 0; margin-top: 1.2rem; }
  nav { display: none; }
  .scroll { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: 0.25rem 0.3rem; }
  tbody th { min-width: 5rem; }
  td small { font-size: 6.5pt; }
  .caption { break-inside: avoid; break-after: avoid; }
  figure, tr, .tiles div, .claims li { break-inside: avoid; }
  h2 { break-after: avoid; }
  pre { white-space: pre-wrap; }
}
"""
