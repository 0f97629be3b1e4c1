// Picture files as people have them: large ones made smaller, unreadable ones named and left out.

import { Unreadable } from "./inputs.js";
import { say } from "./words.js";

const SENT_AS_IS = 1e6;  // bytes up to which the file of a drawing is not looked into
const SIDE = 1600;  // pixels to which the longer side of a larger drawing is scaled
const PHOTO_SIDE = 512;  // and of a photo
const PLAIN = ["image/jpeg", "image/png", "image/webp"];
const SPARE = 4096;  // bytes of a request besides its pictures
const TOGETHER = 32;  // photos of a request, so that one sees how far they are
const FOUR_FOR_THREE = 4 / 3;  // base64

/**
 * Hands picture files over in requests that are not too large; what the server refuses is left out.
 * @param {File[]} files
 * @param {object} options
 * @param {object} options.model the model in use
 * @param {object} options.limits of the server
 * @param {function(object[]): Promise} options.onInputs takes inputs, or throws a problem
 * @param {function(number, number)} options.onProgress takes how many of all are done
 * @throws {Unreadable} names the files that were left out, after all others were handed over
 */
export async function handOver(files, { model, limits, onInputs, onProgress }) {
  const most = (limits.body_bytes ?? Infinity) - SPARE;
  const left = [];
  let done = 0;
  const send = async (batch) => {
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
  };
  try {
    let [batch, room] = [[], most];
    for (const file of files) {  // one after the other: a phone has not the memory for all
      onProgress(done, files.length);
      const picture = await read(file, model, most);
      done++;
      if (picture.why) {
        left.push(picture);
        continue;
      }
      const size = picture.input.image.b64.length + 64;
      if (size > room || batch.length === TOGETHER) {
        await send(batch);
        [batch, room] = [[], most];
      }
      batch.push(picture);
      room -= size;
    }
    onProgress(done, files.length + 1);
    await send(batch);
  } finally {
    onProgress(1, 1);
  }
  if (!left.length) return;
  const lines = left.map(({ name, why }) => say("files.why", { name, why }));
  throw new Unreadable(say("files.left_out", { n: left.length }), lines);
}

/** A file as an input, or why it is none. */
async function read(file, model, most) {
  const { name } = file;
  const bytes = model.drawings ? await drawing(file) : await photo(file);
  if (!bytes) return { name, why: whyRefused({ head: await headOf(file) }, model) };
  if (bytes.size * FOUR_FOR_THREE > most) {
    const [size, limit] = [bytes.size, most / FOUR_FOR_THREE].map((each) => (each / 1e6).toFixed(1));
    return { name, why: say("files.large", { size, most: limit }) };
  }
  return { name, head: await headOf(bytes), input: { image: { b64: await base64(bytes) } } };
}

async function headOf(file) {
  return new Uint8Array(await file.slice(0, 16).arrayBuffer());
}

/** The file of a drawing, smaller where it is large; what the browser cannot read is left to the server. */
async function drawing(file) {
  if (file.size <= SENT_AS_IS) return file;
  const picture = await opened(file);
  const smaller = picture && await scaled(picture, SIDE);
  return smaller && smaller.size < file.size ? smaller : file;
}

/** The file of a photo of the size that is enough, as it is held; null for what the browser cannot read. */
async function photo(file) {
  const picture = await opened(file);
  if (!picture) return null;
  const fits = Math.max(picture.width, picture.height) <= PHOTO_SIDE && PLAIN.includes(file.type);
  return fits && file.size <= SENT_AS_IS ? file : scaled(picture, PHOTO_SIDE);
}

/** A picture turned as it was held; null for what the browser cannot read. */
function opened(file) {
  return createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
}

/** A picture on a white ground with at most `most` pixels a side, as a JPEG. */
async function scaled(picture, most) {
  const scale = Math.min(1, most / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: Math.ceil(picture.width * scale), height: Math.ceil(picture.height * scale) });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.93));
}

async function base64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
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
