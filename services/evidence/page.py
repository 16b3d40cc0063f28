"""Holds the HTML around the report of evidence, its style included."""

from string import Template

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light; --ink: #1d2433; --soft: #5b6478; --line: #d9dee8; --tint: #f4f6fa }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 48rem; margin: 2.5rem auto;
  padding: 0 1.25rem }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .5rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line) }
th { font-weight: 500; color: var(--soft); width: 11rem }
td { overflow-wrap: anywhere; white-space: pre-line }
.verdict { padding: .75rem 1rem; background: var(--tint); border-left: 4px solid var(--soft) }
.verdict.upheld { border-color: #1a7f4b }
.verdict.rejected { border-color: #b3372b }
.sum { font-size: 1.15rem; background: var(--tint); padding: .75rem 1rem; font-variant-numeric: tabular-nums }
.log td:first-child { width: 3.5rem; color: var(--soft) }
.log td:nth-child(2) { width: 15rem; color: var(--soft) }
.log .this td { font-weight: 600; background: var(--tint) }
.proof td { font: 13px/1.6 ui-monospace, monospace }
small { color: var(--soft) }
@media print { body { margin: 0 } h2 { break-after: avoid } table, svg { break-inside: avoid } }
</style>
</head>
<body>
<h1>$headline</h1>
<p class="verdict $status">$verdict</p>

<h2>What was charged</h2>
<table>$charge</table>

<h2>How the price comes about</h2>
<p class="sum">$arithmetic</p>
<p><small>By rate card $rate_card, which was in force at that instant. Reckoned anew for this page.</small></p>

<h2>What it did to the balance</h2>
<p class="sum">$effect</p>
<p>The balance over cycle $cycle:</p>
$chart

<h2>The dispute</h2>
<table>$dispute</table>

<h2>What was recorded around it</h2>
<table class="log">$events</table>

<h2>What was refused around it</h2>
<table class="log">$refusals</table>

<h2>How to check this</h2>
<p>Every event carries the hash of the one before it, and all are leaves of one log, which only grows and whose
checkpoints are signed. Nobody can change an event, or leave one out, without that being seen by whoever kept a
checkpoint. The file that this page came in has everything that is needed to check it, on any machine and without a
network: <code>tallystick verify-evidence FILE --key VKEY</code>, with a key that you know to be the ledger's.</p>
<table class="proof">$proof</table>
</body>
</html>
""")
