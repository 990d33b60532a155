"use strict";
// The steps of fashion_mnist/pictures/garments.py, and Pillow's resampling, in the same integers.
// Decoders differ: Pillow decodes JPEGs of more than 1024 pixels smaller, and a browser gives only
// the upper 8 of 16 bits, reads no TIFF, and may leave a WebP as the camera held it.

const {
  APART, BLACK, EDGE, EVEN_BORDER, FILLED, LARGE_PART, LIGHT, MOST_FRAMES, MOST_NESTED, MOST_PIXELS,
  NEAR, SAME_GRAY, SMALLER, SMALL_PART, TRANSPARENT, TRIMMED, UNEVEN, UNIFORM, WIDEST_FRAME,
  WORKING_EDGE,
} = CONSTANTS;
const STRIP = 256;  // lines that are decoded at a time: a canvas may not be as large as a picture

/** What the network sees of the first frame that shows something. */
async function read(file) {
  for await (const bitmap of frames(file)) {
    const seen = prepared(bitmap);
    bitmap.close();
    if (seen.pixels.some(Boolean)) return seen;
  }
  throw new Error("shows nothing that stands out from its background");
}

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

/** What the network sees of an ImageBitmap: `pixels` (28 x 28), `inverted` and `warnings`. */
function prepared(bitmap) {
  if (bitmap.width * bitmap.height > MOST_PIXELS) {
    throw new Error(`has more than ${MOST_PIXELS.toLocaleString("en")} pixels: ${SMALLER}`);
  }
  const image = withoutFrames(thumbnail(grayOf(bitmap)));
  const [gray, background] = onItsBackground(image);
  let pixels, warnings = [];
  if (image.width === EDGE && image.height === EDGE) {
    pixels = onBlack(gray, background);
  } else {
    const levels = standingOut(gray, background);
    const everything = garmentIn(levels);
    const parts = partsOf(everything);
    const keep = of => map(of, (level, i) => parts.data[i] && level);
    const garment = keep(everything);
    pixels = fitted(crop(keep(levels), ...boxOf(garment)));
    warnings = signsOfTrouble(everything, parts, garment);
  }
  return {pixels: pixels.data, inverted: background >= LIGHT, warnings};
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
const border = of => [
  ...row(of, 0), ...row(of, of.height - 1),
  ...column(of, 0).slice(1, -1), ...column(of, of.width - 1).slice(1, -1)];

/** Half to even, as Python and NumPy round. */
function round(number) {
  const down = Math.floor(number), rest = number - down;
  return rest > 0.5 || (rest === 0.5 && down % 2) ? down + 1 : down;
}

function median(numbers) {
  const sorted = Float64Array.from(numbers).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const mean = numbers => numbers.reduce((sum, number) => sum + Number(number), 0) / numbers.length;

/** The bitmap's gray levels and opacity (null if it is opaque), as Pillow weighs the colours. */
function grayOf(bitmap) {
  const {width, height} = bitmap;
  const gray = plane(width, height), opacity = plane(width, height);
  const canvas = new OffscreenCanvas(width, Math.min(STRIP, height));
  const context = canvas.getContext("2d", {willReadFrequently: true});
  for (let top = 0; top < height; top += STRIP) {
    const lines = Math.min(STRIP, height - top);
    context.clearRect(0, 0, width, lines);
    context.drawImage(bitmap, 0, top, width, lines, 0, 0, width, lines);
    const {data} = context.getImageData(0, 0, width, lines);
    for (let from = 0, to = top * width; from < data.length; from += 4, to++) {
      gray.data[to] =
        (data[from] * 19595 + data[from + 1] * 38470 + data[from + 2] * 7471 + 0x8000) >> 16;
      opacity.data[to] = data[from + 3];
    }
  }
  const opaque = opacity.data.every(level => level === 255);
  return {width, height, gray, opacity: opaque ? null : opacity};
}

/** Scaled down until it fits into the working square, as Image.thumbnail does. */
function thumbnail(image) {
  const {width, height, gray, opacity} = image;
  if (width <= WORKING_EDGE && height <= WORKING_EDGE) return image;
  const aspect = width / height;
  const nearest = (number, distance) => {
    const [down, up] = [Math.floor(number), Math.ceil(number)];
    return Math.max(distance(up) < distance(down) ? up : down, 1);
  };
  let [x, y] = [WORKING_EDGE, WORKING_EDGE];
  if (aspect <= 1) x = nearest(y * aspect, n => Math.abs(aspect - n / y));
  else y = nearest(x / aspect, n => n && Math.abs(aspect - x / n));
  const smaller = of => {
    const [acrossBy, downBy] = [width / x, height / y].map(by => Math.trunc(by / 2) || 1);
    return resampled(reduced(of, acrossBy, downBy), x, y, BOX, [width / acrossBy, height / downBy]);
  };
  if (!opacity) return {width: x, height: y, gray: smaller(gray), opacity: null};
  const weighted = plane(width, height, gray.data.map((level, i) => {
    const product = level * opacity.data[i] + 128;
    return ((product >> 8) + product) >> 8;
  }));
  const [light, alpha] = [smaller(weighted), smaller(opacity)];
  const unweighted = light.data.map((level, i) =>
    alpha.data[i] ? Math.min(255, Math.trunc(255 * level / alpha.data[i])) : level);
  return {width: x, height: y, gray: plane(x, y, unweighted), opacity: alpha};
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
const sinc = x => x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
const LANCZOS = {support: 3, weight: x => x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0};

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

/** What is inside the frames, which may be nested and missing on some sides. */
function withoutFrames(image) {
  for (let n = 0; n < MOST_NESTED; n++) {
    const inside = insideFrame(image);
    const [left, top, right, bottom] = inside;
    if (right - left === image.width && bottom - top === image.height) break;
    image = {
      width: right - left,
      height: bottom - top,
      gray: crop(image.gray, ...inside),
      opacity: image.opacity && crop(image.opacity, ...inside),
    };
  }
  return image;
}

/** The box inside the outermost frame: garments.py says what a frame is. */
function insideFrame({width, height, gray, opacity}) {
  const [across, down] = [width, height].map(edge =>
    Math.min(Math.max(WIDEST_FRAME, edge >> 4), Math.trunc(edge / 3)));
  if ((width === EDGE && height === EDGE) || !across || !down) return [0, 0, width, height];
  const levels = map(
    gray, (level, i) => opacity && opacity.data[i] < LIGHT ? TRANSPARENT : level, Int16Array);
  const lines = [  // from each side inwards: left, top, right, bottom
    n => column(levels, n), n => row(levels, n),
    n => column(levels, width - 1 - n), n => row(levels, height - 1 - n)];
  // The ends of a line may belong to the frame on another side.
  const counts = lines.map((line, side) => {
    const [most, ends] = side % 2 ? [down, across] : [across, down];
    return linesOfOneTone(n => line(n).slice(ends, -ends), most);
  });
  const [left, top] = counts, right = width - counts[2], bottom = height - counts[3];
  const background = commonest(border(crop(levels, left, top, right, bottom)));
  const cut = counts.map((count, side) => {
    const span = side % 2 ? [left, right] : [top, bottom];
    return isFrame(lines[side](0).slice(...span), background) ? count : 0;
  });
  return [cut[0], cut[1], width - cut[2], height - cut[3]];
}

const isFrame = (line, background) =>
  isOneTone(line) && Math.abs(median(line) - background) > SAME_GRAY;

function isOneTone(line) {
  const middle = median(line);
  return mean(Array.from(line, level => Math.abs(level - middle) <= 2 * SAME_GRAY)) >= UNIFORM;
}

/** How many lines come before those of another tone; 0 if there are more than `most`. */
function linesOfOneTone(line, most) {
  const tones = Array.from({length: most + 2}, (_, n) =>
    isOneTone(line(n)) ? median(line(n)) : Infinity);
  let count = Math.max(0, tones.findIndex(tone => Math.abs(tone - tones[0]) > SAME_GRAY));
  // The edge between the two may be blurred.
  const step = n => Math.abs(tones[n + 1] - tones[n]);
  while (count > 0 && count < most && step(count) > SAME_GRAY && step(count) < Infinity) count++;
  return count <= most ? count : 0;
}

/** Gray levels without transparency, and the background's level. */
function onItsBackground({gray, opacity}) {
  if (!opacity) return [gray, commonest(border(gray))];
  const seen = border(opacity).map(level => level >= LIGHT);
  const total = opacity.data.reduce((sum, level) => sum + level, 0);
  let background = 0;
  if (mean(seen) >= 0.5) {
    background = commonest(border(gray).filter((_, i) => seen[i]));
  } else if (total) {
    const light = gray.data.reduce((sum, level, i) => sum + level * opacity.data[i], 0) / total;
    background = light >= LIGHT ? 0 : 255;
  }
  const blended = map(gray, (level, i) => {
    const share = opacity.data[i] / 255;
    return round(level * share + background * (1 - share));
  });
  return [blended, background];
}

/** The middle of the most common tone. */
function commonest(levels) {
  const counts = new Array(TRANSPARENT + 1).fill(0);
  for (const level of levels) counts[level]++;
  const around = counts.map((_, tone) => {
    const near = counts.slice(Math.max(0, tone - SAME_GRAY), tone + SAME_GRAY + 1);
    return near.reduce((sum, count) => sum + count, 0);
  });
  const peak = around.indexOf(Math.max(...around));
  return Math.trunc(median(levels.filter(level => Math.abs(level - peak) <= SAME_GRAY)));
}

/** How far each pixel is from the background, stretched to [0, 255], in single precision. */
const away = (gray, background) => map(
  gray,
  level => Math.abs(level - background) * Math.fround(255 / Math.max(background, 255 - background)),
  Float32Array);

function onBlack(gray, background) {
  if (background <= BLACK) return gray;
  if (background >= 255 - BLACK) return map(gray, level => 255 - level);
  return map(away(gray, background), round);
}

/** The same on black, with the noise of the background removed. */
function standingOut(gray, background) {
  const levels = away(gray, background);
  const noise = border(levels).filter(level => level <= 2 * TRIMMED);
  const threshold = TRIMMED + (noise.length ? 2 * mean(noise) : 0);
  return map(levels, level => level > threshold ? round(level) : 0);
}

/** Where the garment is, without specks, which would widen its box. */
function garmentIn(levels) {
  const garment = map(levels, level => level > 0);
  if (Math.min(levels.width, levels.height) <= 2 * EDGE) return garment;
  const {width, height} = levels;
  const around = (of, x, y) => {
    let count = 0;
    for (const v of [y - 1, y, y + 1]) {
      for (const u of [x - 1, x, x + 1]) {
        count += of.data[
          Math.min(Math.max(v, 0), height - 1) * width + Math.min(Math.max(u, 0), width - 1)];
      }
    }
    return count;
  };
  const each = (of, test) => map(of, (_, i) => test(around(of, i % width, Math.trunc(i / width))));
  const large = each(each(garment, count => count > 4), count => count > 0);
  return map(garment, (inside, i) => inside && large.data[i]);
}

/** 1, 2, ... in and around each part; 0 outside, and in small ones. */
function partsOf(garment) {
  const {width, height} = garment;
  const reach = Math.max(1, Math.trunc(Math.max(width, height) / NEAR));
  const spread = of => {
    const wide = plane(of.width, of.height);
    of.data.forEach((inside, i) => {
      if (!inside) return;
      const x = i % of.width;
      wide.data.fill(1, i - Math.min(reach, x), i + Math.min(reach, of.width - 1 - x) + 1);
    });
    return wide;
  };
  const around = transposed(spread(transposed(spread(garment))));
  const parts = plane(width, height, new Int32Array(width * height));
  const sizes = [0];
  around.data.forEach((inside, start) => {
    if (!inside || parts.data[start]) return;
    const number = sizes.push(0) - 1;
    const found = [start];
    parts.data[start] = number;
    while (found.length) {
      const i = found.pop(), x = i % width, y = Math.trunc(i / width);
      sizes[number] += garment.data[i];
      for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, height - 1); v++) {
        for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, width - 1); u++) {
          const next = v * width + u;
          if (!around.data[next] || parts.data[next]) continue;
          parts.data[next] = number;
          found.push(next);
        }
      }
    }
  });
  const largest = Math.max(...sizes);
  let count = 0;
  const numbers = sizes.map(size => size > SMALL_PART * largest ? ++count : 0);
  return map(parts, number => numbers[number], Int32Array);
}

