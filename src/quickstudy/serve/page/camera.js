// The camera: its picture in a square, photos taken while a button is held, one camera at a time.

import { button, el, tool } from "./dom.js";
import { Unreadable } from "./inputs.js";
import { subscribe } from "./state.js";
import { say } from "./words.js";

const SIDE = 512;  // pixels of a photo's side
const QUALITY = 0.9;  // of its JPEG
const EVERY = 250;  // milliseconds between photos while the button is held
const MOST = 60;  // photos of one hold
const LIVE = 500;  // milliseconds between two looks at what is asked
const NO_CAMERA = ["NotFoundError", "OverconstrainedError"];
let open = null;  // the camera that is on
let chosen = { facingMode: "environment" };  // the one at the back, where a device has two

subscribe(() => open && !open.element.isConnected && open.close());

/**
 * @typedef {object} Camera
 * @property {function(string[]): void} [onphotos] takes the photos of one hold, in base64
 * @property {function(string): Promise} [onlook] takes what the camera sees, again and again
 * @property {function} [onkeep] keeps what the camera sees now
 * @property {function} onclose
 */

/**
 * Switches the camera on.
 * @param {Camera} options
 * @returns {Promise<{element: HTMLElement, close: function}>}
 * @throws {Unreadable} says why there is none, and what to do
 */
export async function openCamera({ onphotos, onlook, onkeep, onclose }) {
  open?.close();
  const video = el("video", { class: "view", playsinline: true, muted: true, "aria-label": say("camera.view") });
  Object.assign(video, { muted: true, autoplay: true });
  const flash = el("span", { class: "taken", "aria-hidden": "true" });
  let stream = await start(chosen);
  const live = el("p", { class: "unseen", role: "status" });
  const turn = tool("turn", say("camera.turn"), async () => {
    const next = await another(stream);
    stop(stream);  // a phone has one of them on at a time
    stream = await start(next).catch(() => start(chosen));
    show();
  });
  const off = tool("cross", say("camera.close"), () => camera.close());
  const main = onlook ? button("main", onkeep, say("camera.keep")) : holder();
  const tools = el("div", { class: "tools" }, turn, off, main);
  const element = el("div", { class: "camera" }, el("div", { class: "view-frame" }, video, flash), tools, live);
  const camera = {
    element,
    close: () => {
      if (open !== camera) return;
      open = null;
      stop(stream);
      element.remove();
      onclose();
    },
  };
  open = camera;
  show();
  if (onlook) look();
  return camera;

  function show() {
    video.srcObject = stream;
    const { facingMode } = stream.getVideoTracks()[0].getSettings();
    video.classList.toggle("mirrored", facingMode !== "environment");  // as one sees oneself
    cameras().then((all) => (turn.hidden = all.length < 2));
  }

  /** Asks about what is seen as long as the camera is on and seen itself. */
  async function look() {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, LIVE));
      if (open !== camera) return;
      const seen = !document.hidden && element.offsetParent;
      if (seen && video.videoWidth) await onlook(photo(video));
    }
  }

  /** The button that takes photos for as long as it is held, with a pointer or a key. */
  function holder() {
    let taken = [];
    let timer = null;
    const take = () => {
      if (!video.videoWidth || taken.length === MOST) return;
      taken.push(photo(video));
      flash.textContent = taken.length;
      flash.classList.add("on");
    };
    const begin = () => {
      if (timer !== null) return;
      take();
      timer = setInterval(take, EVERY);
    };
    const end = () => {
      if (timer === null) return;
      clearInterval(timer);
      timer = null;
      flash.classList.remove("on");
      if (!taken.length) return;
      live.textContent = say("camera.taken", { n: taken.length });
      onphotos(taken);
      taken = [];
    };
    const held = (event) => (event.key === " " || event.key === "Enter") && !event.preventDefault();
    const hold = button("main hold", ({ detail }) => detail === 0 && (begin(), end()), say("camera.hold"));
    hold.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      hold.setPointerCapture(event.pointerId);
      begin();
    });
    for (const name of ["pointerup", "pointercancel", "blur"]) hold.addEventListener(name, end);
    hold.addEventListener("contextmenu", (event) => event.preventDefault());  // of a long touch
    hold.addEventListener("keydown", (event) => held(event) && begin());
    hold.addEventListener("keyup", (event) => held(event) && end());
    return hold;
  }
}

/** Switches the camera off where nobody sees what it shows. */
export function closeUnseen() {
  if (open?.element.offsetParent === null) open.close();
}

async function cameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter(({ kind }) => kind === "videoinput");
}

/** The camera of the other side, or the next one where they have no sides. */
async function another(stream) {
  const { facingMode, deviceId } = stream.getVideoTracks()[0].getSettings();
  if (facingMode) return { facingMode: facingMode === "user" ? "environment" : "user" };
  const ids = (await cameras()).map((each) => each.deviceId);
  return { deviceId: ids[(ids.indexOf(deviceId) + 1) % ids.length] };
}

async function start(which) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Unreadable(say("camera.insecure"), say("camera.insecure_detail"));
  }
  const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { ...which, ...size } });
    chosen = which;
    return stream;
  } catch ({ name }) {
    if (name === "NotAllowedError") throw new Unreadable(say("camera.refused"), say("camera.refused_detail"));
    if (NO_CAMERA.includes(name)) throw new Unreadable(say("camera.none"), say("camera.none_detail"));
    throw new Unreadable(say("camera.busy"), say("camera.busy_detail"));
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** The middle square of what a video shows, as a JPEG in base64. */
function photo(video) {
  const { videoWidth: width, videoHeight: height } = video;
  const part = Math.min(width, height);
  const side = Math.min(SIDE, part);
  const canvas = el("canvas", { width: side, height: side });
  const pen = canvas.getContext("2d");
  pen.drawImage(video, (width - part) / 2, (height - part) / 2, part, part, 0, 0, side, side);
  return canvas.toDataURL("image/jpeg", QUALITY).split(",")[1];
}
