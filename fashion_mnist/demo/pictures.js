"use strict";
// The steps of fashion_mnist/pictures/decoding.py, and Pillow's resampling, in the same integers.
// Decoders differ: a browser gives only the upper 8 of 16 bits, reads no TIFF, and may leave a WebP
// as the camera held it.

const {MOST_FRAMES, MOST_PIXELS, SMALLER} = CONSTANTS;
const [HEIGHT, WIDTH, CHANNELS] = CONSTANTS.IMAGE_SHAPE;
const STRIP = 256;  // lines that are decoded at a time: a canvas may not be as large as a picture

/** An ImageBitmap of each frame; a browser without ImageDecoder gives only the first. */
async function* frames(file) {
  // The bytes of the file, as Pillow decodes them.
  const asTheyAre = {colorSpaceConversion: "none", premultiplyAlpha: "none"};
  try {
    yield await createImageBitmap(file, asTheyAre);
  } catch {
    throw new Error("is not a picture that this browser can read: save it as PNG, JPEG or WebP");
  }
  try {
    const decoder = new ImageDecoder(
      {data: await file.arrayBuffer(), type: file.type, colorSpaceConversion: "none"});
    await Promise.all([decoder.tracks.ready, decoder.completed]);
    const count = Math.min(decoder.tracks.selectedTrack.frameCount, MOST_FRAMES);
    for (let frameIndex = 1; frameIndex < count; frameIndex++) {
      const {image} = await decoder.decode({frameIndex});
      const bitmap = await createImageBitmap(image, asTheyAre);
      image.close();
      yield bitmap;
    }
  } catch {
    // The browser decodes no other frames of this kind of file.
  }
}

/** Numbers in rows; `data` is a typed array. */
const plane = (width, height, data = new Uint8Array(width * height)) => ({width, height, data});
const map = (of, change, Kind = Uint8Array) =>
  plane(of.width, of.height, Kind.from(of.data, change));

function crop(of, left, top, right, bottom) {
  const inside = plane(right - left, bottom - top, new of.data.constructor(
    (right - left) * (bottom - top)));
  for (let y = top; y < bottom; y++) {
    inside.data.set(
      of.data.subarray(y * of.width + left, y * of.width + right), (y - top) * inside.width);
  }
  return inside;
}

const row = (of, y) => of.data.subarray(y * of.width, (y + 1) * of.width);
const column = (of, x) => Array.from({length: of.height}, (_, y) => of.data[y * of.width + x]);

/** Half to even, as Python and NumPy round. */
function round(number) {
  const down = Math.floor(number), rest = number - down;
  return rest > 0.5 || (rest === 0.5 && down % 2) ? down + 1 : down;
}

function sizeOf({width, height}) {
  if (width * height > MOST_PIXELS) {
    throw new Error(`has more than ${MOST_PIXELS.toLocaleString("en")} pixels: ${SMALLER}`);
  }
  return {width, height};
}

/** The bitmap's bytes (RGBA), some lines at a time, each with the number of its first pixel. */
function* strips(bitmap) {
  const {width, height} = bitmap;
  const canvas = new OffscreenCanvas(width, Math.min(STRIP, height));
  const context = canvas.getContext("2d", {willReadFrequently: true});
  for (let top = 0; top < height; top += STRIP) {
    const lines = Math.min(STRIP, height - top);
    context.clearRect(0, 0, width, lines);
    context.drawImage(bitmap, 0, top, width, lines, 0, 0, width, lines);
    yield [context.getImageData(0, 0, width, lines).data, top * width];
  }
}

/** The bitmap's gray levels and opacity (null if it is opaque), as Pillow weighs the colours. */
function grayOf(bitmap) {
  const {width, height} = sizeOf(bitmap);
  const gray = plane(width, height), opacity = plane(width, height);
  for (const [data, start] of strips(bitmap)) {
    for (let from = 0, to = start; from < data.length; from += 4, to++) {
      gray.data[to] =
        (data[from] * 19595 + data[from + 1] * 38470 + data[from + 2] * 7471 + 0x8000) >> 16;
      opacity.data[to] = data[from + 3];
    }
  }
  const opaque = opacity.data.every(level => level === 255);
  return {width, height, gray, opacity: opaque ? null : opacity};
}

/** Means of blocks, in Pillow's integers. */
function reduced(of, across, down) {
  if (across === 1 && down === 1) return of;
  const small = plane(Math.ceil(of.width / across), Math.ceil(of.height / down));
  for (let y = 0; y < small.height; y++) {
    for (let x = 0; x < small.width; x++) {
      const right = Math.min((x + 1) * across, of.width);
      const bottom = Math.min((y + 1) * down, of.height);
      const count = (right - x * across) * (bottom - y * down);
      let sum = count >> 1;
      for (let v = y * down; v < bottom; v++) {
        for (let u = x * across; u < right; u++) sum += of.data[v * of.width + u];
      }
      const share = Math.floor(Math.fround(2 ** 32 / (256 * count)));
      small.data[y * small.width + x] = Math.floor(sum * share / 2 ** 24);
    }
  }
  return small;
}

const BOX = {support: 0.5, weight: x => Number(x > -0.5 && x <= 0.5)};

/** Image.resize with a `reducing_gap`: means of blocks first, while they are far smaller. */
function shrunk(of, width, height, filter, gap) {
  const [across, down] = [of.width / width, of.height / height].map(by =>
    Math.trunc(by / gap) || 1);
  const span = [of.width / across, of.height / down];
  return resampled(reduced(of, across, down), width, height, filter, span);
}

/** Image.resize, each way rounded to 8 bits; `span` is how much of the width and height is used. */
function resampled(of, width, height, filter, span = [of.width, of.height]) {
  const across = image => oneWay(image, width, filter, span[0]);
  const down = image => transposed(oneWay(transposed(image), height, filter, span[1]));
  // What Pillow 13 does first.
  const shorter = of.height - height;
  return shorter > 0 && shorter > 2 * (of.width - width) ? across(down(of)) : down(across(of));
}

function oneWay(of, width, filter, span) {
  if (width === of.width && span === of.width) return of;
  const scale = span / width, stretch = Math.max(scale, 1), reach = filter.support * stretch;
  const result = plane(width, of.height);
  for (let x = 0; x < width; x++) {
    const centre = (x + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(of.width, Math.trunc(centre + reach + 0.5));
    let weights = [];
    for (let u = first; u < last; u++) {
      weights.push(filter.weight((u - centre + 0.5) * (1 / stretch)));
    }
    const total = weights.reduce((sum, weight) => sum + weight, 0) || 1;
    weights = weights.map(weight => {
      const whole = weight / total * 2 ** 22;
      return Math.trunc(whole < 0 ? whole - 0.5 : whole + 0.5);
    });
    for (let y = 0; y < of.height; y++) {
      let sum = 2 ** 21;
      weights.forEach((weight, i) => { sum += weight * of.data[y * of.width + first + i]; });
      result.data[y * width + x] = Math.min(255, Math.max(0, Math.floor(sum / 2 ** 22)));
    }
  }
  return result;
}

function transposed(of) {
  const turned = plane(of.height, of.width);
  for (let x = 0; x < of.width; x++) turned.data.set(column(of, x), x * of.height);
  return turned;
}
