"use strict";
// The steps of fashion_mnist/pictures/plain.py.

const {BACKGROUND, LEVELS, REDUCING} = CONSTANTS;

/** What the network sees of the first frame. */
async function read(file) {
  const shrinking = await isJpeg(file) ? shrinkingOfJpeg : () => 1;
  for await (const bitmap of frames(file)) {
    const planes = opaque(bitmap);
    const by = shrinking(bitmap);
    bitmap.close();
    const pixels = new Uint8Array(HEIGHT * WIDTH * CHANNELS);
    planes.forEach((of, channel) => fitted(reduced(of, by, by)).data.forEach((level, i) => {
      pixels[i * CHANNELS + channel] = level;
    }));
    return {pixels, inverted: false, warnings: []};
  }
}

async function isJpeg(file) {
  const [first, second] = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  return first === 0xff && second === 0xd8;
}

/** Of how many pixels, each way, Pillow's decoder makes one, the mean. */
function shrinkingOfJpeg({width, height}) {
  const most = Math.trunc(Math.min(width, height) / Math.max(HEIGHT, WIDTH));
  return [8, 4, 2].find(by => by <= most) || 1;
}

/** The bitmap's channels, with the background seen through what is transparent. */
function opaque(bitmap) {
  const {opacity, channels} = CHANNELS === 1 ? ofGray(bitmap) : ofColours(bitmap);
  if (!opacity) return channels;
  const level = LEVELS[BACKGROUND];
  // Image.alpha_composite, in its integers.
  return channels.map(of => map(of, (above, i) => {
    const share = opacity.data[i];
    const sum = (above * share + level * (255 - share) + 128) * 128;
    return ((sum >> 8) + sum) >> 15;
  }));
}

function ofGray(bitmap) {
  const {gray, opacity} = grayOf(bitmap);
  return {opacity, channels: [gray]};
}

function ofColours(bitmap) {
  const {width, height} = sizeOf(bitmap);
  const planes = Array.from({length: 4}, () => plane(width, height));
  for (const [data, start] of strips(bitmap)) {
    data.forEach((level, i) => { planes[i & 3].data[start + (i >> 2)] = level; });
  }
  return {opacity: planes.pop(), channels: planes};
}

const BICUBIC = {
  support: 2,
  weight: x => {
    x = Math.abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
  },
};

/** Scaled until it fills the frame's height or width, in the middle of it. */
function fitted(of) {
  const scale = Math.min(HEIGHT / of.height, WIDTH / of.width);
  const [width, height] = [[of.width, WIDTH], [of.height, HEIGHT]].map(([edge, most]) =>
    Math.min(most, Math.max(1, round(scale * edge))));
  const same = width === of.width && height === of.height;
  const scaled = same ? of : shrunk(of, width, height, BICUBIC, REDUCING);
  const [left, top] = [(WIDTH - width) >> 1, (HEIGHT - height) >> 1];
  const frame = plane(WIDTH, HEIGHT);
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const [u, v] = [x - left, y - top];
      const [nearU, nearV] = [inside(u, width), inside(v, height)];
      const shown = BACKGROUND === "edge" || (u === nearU && v === nearV);
      frame.data[y * WIDTH + x] =
        shown ? scaled.data[nearV * width + nearU] : LEVELS[BACKGROUND];
    }
  }
  return frame;
}

const inside = (place, count) => Math.min(Math.max(place, 0), count - 1);
