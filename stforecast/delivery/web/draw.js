"use strict";
/* Drawing an area on the map: a click a corner; closed by a double click, Enter, the first corner or a button. */

const NEAR = 12; // pixels from the first corner that count as it
const drawing = { on: false, corners: [], shape: null, first: null };

const DrawingTools = L.Control.extend({
  options: { position: "topright" },
  onAdd() {
    const tools = Object.assign(element("div"), { id: "drawing" });
    tools.setAttribute("role", "group");
    tools.setAttribute("aria-label", text("draw_area"));
    tools.append(element("p", text("draw_help")), ...[["draw_close", closeArea], ["draw_back", removeCorner], ["draw_cancel", stopDrawing]].map(([key, act]) => {
      const button = Object.assign(element("button", text(key)), { type: "button", name: key });
      button.addEventListener("click", act);
      return button;
    }));
    L.DomEvent.disableClickPropagation(tools);
    return tools;
  },
});

function startDrawing() {
  setSelecting(false);
  pin(null);
  Object.assign(drawing, { on: true, corners: [] });
  if (!city.map.getPane("drawing")) Object.assign(city.map.createPane("drawing").style, { zIndex: 470, pointerEvents: "none" });
  const style = { pane: "drawing", interactive: false, color: "#5b0f8b", weight: 2.5 };
  drawing.shape = L.polygon([], { ...style, dashArray: "6 4", fillOpacity: 0.12 }).addTo(city.map);
  drawing.first = null;
  drawing.style = style;
  drawing.tools = new DrawingTools().addTo(city.map);
  city.map.doubleClickZoom.disable();
  city.map.on("mousemove", follows).on("dblclick", closeArea);
  byId("map").classList.add("selecting");
  showDrawing();
}

function stopDrawing() {
  if (!drawing.on) return;
  drawing.on = false;
  for (const part of [drawing.shape, drawing.first, drawing.tools]) part?.remove();
  city.map.off("mousemove", follows).off("dblclick", closeArea);
  city.map.doubleClickZoom.enable();
  byId("map").classList.remove("selecting");
  showDrawing();
}

function addCorner(place) {
  const { corners } = drawing, at = (one) => city.map.latLngToContainerPoint(one);
  if (corners.length > 2 && at(corners[0]).distanceTo(at(place)) < NEAR) return closeArea();
  if (!corners.length || at(corners.at(-1)).distanceTo(at(place)) > 2) corners.push(place); // a double click gives one
  return showDrawing();
}

function removeCorner() {
  drawing.corners.pop();
  showDrawing();
}

function follows({ latlng }) {
  if (drawing.corners.length) drawing.shape.setLatLngs([...drawing.corners, latlng]);
}

function showDrawing() {
  const { on, corners } = drawing;
  byId("selection-draw").setAttribute("aria-pressed", String(on));
  if (!on) return;
  drawing.shape.setLatLngs(corners);
  drawing.first?.remove();
  drawing.first = corners.length ? L.circleMarker(corners[0], { ...drawing.style, radius: 6, fillOpacity: 1, fillColor: "#ffffff" }).addTo(city.map) : null;
  const [close, back] = byId("drawing").querySelectorAll("button");
  close.disabled = corners.length < 3;
  back.disabled = !corners.length;
}

/** Add the cells whose centre lies in what was drawn. */
function closeArea() {
  const { corners } = drawing;
  if (corners.length < 3) return;
  stopDrawing();
  added(cellsIn([[corners.map(({ lng, lat }) => [lng, lat])]]), text("drawn_area"));
}

document.addEventListener("keydown", (event) => {
  if (!drawing.on || event.target.closest("input, select, button, textarea")) return;
  const act = { Enter: closeArea, Backspace: removeCorner }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
document.addEventListener("keydown", ({ key }) => key === "Escape" && stopDrawing());
