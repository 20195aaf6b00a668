"use strict";
/* Areas: polygons drawn, read from files or taken from layers, and the cells in them. A polygon is a list of rings of
   [longitude, latitude], the second and further ones its holes. A cell lies in it where its centre does. */

const LARGEST_FILE = 20e6; // bytes
const OTHER_FILES = /\.(shp|shx|dbf|zip|gpkg|kmz|gpx|csv|xlsx?|parquet)$/i;

/** Why a file cannot be taken, in words for its reader. */
class BadArea extends Error {}

/** The rows of the cells whose centre lies in any of some polygons, in ascending order. */
function cellsIn(polygons) {
  const { order, x, y } = centresByLatitude(), found = new Uint8Array(grid.n), odd = new Uint8Array(grid.n);
  for (const rings of polygons.map(unbroken)) {
    for (const turn of [-360, 0, 360]) { // polygons and cities may lie across the antimeridian
      odd.fill(0);
      for (const ring of rings) {
        const corners = ring.map(([longitude, latitude]) => [longitude + turn, latitude]);
        corners.forEach((from, i) => cross(from, corners[(i + 1) % corners.length]));
      }
      for (let i = 0; i < odd.length; i++) found[i] |= odd[i];
    }
  }
  return order.filter((_, i) => found[i]).sort((a, b) => a - b);

  /** Of the centres between the latitudes of a side, those west of it are now on its other side. */
  function cross([x0, y0], [x1, y1]) {
    const last = firstNorthOf(Math.max(y0, y1));
    for (let i = firstNorthOf(Math.min(y0, y1)); i < last; i++) if (x[i] < x0 + ((x1 - x0) * (y[i] - y0)) / (y1 - y0)) odd[i] ^= 1;
  }

  function firstNorthOf(latitude) {
    let low = 0, high = y.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (y[middle] <= latitude) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A polygon whose corners leap from one side of the antimeridian to the other, without the leap. */
function unbroken(rings) {
  const first = rings[0][0][0], near = (x) => first + ((((x - first + 180) % 360) + 360) % 360) - 180;
  const width = (of) => {
    const [least, most] = rings.flat().reduce(([low, high], [x]) => [Math.min(low, of(x)), Math.max(high, of(x))], [Infinity, -Infinity]);
    return most - least;
  };
  if (width((x) => x) <= 180 || width(near) >= 180 || width(near) === 0) return rings;
  return rings.map((ring) => ring.map(([x, y]) => [near(x), y]));
}

/** Cells from south to north, and the longitude and latitude of their centres. */
function centresByLatitude() {
  return grid.once("centres", () => {
    const order = [...Array(grid.n).keys()].sort((a, b) => grid.centres[2 * a] - grid.centres[2 * b] || a - b);
    return { order, x: Float64Array.from(order, (row) => nearCity(grid.centres[2 * row + 1])), y: Float64Array.from(order, (row) => grid.centres[2 * row]) };
  });
}

/** A longitude as far from the city's as it goes, within 180°: cities lie across the antimeridian too. */
function nearCity(longitude) {
  const from = grid.centres[1];
  return from + ((((longitude - from + 180) % 360) + 360) % 360) - 180;
}

/** The cells in the polygons of a GeoJSON or KML file.
    Raises BadArea with words for the reader. */
function cellsOfFile(name, content) {
  if (OTHER_FILES.test(name)) throw new BadArea(text("area_other_file"));
  const written = content.replace(/^\ufeff/, "").trim();
  const polygons = written.startsWith("<") ? polygonsOfKml(written) : polygonsOfJson(written), rings = polygons.flat();
  if (!polygons.length) throw new BadArea(text("area_no_polygon"));
  if (rings.some((ring) => ring.length < 3)) throw new BadArea(text("area_few_corners"));
  const far = rings.flat().find(([x, y]) => Math.abs(x) > 180 || Math.abs(y) > 90), found = far ? [] : cellsIn(polygons);
  if (found.length) return found;
  if (cellsIn(polygons.map((each) => each.map((ring) => ring.map(([x, y]) => [y, x])))).length) throw new BadArea(text("area_swapped"));
  if (far) throw new BadArea(text("area_projected", { x: far[0], y: far[1] }));
  const all = boxOf(rings.flat()), here = boxOf(Array.from({ length: grid.n }, (_, row) => [grid.centres[2 * row + 1], grid.centres[2 * row]]));
  const meets = all[0] <= here[2] && all[2] >= here[0] && all[1] <= here[3] && all[3] >= here[1];
  throw new BadArea(text(meets ? "area_too_small" : "area_elsewhere", { cells: grid.cells() }));
}

function boxOf(points) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [longitude, y] of points) {
    const x = nearCity(longitude);
    box.splice(0, 4, Math.min(box[0], x), Math.min(box[1], y), Math.max(box[2], x), Math.max(box[3], y));
  }
  return box;
}

function polygonsOfJson(written) {
  let value;
  try {
    value = JSON.parse(written);
  } catch {
    throw new BadArea(text("area_not_json"));
  }
  const system = value?.crs?.properties?.name;
  if (system !== undefined && !/(CRS84|EPSG:+4326)$/i.test(system)) throw new BadArea(text("area_system", { system: String(system).slice(0, 80) }));
  return polygonsIn(value);
}

/** The polygons in a piece of GeoJSON, those of features and collections too. */
function polygonsIn(value) {
  const { type, features, geometry, geometries, coordinates } = value ?? {};
  if (type === "FeatureCollection" && Array.isArray(features)) return features.flatMap(polygonsIn);
  if (type === "GeometryCollection" && Array.isArray(geometries)) return geometries.flatMap(polygonsIn);
  if (type === "Feature") return geometry ? polygonsIn(geometry) : [];
  if (type === "Polygon") return [ringsIn(coordinates)];
  if (type === "MultiPolygon" && Array.isArray(coordinates)) return coordinates.map(ringsIn);
  if (/^(Multi)?(Point|LineString)$/.test(type)) return [];
  throw new BadArea(text("area_not_geojson"));
}

function ringsIn(rings) {
  const isPlace = (place) => Array.isArray(place) && Number.isFinite(place[0]) && Number.isFinite(place[1]);
  if (!Array.isArray(rings) || !rings.length || !rings.every((ring) => Array.isArray(ring) && ring.every(isPlace))) throw new BadArea(text("area_not_geojson"));
  return rings;
}

function polygonsOfKml(written) {
  const page = new DOMParser().parseFromString(written, "application/xml");
  if (page.querySelector("parsererror") || page.documentElement.localName !== "kml") throw new BadArea(text("area_not_kml"));
  return [...page.getElementsByTagNameNS("*", "Polygon")].map((polygon) => ["outerBoundaryIs", "innerBoundaryIs"].flatMap((kind) => [...polygon.getElementsByTagNameNS("*", kind)]).map((border) => {
    const places = border.textContent.trim().split(/\s+/).map((place) => place.split(",").map(Number));
    return ringsIn([places])[0];
  }));
}
