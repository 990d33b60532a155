"use strict";
// The steps of fashion_mnist/pictures/garments.py.
// Decoders differ: Pillow decodes JPEGs of more than 1024 pixels smaller.

const {
  APART, BLACK, EDGE, EVEN_BORDER, FILLED, LARGE_PART, LIGHT, MOST_NESTED, NEAR, SAME_GRAY,
  SMALL_PART, TRANSPARENT, TRIMMED, UNEVEN, UNIFORM, WIDEST_FRAME, WORKING_EDGE,
} = CONSTANTS;
const GAP = 2;  // of Image.thumbnail

/** What the network sees of the first frame that shows something. */
async function read(file) {
  for await (const bitmap of frames(file)) {
    const seen = prepared(bitmap);
    bitmap.close();
    if (seen.pixels.some(Boolean)) return seen;
  }
  throw new Error("shows nothing that stands out from its background");
}

/** What the network sees of an ImageBitmap: `pixels` (28 x 28), `inverted` and `warnings`. */
function prepared(bitmap) {
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
  const smaller = of => shrunk(of, x, y, BOX, GAP);
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

const sinc = x => x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
const LANCZOS = {support: 3, weight: x => x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0};

const border = of => [
  ...row(of, 0), ...row(of, of.height - 1),
  ...column(of, 0).slice(1, -1), ...column(of, of.width - 1).slice(1, -1)];

function median(numbers) {
  const sorted = Float64Array.from(numbers).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const mean = numbers => numbers.reduce((sum, number) => sum + Number(number), 0) / numbers.length;

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
