// Picture files as people have them: large ones made smaller, unreadable ones named and left out.

import { Unreadable } from "./inputs.js";
import { say } from "./words.js";

const SENT_AS_IS = 1e6;  // bytes up to which a file is not looked into
const SIDE = 1600;  // pixels to which the longer side of a larger picture is scaled
const SPARE = 4096;  // bytes of a request besides its pictures
const FOUR_FOR_THREE = 4 / 3;  // base64

/**
 * Hands picture files over in requests that are not too large; what the server refuses is left out.
 * @param {File[]} files
 * @param {object} model the model in use
 * @param {object} limits of the server
 * @param {function(object[]): Promise} onInputs takes inputs, or throws a problem
 * @throws {Unreadable} names the files that were left out, after all others were handed over
 */
export async function handOver(files, model, limits, onInputs) {
  const most = (limits.body_bytes ?? Infinity) - SPARE;
  const pictures = await Promise.all(files.map((file) => read(file, most)));
  const left = pictures.filter(({ why }) => why);
  for (let batch of batches(pictures.filter(({ why }) => !why), most)) {
    while (batch.length) {
      try {
        await onInputs(batch.map(({ input }) => input));
        break;
      } catch (problem) {
        const refused = new Set((problem.errors ?? []).map(({ pointer }) => Number(/^\/\w+\/(\d+)/.exec(pointer)?.[1])));
        if (!batch.some((_, i) => refused.has(i))) throw problem;
        left.push(...batch.filter((_, i) => refused.has(i)).map((each) => ({ ...each, why: whyRefused(each, model) })));
        batch = batch.filter((_, i) => !refused.has(i));
      }
    }
  }
  if (!left.length) return;
  const lines = left.map(({ name, why }) => say("files.why", { name, why }));
  throw new Unreadable(say("files.left_out", { n: left.length }), lines);
}

/** A file as an input, or why it is none. */
async function read(file, most) {
  const { name } = file;
  const bytes = file.size > SENT_AS_IS ? await smaller(file) ?? file : file;
  if (bytes.size * FOUR_FOR_THREE > most) {
    const [size, limit] = [bytes.size, most / FOUR_FOR_THREE].map((each) => (each / 1e6).toFixed(1));
    return { name, why: say("files.large", { size, most: limit }) };
  }
  const content = new Uint8Array(await bytes.arrayBuffer());
  return { name, head: content.subarray(0, 16), input: { image: { b64: base64(content) } } };
}

/** The picture on a white ground with at most `SIDE` pixels a side; null for what the browser cannot read. */
async function smaller(file) {
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) return null;
  const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: Math.ceil(picture.width * scale), height: Math.ceil(picture.height * scale) });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  const scaled = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.93));
  return scaled.size < file.size ? scaled : null;
}

/** Pictures in groups, each small enough for one request. */
function batches(pictures, most) {
  const groups = [];
  let room = 0;
  for (const picture of pictures) {
    const size = picture.input.image.b64.length + 64;
    if (size > room) {
      groups.push([]);
      room = most;
    }
    groups.at(-1).push(picture);
    room -= size;
  }
  return groups;
}

function base64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return btoa(text);
}

const HEIC = /^....ftyp(hei|hev|mif1|msf1)/s;
const PICTURE = /^(\x89PNG|\xff\xd8\xff|GIF8|BM|II\*\0|MM\0\*|RIFF....WEBP)/s;

/** Why a server refuses a file, in words for people. */
function whyRefused({ head }, { drawings }) {
  const start = String.fromCharCode(...head);
  if (HEIC.test(start)) return say("files.heic");
  if (!PICTURE.test(start)) return say("files.no_picture");
  return drawings ? say("files.no_drawing") : say("files.damaged");
}
