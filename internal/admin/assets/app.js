// Copy buttons, relative times, missing thumbnails and the state of the stream. All pages are readable without it.
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

// An image whose file is deleted or cannot be decoded is replaced by the placeholder of events without images.
function replaceMissing(picture) {
  if (!picture.matches?.(".thumb img, .view img")) return;
  const place = document.createElement("span");
  if (picture.dataset.else) {
    place.className = "toolarge";
    place.textContent = picture.dataset.else;
  } else {
    place.className = "none";
    place.title = "The file was deleted, or it has no preview";
  }
  picture.replaceWith(place);
}
document.addEventListener("error", (event) => replaceMissing(event.target), true);
for (const picture of [...document.images]) { // those that failed before this script ran
  if (picture.complete && picture.naturalWidth === 0) replaceMissing(picture);
}

// A browser opens only six connections to a server, so a hidden page closes its stream. It opens it again when the page is
// shown; the first message then updates the page. HTMX uses the result like an EventSource.
htmx.createEventSource = (address) => {
  const listeners = [];
  let source = null;
  const stream = {
    readyState: EventSource.CONNECTING,
    addEventListener(type, listener) {
      listeners.push([type, listener]);
      source?.addEventListener(type, listener);
    },
    removeEventListener(type, listener) {
      const n = listeners.findIndex(([t, l]) => t === type && l === listener);
      if (n >= 0) listeners.splice(n, 1);
      source?.removeEventListener(type, listener);
    },
    close() {
      disconnect();
      document.removeEventListener("visibilitychange", follow);
      stream.readyState = EventSource.CLOSED;
    },
  };
  function disconnect() {
    source?.close();
    source = null;
  }
  function connect() {
    source = new EventSource(address);
    source.onopen = (event) => stream.onopen?.(event);
    source.onerror = (event) => {
      stream.readyState = event.target.readyState;
      if (stream.readyState === EventSource.CLOSED) stream.close(); // HTMX makes another one
      stream.onerror?.(event);
    };
    for (const [type, listener] of listeners) source.addEventListener(type, listener);
  }
  function follow() {
    if (document.hidden) disconnect();
    else if (!source) connect();
  }
  document.addEventListener("visibilitychange", follow);
  follow();
  return stream;
};

function showLive(up) {
  for (const sign of document.querySelectorAll("[data-live]")) {
    sign.textContent = up ? "Live" : "Disconnected, retrying";
    sign.classList.toggle("up", up);
  }
}
document.addEventListener("htmx:sseOpen", () => showLive(true));
document.addEventListener("htmx:sseError", () => showLive(false));

// A page is not replaced while a button is pressed, a dialog is open, or an element has the focus; it is requested again later.
// An unchanged page is not replaced either.
let pressed = false;
for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
  document.addEventListener(name, (event) => { pressed = event.buttons > 0; }, true);
}

function isBusy() {
  const busy = "#fresh details[open], #fresh :popover-open, #fresh :is(input, select):focus, #fresh :focus-visible";
  return pressed || document.querySelector(busy) !== null;
}

let latest = "";
document.addEventListener("htmx:beforeSwap", (event) => {
  const html = event.detail.serverResponse.replace(/(<time[^>]*>)[^<]*/g, "$1"); // relative times change without the server
  if (html === latest) {
    event.detail.shouldSwap = false;
  } else if (isBusy()) {
    event.detail.shouldSwap = false;
    setTimeout(() => htmx.trigger(".live-trigger", "sse:change"), 1000);
  } else if (event.detail.shouldSwap) {
    latest = html;
  }
});
