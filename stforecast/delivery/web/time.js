"use strict";
/* When: the bars, the slider below them, the shifts, the whole horizon, and play. */

let playing = null;

function setTime(view) {
  byId("step").max = grid.steps - 1;
  byId("step").setAttribute("aria-label", capital(grid.length([0, 0])));
  byId("horizon-length").textContent = grid.times.length(grid.steps, "whole");
  byId("time").classList.toggle("one-step", grid.steps === 1);
  byId("axis").style.setProperty("--steps", grid.steps);
  byId("profile").replaceChildren(...Array.from({ length: grid.steps }, () => element("span")));
  byId("shifts").replaceChildren(...view.shifts.map((shift) => {
    const button = element("button", [shiftName(shift), shift.hours && hoursText(shift.hours)].filter(Boolean).join(" "));
    Object.assign(button, { type: "button", name: "shift", value: shift.name });
    button.append(element("small"));
    return button;
  }));
}

function listenToTime() {
  const slider = byId("step"), one = () => [slider.valueAsNumber, slider.valueAsNumber];
  slider.addEventListener("input", () => choose({ span: one() }));
  // where it stays, as on the first hour after all of them, a slider says nothing
  slider.addEventListener("click", () => choose({ span: one() }));
  slider.addEventListener("keydown", ({ key, shiftKey }) => chosen.span === null && !shiftKey && /^(Arrow|Page|Home$|End$)/.test(key) && setTimeout(() => choose({ span: one() })));
  slider.addEventListener("keydown", extend);
  byId("horizon").addEventListener("change", () => choose({ span: byId("horizon").checked ? null : one() }));
  byId("shifts").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose({ span: grid.view.shifts.find(({ name }) => name === button.value).span });
  });
  byId("profile").addEventListener("pointerdown", drag);
  for (const kind of ["input", "click"]) byId("time").addEventListener(kind, ({ target }) => playing && !target.closest("#play") && play(), true); // a hand on the time ends playing
  byId("play").addEventListener("click", play);
}

/** Shift and an arrow key move the end of what is chosen, and leave its begin. */
function extend(event) {
  const more = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (!more || !event.shiftKey) return;
  event.preventDefault();
  const [first, last] = chosen.span ?? [0, grid.steps - 1];
  choose({ span: [first, Math.min(grid.steps - 1, Math.max(first, last + more))] });
}

/** A bar is chosen by a click, several by dragging over them. */
function drag(event) {
  const profile = byId("profile"), box = profile.getBoundingClientRect();
  const stepAt = ({ clientX }) => Math.min(grid.steps - 1, Math.max(0, Math.floor(((clientX - box.left) / box.width) * grid.steps)));
  const anchor = stepAt(event);
  const reach = (moved) => {
    const span = [Math.min(anchor, stepAt(moved)), Math.max(anchor, stepAt(moved))];
    if (String(span) !== String(chosen.span)) choose({ span });
  };
  profile.setPointerCapture(event.pointerId);
  profile.addEventListener("pointermove", reach);
  for (const end of ["pointerup", "pointercancel"]) profile.addEventListener(end, () => profile.removeEventListener("pointermove", reach), { once: true });
  reach(event);
}

/** What is chosen, and what is expected in all hexagons step by step and in each shift. */
function drawTime() {
  const { span } = chosen;
  byId("horizon").checked = span === null;
  if (span !== null) byId("step").value = span[0];
  byId("time").classList.toggle("whole", span === null);
  byId("step").setAttribute("aria-valuetext", grid.label(span ?? Array(2).fill(byId("step").valueAsNumber)));
  const totals = Array.from({ length: grid.steps }, (_, step) => grid.total("intensity", [step, step], chosen.category));
  const most = Math.max(...totals, 1e-12), [first, last] = chosen.span ?? [];
  [...byId("profile").children].forEach((bar, step) => {
    bar.style.height = `${(100 * totals[step]) / most}%`;
    bar.classList.toggle("now", step >= first && step <= last);
  });
  for (const button of byId("shifts").children) {
    const { span, cut } = grid.view.shifts.find(({ name }) => name === button.value);
    button.setAttribute("aria-pressed", String(String(span) === String(chosen.span)));
    button.lastChild.textContent = [rounded(grid.total("intensity", span, chosen.category)), cut && text("only", { length: grid.length(span) })].filter(Boolean).join(", ");
  }
}

features.push({
  start(view) {
    setTime(view);
    listenToTime();
  },
  draw: drawTime,
});

function play() {
  if (playing) clearInterval(playing);
  const pause = matchMedia("(prefers-reduced-motion: reduce)").matches ? 2500 : 900;
  const next = () => {
    const step = chosen.span === null ? 0 : (chosen.span[1] + 1) % grid.steps;
    choose({ span: [step, step] });
  };
  playing = playing ? null : setInterval(next, pause);
  if (playing) next();
  else draw();
  byId("play").textContent = text(playing ? "pause" : "play");
  byId("play").setAttribute("aria-pressed", String(Boolean(playing)));
}
