"""The status page: one HTML text without other files."""

from __future__ import annotations

import secrets

from aiohttp import web

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>hgrpo serve</title>
<style nonce="NONCE">
  body { font: 15px/1.4 system-ui, sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; color: #222; }
  h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
  table { border-collapse: collapse; } td, th { padding: .1rem .9rem .1rem 0; text-align: left; vertical-align: top; }
  th { font-weight: 600; } .number { text-align: right; font-variant-numeric: tabular-nums; }
  rect { fill: #3b6ea5; } text { font: 11px system-ui, sans-serif; fill: #444; } .state { color: #777; }
  svg { max-width: 100%; }
</style>
<h1>hgrpo serve</h1>
<p><b id="rate">0</b> requests/s, <b id="total">0</b> answered, <b id="rejects">0</b> refused,
  <b id="connections">0</b> WebSocket connections,
  <b id="streams">0</b> streams with memory <span class="state" id="state">connecting</span></p>
<h2>Latency in the server</h2>
<svg id="latency" viewBox="0 0 760 180" role="img" aria-label="latency histogram"></svg>
<h2>Refusals</h2>
<table id="reasons"></table>
<h2>Policies</h2>
<div id="policies"></div>
<script nonce="NONCE">
"use strict";
const at = id => document.getElementById(id);
const sum = list => list.reduce((a, b) => a + b, 0);
const svg = (name, attributes, text) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  return node;
};
const row = (cells, tag) => {
  const line = document.createElement("tr");
  for (const cell of cells) {
    const node = document.createElement(tag || "td");
    node.textContent = cell;
    if (typeof cell === "number") node.className = "number";
    line.append(node);
  }
  return line;
};
const seconds = s => s < 1e-3 ? Math.round(s * 1e6) + " us" : s < 1 ? Math.round(s * 1e3) + " ms" : s + " s";
const drawLatency = (bounds, counts) => {
  const most = Math.max(1, ...counts), width = 760 / counts.length;
  at("latency").replaceChildren(...counts.flatMap((count, i) => {
    const height = 140 * count / most, x = i * width;
    const label = i < bounds.length ? seconds(bounds[i]) : "more";
    return [svg("rect", {x: x + 2, y: 155 - height, width: width - 4, height: height, "data-count": count}),
            svg("text", {x: x + 2, y: 172}, label), svg("text", {x: x + 2, y: 150 - height}, count || "")];
  }));
};
const describe = policy => {
  const table = document.createElement("table");
  const plain = ["policy", "version", "versions", "task", "robot", "control_hz", "checkpoint_sha256", "safe_action",
                 "slew", "memory", "memory_size", "producer_version"];
  for (const key of plain) table.append(row([key, String(policy[key])]));
  const interval = (bounds, i) => bounds ? "[" + bounds[0][i] + ", " + bounds[1][i] + "]" : "finite";
  const entries = document.createElement("table");
  entries.append(row(["entry", "unit", "frame", "allowed"], "th"));
  policy.observation.forEach((e, i) =>
    entries.append(row(["observation " + e.name, e.unit, e.frame, interval(policy.observation_range, i)])));
  policy.action.forEach((e, i) =>
    entries.append(row(["action " + e.name, e.unit, e.frame, interval([policy.action_low, policy.action_high], i)])));
  return [table, entries];
};
let before = null;
const refresh = async () => {
  try {
    const answer = await fetch("status.json", {cache: "no-store"});
    if (!answer.ok) throw new Error("status " + answer.status);
    const status = await answer.json(), metrics = status.metrics;
    const counts = metrics.bounds.map(() => 0).concat([0]);
    for (const one of metrics.latency) one.counts.forEach((count, i) => counts[i] += count);
    const total = sum(counts);
    if (before) at("rate").textContent = ((total - before.total) / (metrics.seconds - before.seconds)).toFixed(1);
    before = {total: total, seconds: metrics.seconds};
    at("total").textContent = total;
    at("rejects").textContent = sum(metrics.rejected.map(one => one.count));
    at("connections").textContent = metrics.conversations;
    at("streams").textContent = sum(Object.values(metrics.streams));
    drawLatency(metrics.bounds, counts);
    at("reasons").replaceChildren(row(["policy", "protocol", "reason", "count"], "th"),
      ...metrics.rejected.map(one => row([one.policy, one.protocol, one.reason, one.count])));
    at("policies").replaceChildren(...status.policies.flatMap(describe));
    at("state").textContent = "live";
  } catch (error) {
    at("state").textContent = "no reply: " + error.message;
  }
  setTimeout(refresh, 1000);
};
refresh();
</script>
</html>
"""


def status_page() -> web.Response:
    """The page.

    Its content security policy allows only its own script and requests to this server.
    """
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return web.Response(text=_PAGE.replace("NONCE", nonce), content_type="text/html", headers=headers)
