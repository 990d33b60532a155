"use strict";

const {CLASSES, INPUT, OUTPUT} = CONSTANTS;
const at = id => document.getElementById(id);
const network = start();
let latest = 0;  // the number of the last picture that was given

/** What the page holds, unpacked. */
async function unpacked(id) {
  const packed = Uint8Array.from(atob(at(id).textContent), byte => byte.charCodeAt(0));
  at(id).remove();
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The function from an image's levels to probabilities. */
async function start() {
  const [module, wasm, model] = await Promise.all(["module", "wasm", "model"].map(unpacked));
  const address = URL.createObjectURL(new Blob([module], {type: "text/javascript"}));
  const ort = await import(address);
  ort.env.wasm.wasmBinary = wasm.buffer;
  ort.env.wasm.numThreads = 1;  // more need headers, which a file has not
  const session = await ort.InferenceSession.create(model, {executionProviders: ["wasm"]});
  return async pixels => {
    const image = new ort.Tensor(
      "float32", Float32Array.from(pixels, level => level / 255), [1, HEIGHT, WIDTH, CHANNELS]);
    const given = await session.run({[INPUT]: image});
    return given[OUTPUT].data;
  };
}

/** Classify a picture and show the answer; a picture that is given in the meantime wins. */
async function classify(file, name) {
  const number = ++latest;
  at("answer").setAttribute("aria-busy", "true");
  let problem = "";
  try {
    const {seen, probabilities} = await answered(file);
    if (number !== latest) return;
    show(file, name, seen, probabilities);
  } catch (error) {
    problem = `${name}: ${error.message}`;
  }
  if (number !== latest) return;
  tell(problem);
}

/** Show the answer, or why there is none. */
function tell(problem) {
  at("problem").textContent = problem;
  at("problem").hidden = !problem;
  at("answer").hidden = Boolean(problem);
  if (problem) at("picture").hidden = true;
  at("answer").setAttribute("aria-busy", "false");
}

async function answered(file) {
  const seen = await read(file);
  const classifier = await running();
  return {seen, probabilities: await classifier(seen.pixels)};
}

async function running() {
  try {
    return await network;
  } catch (error) {
    throw new Error(`this browser cannot run the network (${error.message}): update it`);
  }
}

/** Tell that the network is ready, unless a picture was given in the meantime. */
async function invite() {
  let problem = "";
  try {
    await running();
  } catch (error) {
    problem = error.message;
  }
  if (latest) return;
  at("class").textContent = "Ready";
  at("probability").textContent = "for your picture";
  tell(problem);
}

function show(file, name, seen, probabilities) {
  const picture = at("picture");
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(file);
  picture.alt = name;
  picture.hidden = false;
  const context = at("seen").getContext("2d");
  const image = context.createImageData(WIDTH, HEIGHT);
  for (let i = 0; i < WIDTH * HEIGHT; i++) {
    const levels = seen.pixels.subarray(CHANNELS * i, CHANNELS * (i + 1));
    image.data.set([levels[0], levels.at(CHANNELS > 1 ? 1 : 0), levels.at(-1), 255], 4 * i);
  }
  context.putImageData(image, 0, 0);

  const order = CLASSES.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a]);
  const percent = share => `${(100 * share).toFixed(1)}%`;
  at("class").textContent = CLASSES[order[0]];
  at("probability").textContent = percent(probabilities[order[0]]);
  order.forEach((index, place) => {
    const [label, bar, share] = at("bars").rows[place].children;
    label.textContent = CLASSES[index];
    share.textContent = percent(probabilities[index]);
    share.dataset.probability = probabilities[index];
    bar.firstElementChild.style.setProperty("--share", probabilities[index]);
  });
  at("inverted")?.toggleAttribute("hidden", !seen.inverted);
  at("doubts").hidden = !seen.warnings.length;
  at("signs").replaceChildren(...seen.warnings.map(sign => {
    const item = document.createElement("li");
    item.textContent = sign[0].toUpperCase() + sign.slice(1) + ".";
    return item;
  }));
  at("answer").dataset.file = name;
}

/** Classify what was dropped or pasted; for a link, the browser would leave the page. */
function take(event, {files}) {
  event.preventDefault();
  if (files.length === 1) {
    classify(files[0], files[0].name);
    return;
  }
  latest++;
  tell(files.length
    ? `these are ${files.length} files: give one at a time`
    : "this is not a file: save the picture, and choose its file");
}

at("file").addEventListener("change", ({target}) => {
  const [file] = target.files;
  if (file) classify(file, file.name);
  target.value = "";  // so that the same file can be chosen again
});
addEventListener("paste", event => take(event, event.clipboardData));
addEventListener("drop", event => {
  document.body.classList.remove("dragging");
  take(event, event.dataTransfer);
});
addEventListener("dragover", event => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
addEventListener("dragleave", event => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});

const examples = [...document.querySelectorAll("#examples button")];
const example = async button => {
  const image = button.querySelector("img");
  const bytes = Uint8Array.from(atob(image.src.split(",")[1]), byte => byte.charCodeAt(0));
  await classify(new Blob([bytes], {type: "image/png"}), button.title);
};
examples.forEach(button => button.addEventListener("click", () => example(button)));
if (examples.length) example(examples[0]);
else invite();
