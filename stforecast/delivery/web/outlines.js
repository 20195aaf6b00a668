"use strict";
/* Outlines of cells as files have them: polygons of closed rings of [longitude, latitude], outer ones counter-clockwise,
   cut where they cross the antimeridian (RFC 7946). */

/** The outline of a cell in GeoJSON. */
function geometryOf(outline) {
  const polygons = polygonsOf(outline);
  return polygons.length === 1 ? { type: "Polygon", coordinates: polygons[0] } : { type: "MultiPolygon", coordinates: polygons };
}

/** The polygons of an outline, each an outer ring and its holes. */
function polygonsOf(outline) {
  return sorted(outline.map((ring) => ring.map(([latitude, longitude]) => [longitude, latitude]))).flatMap(cutAtAntimeridian);
}

/** Rings sorted into polygons: a ring within an odd number of others is a hole of the smallest of these. */
function sorted(rings) {
  const around = rings.map((ring) => rings.filter((other) => other !== ring && ringHolds(other, ring[0])));
  const polygons = new Map(rings.filter((_, i) => around[i].length % 2 === 0).map((ring) => [ring, [turned(ring, 1)]]));
  rings.forEach((ring, i) => {
    if (around[i].length % 2 === 0) return;
    const [holder] = around[i].filter((other) => polygons.has(other)).sort((a, b) => Math.abs(twiceArea(a)) - Math.abs(twiceArea(b)));
    polygons.get(holder).push(turned(ring, -1));
  });
  return [...polygons.values()];
}

function ringHolds(ring, [x, y]) {
  let inside = false;
  ring.forEach(([x1, y1], i) => {
    const [x0, y0] = ring[(i + ring.length - 1) % ring.length];
    if (y0 > y !== y1 > y && x < x0 + ((x1 - x0) * (y - y0)) / (y1 - y0)) inside = !inside;
  });
  return inside;
}

/** Twice the area, positive where the ring runs counter-clockwise. */
function twiceArea(ring) {
  return sum(ring.map(([x, y], i) => {
    const [next, above] = ring[(i + 1) % ring.length];
    return x * above - next * y;
  }));
}

/** A ring that runs counter-clockwise (1) or clockwise (-1), closed. */
function turned(ring, way) {
  const open = String(ring[0]) === String(ring.at(-1)) ? ring.slice(0, -1) : ring;
  const right = Math.sign(twiceArea(open)) === way ? open : [...open].reverse();
  return [...right, right[0]];
}

/** A polygon that runs past 180° as the parts on either side of it; others as they are. */
function cutAtAntimeridian(polygon) {
  const all = polygon.flat().map(([x]) => x), parts = [];
  for (let turn = Math.floor((Math.min(...all) + 180) / 360); 360 * turn - 180 < Math.max(...all); turn++) {
    const west = 360 * turn - 180, rings = polygon.map((ring) => clipped(clipped(ring, west, 1), west + 360, -1)).filter((ring) => ring.length > 3);
    if (rings.length) parts.push(rings.map((ring) => ring.map(([x, y]) => [turn ? Number((x - 360 * turn).toFixed(6)) : x, y])));
  }
  return parts;
}

/** What of a closed ring lies east (1) or west (-1) of a meridian. */
function clipped(ring, meridian, way) {
  if (ring.every(([x]) => way * (x - meridian) >= 0)) return ring;
  const kept = [];
  ring.slice(1).forEach(([x, y], i) => {
    const [before, below] = ring[i], inside = way * (x - meridian) >= 0;
    if (inside !== way * (before - meridian) >= 0) kept.push([meridian, below + ((y - below) * (meridian - before)) / (x - before)]);
    if (inside) kept.push([x, y]);
  });
  return kept.length ? [...kept, kept[0]] : [];
}
