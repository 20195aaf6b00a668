"use strict";
/* The view that a file holds: as JSON, or where that is large as base64 of its gzip. */

async function heldView(element) {
  if (element.type === "application/json") return JSON.parse(element.textContent);
  const letters = atob(element.textContent), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}