const sums = of => [
  Array.from({length: of.width}, (_, x) => column(of, x).reduce((sum, n) => sum + n, 0)),
  Array.from({length: of.height}, (_, y) => row(of, y).reduce((sum, n) => sum + n, 0))];

/** The box (left, top, right, bottom) that the garment fills. */
function boxOf(garment) {
  const [across, down] = sums(garment);
  const [left, top] = [across, down].map(filled => filled.findIndex(Boolean));
  if (left < 0) return [0, 0, 1, 1];
  return [left, top, across.findLastIndex(Boolean) + 1, down.findLastIndex(Boolean) + 1];
}

/** What is unlike one garment on a plain background. */
function signsOfTrouble(everything, parts, garment) {
  const [left, top, right, bottom] = boxOf(everything);
  const found = [
    [FILLED, right - left === everything.width && bottom - top === everything.height],
    [UNEVEN, mean(border(everything)) > EVEN_BORDER],
    [APART, parts.data.includes(2) || sums(garment).some(hasParts)],
  ];
  return found.filter(([, seen]) => seen).map(([sign]) => sign);
}

/** Whether empty lines separate two large parts. */
function hasParts(filled) {
  const sizes = [0];
  filled.forEach((count, i) => {
    if (count && !filled[i - 1]) sizes.push(0);
    sizes[sizes.length - 1] += count;
  });
  const [largest, second = 0] = sizes.sort((a, b) => b - a);
  return second > LARGE_PART * largest;
}

/** Scaled until its longest edge is 28, in the middle of a black square. */
function fitted(garment) {
  const scale = EDGE / Math.max(garment.width, garment.height);
  const [width, height] = [garment.width, garment.height].map(edge =>
    Math.max(1, round(scale * edge)));
  const scaled = resampled(garment, width, height, LANCZOS);
  const square = plane(EDGE, EDGE);
  const [left, top] = [width, height].map(edge => (EDGE - edge) >> 1);
  for (let y = 0; y < height; y++) square.data.set(row(scaled, y), (top + y) * EDGE + left);
  return square;
}
