// SPDX-License-Identifier: Apache-2.0
// The live page: asks for totals each second, for tables every three.
"use strict";

const KEEP = 300; // samples of history, one a second
const FEWEST = 60; // the charts' width before there are more
const COLOURS = 8; // classes c0 to c7 in page.css
const past = { up: [], down: [], live: [] }; // lists of {protocol: value}
let before = null;

const byId = (id) => document.getElementById(id);

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return `${i && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

function bits(n) {
  const units = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];
  let i = 0;
  n *= 8;
  while (n >= 1000 && i < units.length - 1) { n /= 1000; i++; }
  return `${i && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

function span(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

function fill(id, rows, wide = []) {
  const table = byId(id);
  const body = table.tBodies[0];
  const columns = table.tHead.rows[0].cells;
  body.replaceChildren();
  if (!rows.length) {
    const cell = body.insertRow().insertCell();
    cell.colSpan = columns.length;
    cell.className = "none";
    cell.textContent = "none";
  }
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((value, i) => {
      const cell = line.insertCell();
      const number = typeof value === "number" || (value && value.number);
      const text = value && value.number ? value.text : value;
      cell.textContent = text ?? "";
      if (number) { cell.className = "n"; columns[i].className = "n"; }
      if (wide.includes(i)) { cell.classList.add("wide"); cell.title = text ?? ""; }
    });
  }
}

const figure = (text) => ({ number: true, text });

const total = (values) => Object.values(values).reduce((all, v) => all + v, 0);

// One band per protocol, on top of each other; the newest sample is at the right.
function chart(name, protocols, show) {
  const samples = past[name];
  const svg = byId(`chart-${name}`);
  const totals = samples.map(total);
  const peak = Math.max(...totals, 1);
  const width = Math.min(Math.max(samples.length, FEWEST), KEEP) - 1;
  const x = (i) => (100 - (samples.length - 1 - i) * 100 / width).toFixed(2);
  const y = (v) => (29.5 - 28 * v / peak).toFixed(2);
  byId(`peak-${name}`).textContent = samples.length
    ? `${show(totals[totals.length - 1])} · peak ${show(Math.max(...totals))}` : "";
  svg.setAttribute("viewBox", "0 0 100 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.replaceChildren();
  if (samples.length < 2) return;
  let below = samples.map(() => 0);
  protocols.forEach((protocol, number) => {
    const above = below.map((v, i) => v + (samples[i][protocol] ?? 0));
    if (above.some((v, i) => v > below[i])) {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      const there = above.map((v, i) => `${x(i)},${y(v)}`);
      const back = below.map((v, i) => `${x(i)},${y(v)}`).reverse();
      path.setAttribute("class", `c${number % COLOURS}`);
      path.setAttribute("d", `M${there.join(" L")} L${back.join(" L")} Z`);
      svg.append(path);
    }
    below = above;
  });
}

// What the colours mean, and how far back the charts go.
function legend(protocols, seen) {
  const list = byId("legend");
  const shown = protocols.filter((p) => seen.has(p));
  const minutes = Math.ceil(Math.min(Math.max(past.live.length, FEWEST), KEEP) / 60);
  byId("span").textContent = minutes === 1 ? "last minute" : `last ${minutes} minutes`;
  if (list.dataset.shown === shown.join()) return;
  list.dataset.shown = shown.join();
  list.replaceChildren(...shown.map((name) => {
    const item = document.createElement("li");
    const mark = document.createElement("i");
    mark.className = `c${protocols.indexOf(name) % COLOURS}`;
    item.append(mark, name);
    return item;
  }));
}

function push(list, value) {
  list.push(value);
  if (list.length > KEEP) list.shift();
}

function sum(protocols, key) {
  return Object.values(protocols).reduce((total, p) => total + p[key], 0);
}

function totals(now) {
  const state = byId("state");
  const notes = [`version ${now.version}`, `${now.workers} worker${now.workers === 1 ? "" : "s"}`,
    `up ${span(now.now - now.started)}`, `configuration ${now.revision}`];
  if (now.reload_failed) notes.push("the last reload failed");
  if (now.draining) notes.push("draining");
  state.textContent = notes.join(" · ");
  state.className = now.reload_failed || now.draining ? "bad" : "";
  byId("live").textContent = now.live.toLocaleString("en");
  byId("paced").textContent = now.paced.toLocaleString("en");
  const up = sum(now.protocols, "up"), down = sum(now.protocols, "down");
  const spliced = sum(now.protocols, "spliced");
  byId("spliced").textContent = up + down ? `${(100 * spliced / (up + down)).toFixed(0)} %` : "–";
  const seconds = before ? Math.max((now.now - before.now) / 1000, 0.001) : 0;
  const rate = (p, key) => seconds ? Math.max(now.protocols[p][key] - before.protocols[p][key], 0) / seconds : 0;
  const names = Object.keys(now.protocols);
  const each = (value) => Object.fromEntries(names.map((p) => [p, value(p)]));
  if (before) {
    push(past.up, each((p) => rate(p, "up")));
    push(past.down, each((p) => rate(p, "down")));
    byId("rate-up").textContent = bits(total(past.up[past.up.length - 1]));
    byId("rate-down").textContent = bits(total(past.down[past.down.length - 1]));
    byId("rate-new").textContent = Math.max((now.accepted - before.accepted) / seconds, 0).toFixed(0);
  }
  push(past.live, each((p) => now.protocols[p].live));
  chart("up", names, bits);
  chart("down", names, bits);
  chart("live", names, (n) => n.toLocaleString("en"));
  legend(names, new Set(names.filter((p) => now.protocols[p].seen || now.protocols[p].live)));
  fill("protocols", Object.entries(now.protocols).filter(([, p]) => p.live || p.seen || p.up || p.down)
    .map(([name, p]) => [name, p.live, p.seen, figure(bytes(p.up)), figure(bytes(p.down)),
      figure(bits(rate(name, "up"))), figure(bits(rate(name, "down")))]));
  fill("closes", Object.entries(now.closes).sort((a, b) => b[1] - a[1]));
  before = now;
}

const moved = (d) => d ? d.copied + d.spliced : 0;
const destination = (c) => c.destination ?? c.upstream ?? "";

function largest(connections, key) {
  const groups = new Map();
  for (const c of connections) {
    const name = key(c);
    if (!name) continue;
    const group = groups.get(name) ?? { count: 0, bytes: 0 };
    group.count++;
    group.bytes += moved(c.up) + moved(c.down);
    groups.set(name, group);
  }
  return [...groups].sort((a, b) => b[1].bytes - a[1].bytes || b[1].count - a[1].count).slice(0, 10)
    .map(([name, group]) => [name, group.count, figure(bytes(group.bytes))]);
}

function tables(live, ended) {
  const list = live.connections;
  fill("users", largest(list, (c) => c.user), [0]);
  fill("destinations", largest(list, destination), [0]);
  byId("sampled").textContent = live.matched > list.length
    ? `Users and destinations are of the ${list.length} largest of ${live.matched} connections.` : "";
  fill("connections", list.slice(0, 20).map((c) => [c.id, c.protocol, c.client, c.user, destination(c),
    figure(span(c.age_ms)), figure(bytes(moved(c.up))), figure(bytes(moved(c.down))),
    c.up ? `${c.up.mover} / ${c.down.mover}${c.paced ? ", paced" : ""}` : c.phase]), [3, 4]);
  const closed = ended.closed.sort((a, b) => b.closed < a.closed ? -1 : b.closed > a.closed ? 1 : 0);
  fill("closed", closed.slice(0, 20).map((c) => [new Date(c.closed).toLocaleTimeString("en-GB"), c.reason, c.protocol,
    c.client, c.user, c.host || c.address, figure(bytes(c.bytes_up ?? 0)), figure(bytes(c.bytes_down ?? 0))]), [4, 5]);
}

async function ask(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function tick(count) {
  try {
    totals(await ask("/stats"));
    if (count % 3 === 0) {
      tables(await ask("/connections?sort=bytes&limit=500"), await ask("/connections/closed"));
    }
  } catch (error) {
    const state = byId("state");
    state.textContent = `no answer from the proxy (${error.message})`;
    state.className = "bad";
  }
  setTimeout(tick, 1000, count + 1);
}

tick(0);
