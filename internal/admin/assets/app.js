// What the pages do beyond htmx: copying, times that go on, and whether the stream is up. Everything
// can be read without it.
"use strict";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Press Ctrl+C"; // the text is selected
  }
});

const units = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];

function ago(seconds) {
  for (const [name, length] of units) {
    const n = Math.floor(Math.abs(seconds) / length);
    if (n >= 1) return `${n} ${name}${n === 1 ? "" : "s"} ${seconds < 0 ? "from now" : "ago"}`;
  }
  return seconds < 0 ? "in a moment" : "just now";
}

function tick() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    time.textContent = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
  }
}
tick();
setInterval(tick, 15000);
document.addEventListener("htmx:afterSettle", tick);

// A thumbnail that is not to be had, because its file is gone or cannot be decoded, leaves the place as it is where there never was one.
function missing(picture) {
  if (!picture.matches?.(".thumb img, .view img")) return;
  const place = document.createElement("span");
  if (picture.dataset.else) {
    place.className = "toolarge";
    place.textContent = picture.dataset.else;
  } else {
    place.className = "none";
    place.title = "The file is not where it was stored, or there is no preview of it";
  }
  picture.replaceWith(place);
}
document.addEventListener("error", (event) => missing(event.target), true);
for (const picture of [...document.images]) { // those that failed before this script ran
  if (picture.complete && picture.naturalWidth === 0) missing(picture);
}

function live(up) {
  for (const sign of document.querySelectorAll("[data-live]")) {
    sign.textContent = up ? "Live" : "Not live: trying again";
    sign.classList.toggle("up", up);
  }
}
document.addEventListener("htmx:sseOpen", () => live(true));
document.addEventListener("htmx:sseError", () => live(false));

// Whoever presses a button, has opened a question, is typing, or goes through the page by keyboard is not interrupted by news;
// they are asked for again a little later. What says nothing new is not swapped in.
let pressed = false;
for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
  document.addEventListener(name, (event) => { pressed = event.buttons > 0; }, true);
}

function isBusy() {
  const here = "#fresh details[open], #fresh :popover-open, #fresh :is(input, select):focus, #fresh :focus-visible";
  return pressed || document.querySelector(here) !== null;
}

let latest = "";
document.addEventListener("htmx:beforeSwap", (event) => {
  const news = event.detail.serverResponse.replace(/(<time[^>]*>)[^<]*/g, "$1"); // how long ago goes on by itself
  if (news === latest) {
    event.detail.shouldSwap = false;
  } else if (isBusy()) {
    event.detail.shouldSwap = false;
    setTimeout(() => htmx.trigger(".live-trigger", "sse:change"), 1000);
  } else if (event.detail.shouldSwap) {
    latest = news;
  }
});
