"""/docs: a page that shows /openapi.json, complete in itself, with nothing fetched from elsewhere. Next: `openapi`."""

import base64
import hashlib

from luthier.api.health import only_get
from luthier.api.http import Request, Response

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c1c1c; }
input { font: inherit; width: 100%; padding: .5rem; box-sizing: border-box; }
details { border-bottom: 1px solid #ddd; padding: .4rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
code, pre { font-family: ui-monospace, monospace; font-size: .9rem; }
pre { background: #f4f4f4; padding: .7rem; overflow-x: auto; white-space: pre-wrap; }
.verb { display: inline-block; min-width: 4.2rem; font-weight: 600; }
@media (prefers-color-scheme: dark) {
  body { background: #17181a; color: #e8e8e8; } pre { background: #242629; } details { border-color: #3a3d40; }
}
"""
_SCRIPT = """
"use strict";
const make = (tag, text, parent) => {
  const node = document.createElement(tag);
  node.textContent = text;
  parent.append(node);
  return node;
};
const nameOf = schema => !schema ? "" : schema.$ref ? schema.$ref.split("/").pop()
  : schema.type === "array" ? nameOf(schema.items) + "[]" : [].concat(schema.type || "any").join(" or ");
const fieldsOf = (document_, schema) => {
  const found = document_.components.schemas[nameOf(schema)];
  return found && found.properties
    ? Object.entries(found.properties).map(([name, kind]) => name + ": " + nameOf(kind)).join("\\n") : "";
};
const show = (document_, path, verb, call, list) => {
  const box = make("details", "", list);
  const head = make("summary", "", box);
  make("span", verb.toUpperCase(), head).className = "verb";
  make("code", path, head);
  box.dataset.words = (call.summary + " " + verb + " " + path + " " + call.tags).toLowerCase();
  box.addEventListener("toggle", () => {
    if (box.childElementCount > 1) return;
    make("p", call.summary, box);
    if (call.description) make("pre", call.description, box);
    const scopes = call.security.length ? call.security[0].key : null;
    make("p", scopes ? "Needs a token" + (scopes.length ? " with " + scopes.join(", ") : "") : "Needs no token", box);
    const query = call.parameters.filter(one => one.in === "query");
    if (query.length) make("pre", "?" + query.map(one => one.name + ": " + nameOf(one.schema)).join("\\n?"), box);
    const body = call.requestBody && call.requestBody.content["application/json"].schema;
    if (body) make("pre", "body\\n" + fieldsOf(document_, body), box);
    make("pre", "answer\\n" + fieldsOf(document_, call.responses["200"].content["application/json"].schema), box);
  });
};
fetch("openapi.json").then(answer => answer.json()).then(document_ => {
  const list = document.getElementById("calls");
  document.getElementById("about").textContent = document_.info.description;
  for (const [path, calls] of Object.entries(document_.paths))
    for (const [verb, call] of Object.entries(calls)) show(document_, path, verb, call, list);
  document.getElementById("filter").addEventListener("input", event => {
    const wanted = event.target.value.toLowerCase();
    for (const box of list.children) box.hidden = !box.dataset.words.includes(wanted);
  });
}).catch(error => { document.getElementById("about").textContent = "The document cannot be shown: " + error; });
"""
_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Luthier: the API</title>
<style>{_STYLE}</style>
<h1>Luthier: the API</h1>
<p id="about">Loading…</p>
<p><a href="openapi.json">openapi.json</a></p>
<p><label>Calls that hold <input id="filter" type="search" autocomplete="off"></label></p>
<div id="calls"></div>
<script>{_SCRIPT}</script>
</html>
""".encode()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_POLICY = (
    f"default-src 'none'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
)


async def docs(request: Request) -> Response:
    only_get(request)
    return Response(200, _PAGE, _HEADERS)
