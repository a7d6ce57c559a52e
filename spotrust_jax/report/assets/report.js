"use strict";
// The report: a gallery of all photographs, and a viewer of one. All texts enter the page as text, never as markup.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const photographs = data.photographs;
const CARDS_AT_ONCE = 60;
const KEPT_DETAILS = 4;
const MASK = [0, 255, 255, 115];
const LEFT_OUT = [255, 170, 0, 115];
const HALO = [0, 0, 0, 170];
const OPAQUE = 255;

const percent = (share) => `${(100 * share).toFixed(2)} %`;
const fixed = (value, digits) => (value === null ? "–" : value.toFixed(digits));

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// ---- Explanations: a button beside each figure that opens a box with what it means. The browser does the rest.

function explain(name) {
  const { term, text } = data.explanations[name];
  const box = element("span", { class: "explanation", popover: "", role: "note" }, element("b", {}, term), text);
  const button = element("button", { type: "button", class: "why", "aria-label": `What is ${term}?` }, "?");
  button.popoverTargetElement = box;
  box.addEventListener("toggle", () => placeBeside(box, button));
  return element("span", { class: "explained" }, button, box);
}

function placeBeside(box, button) {
  const { left, bottom } = button.getBoundingClientRect();
  const within = (low, size, room) => `${Math.max(8, Math.min(low, room - size - 8))}px`;
  box.style.left = within(left, box.offsetWidth, document.documentElement.clientWidth);
  box.style.top = within(bottom + 6, box.offsetHeight, window.innerHeight);
}

// ---- Gallery: cards are made as they come into view.

let order = [];
let made = 0;

function chipsOf(photograph) {
  const { checked, note, changes } = noteOf(photograph);
  const texts = [checked && "✓ checked", note && "remark", changes.some(isOverride) && "changed by the inspector"];
  return texts.filter(Boolean).map((text) => element("span", { class: "chip done" }, text));
}

// What is said of a photograph of a kind that the model does not know.
function unknownKind(photograph) {
  return element("span", { class: "chip novel", title: photograph.novelty_note }, data.unknown_kind);
}

// The interval as a bar from 0 to 100%, and the estimate as a line in it.
function meterOf(photograph) {
  const [range, line] = [element("i", { class: "range" }), element("i", { class: "line" })];
  range.style.left = percent(photograph.area_low || 0).replace(" ", "");
  range.style.width = percent((photograph.area_high || 0) - (photograph.area_low || 0)).replace(" ", "");
  line.style.left = percent(photograph.area).replace(" ", "");
  return element("span", { class: "meter", "aria-hidden": "true" }, range, line);
}

function cardOf(photograph) {
  const { shown } = photograph;
  const alternative = `${photograph.name}: ${percent(photograph.corroded_fraction)} marked`;
  const image = element("img", { src: photograph.thumbnail, loading: "lazy", decoding: "async", alt: alternative });
  const values = element("span", { class: "values" }, element("b", {}, `${shown.area} corroded`), element("span", {}, `${data.area_level} interval: ${shown.interval}`), photograph.novel ? unknownKind(photograph) : element("span", {}, `grade: ${shown.grades[0].replace(/ \(judged.*|:.*/, "")}`),
    element("span", {}, `expected missed: ${shown.expected_missed}`));
  const button = element("button", { type: "button" }, image, element("span", { class: "body" },
    element("span", { class: "name", title: photograph.outputs }, photograph.name), meterOf(photograph), values,
    element("span", { class: "chips" }, ...chipsOf(photograph))));
  button.addEventListener("click", () => openViewer(photograph));
  photograph.card = element("li", { class: photograph.novel ? "card unknown-kind" : "card" }, button);
  return photograph.card;
}

function chosen(photograph) {
  const least = (id) => Number(byId(id).value) || 0;
  const [state, kind] = [byId("filter-state").value, byId("filter-kind").value];
  const { checked } = noteOf(photograph);
  return photograph.outputs.toLowerCase().includes(byId("filter-name").value.trim().toLowerCase())
    && 100 * photograph.corroded_fraction >= least("filter-area")
    && photograph.mean_epistemic >= least("filter-epistemic")
    && 100 * photograph.expected_missed_fraction >= least("filter-missed")
    && (kind === "all" || (photograph.novel === true) === (kind === "unknown"))
    && (state !== "checked" || checked) && (state !== "unchecked" || !checked);
}

const FILTERS = ["filter-name", "filter-area", "filter-epistemic", "filter-missed", "filter-state", "filter-kind"];

const isSet = (id) => byId(id).value !== "" && byId(id).value !== "all";

function clearFilters() {
  for (const id of FILTERS) byId(id).value = byId(id).matches("select") ? "all" : "";
  arrange();
}

function showNovel() {
  clearFilters();
  byId("filter-kind").value = "unknown";
  arrange();
  byId("gallery").scrollIntoView();
}

function sortBy(key) {
  byId("reverse").checked = byId("sort").value === key && !byId("reverse").checked;
  byId("sort").value = key;
  arrange();
}

// The order and choice of gallery, table and print alike.
function arrange() {
  const key = byId("sort").value;
  const sign = byId("reverse").checked ? -1 : 1;
  const byName = (a, b) => (a.outputs < b.outputs ? -1 : 1);
  const compared = key === "name" ? byName : (a, b) => b[key] - a[key] || sign * byName(a, b);
  order = photographs.filter(chosen).sort((a, b) => sign * compared(a, b));
  for (const photograph of photographs) photograph.card = null;
  made = 0;
  byId("cards").replaceChildren();
  byId("shown-count").textContent = `${order.length} of ${photographs.length} shown`;
  byId("clear").hidden = !FILTERS.some(isSet);
  byId("nothing").hidden = order.length > 0 || photographs.length === 0;
  byId("summary-rows").replaceChildren(...order.map((photograph) => photograph.row));
  for (const button of document.querySelectorAll("[data-sort]")) showSorting(button, key, sign);
  prepareAhead();
  addCards();
}

function showSorting(button, key, sign) {
  const heading = button.closest("th");
  if (button.dataset.sort !== key) return heading.removeAttribute("aria-sort");
  return heading.setAttribute("aria-sort", (key === "name") === (sign > 0) ? "ascending" : "descending");
}

function addCards() {
  const next = order.slice(made, made + CARDS_AT_ONCE);
  made += next.length;
  byId("cards").append(...next.map(cardOf));
}

function moveInGallery(event) {
  const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
  const cards = [...byId("cards").children];
  const here = cards.findIndex((card) => card.contains(document.activeElement));
  if (here < 0) return;
  const columns = getComputedStyle(byId("cards")).gridTemplateColumns.split(" ").length;
  const step = { ...steps, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (!step) return;
  event.preventDefault();
  cards[Math.min(cards.length - 1, Math.max(0, here + step))].firstElementChild.focus();
}

// ---- Details of a photograph: in the page, or in a script beside it.

const details = new Map();
let waiting = null;

window.spotrustDetail = (detail) => waiting && waiting(detail);

async function detailOf(number) {
  if (details.has(number)) return details.get(number);
  const inPage = byId(`detail-${number}`);
  const raw = inPage ? JSON.parse(inPage.textContent) : await loadedBeside(number);
  const [photograph, levels] = await Promise.all([raw.photograph, raw.levels].map(decoded));
  const detail = { ...raw, photograph, levels: pixelsOf(levels), areas: summedUp(raw.counts) };
  details.set(number, detail);
  if (details.size > KEPT_DETAILS) details.delete(details.keys().next().value);
  return detail;
}

let queue = Promise.resolve();

function loadedBeside(number) {
  queue = queue.catch(() => {}).then(() => new Promise((resolve, reject) => {
    const script = element("script", { src: `${data.files}/${String(number).padStart(6, "0")}.js` });
    waiting = resolve;
    script.onload = () => script.remove();
    script.onerror = () => reject(new Error("missing"));
    document.head.append(script);
  }));
  return queue;
}

async function decoded(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

function pixelsOf(image) {
  const canvas = element("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// Pixels that reach threshold i and are no more uncertain than cut-off j, at [i * cut-offs + j]; all pixels at the end.
function summedUp(counts) {
  const cutOffs = data.epistemic_steps.length;
  const levels = data.probability_steps.length + 1;
  const sums = new Float64Array(levels * cutOffs);
  for (let k = 0, cell = 0; k < counts.length; k += 2) sums[cell += counts[k]] = counts[k + 1];
  for (let i = levels - 1; i >= 0; i--) {
    for (let j = 0, row = 0; j < cutOffs; j++) {
      row += sums[i * cutOffs + j];
      sums[i * cutOffs + j] = row + (i + 1 < levels ? sums[(i + 1) * cutOffs + j] : 0);
    }
  }
  return sums;
}

function areaAt(detail, threshold, cutOff) {
  return detail.areas[(threshold + 1) * data.epistemic_steps.length + cutOff];
}

// ---- Viewer.

// Functions of context, frame and detail that draw over the picture.
const overlays = [];

// `tool`, where there is one, gets what the pointer does in place of panning.
const viewer = { tool: null, photograph: null, detail: null, layer: "photograph", zoom: 1, x: 0, y: 0, picture: null, mask: null };
const threshold = () => Number(byId("threshold").value);
const cutOff = () => Number(byId("cut-off").value);

async function openViewer(photograph) {
  recordRemark();
  const left = viewer.photograph;
  viewer.photograph = photograph;
  forget(photograph);
  if (left) printAgain(left);
  viewer.detail = null;
  viewer.picture = viewer.mask = null;
  byId("viewer-name").textContent = photograph.name;
  byId("viewer-name").title = photograph.outputs;
  byId("pointer").textContent = "";
  showViewerNotes();
  if (!byId("viewer").open) {
    byId("viewer").showModal();
    byId("canvas").focus();
  }
  byId("loading").hidden = false;
  byId("loading").textContent = "Loading …";
  fit();
  try {
    const detail = await detailOf(photographs.indexOf(photograph));
    if (viewer.photograph !== photograph) return;
    viewer.detail = detail;
    byId("loading").hidden = true;
    showRegions();
    fit();
    refresh();
    document.dispatchEvent(new Event("spotrust:opened"));
  } catch {
    byId("loading").textContent = `Its file is missing: keep ${data.files || "the folder"} beside this page.`;
  }
}

function step(by) {
  const next = order[order.indexOf(viewer.photograph) + by];
  if (!next) return;
  if (order.indexOf(next) >= made) addCards();
  openViewer(next);
}

function areaOf(region) {
  return region.square_millimetres === null ? `${region.pixels} px` : `${region.square_millimetres.toFixed(0)} mm²`;
}

function showRegions() {
  const { regions, size } = viewer.detail;
  const total = viewer.photograph.regions;
  byId("regions-note").textContent = total > regions.length ? `${regions.length} largest of ${total}` : String(total);
  const rows = regions.map((region) => {
    const show = () => zoomTo((region.left + region.width / 2) / size[1], (region.top + region.height / 2) / size[0],
      Math.min(12, 0.6 / Math.max(region.width / size[1], region.height / size[0])));
    const button = element("button", { type: "button", "aria-label": `Show region ${region.region}` }, String(region.region));
    button.addEventListener("click", show);
    const means = `mean probability ${region.mean_probability.toFixed(2)}, mean epistemic ${region.mean_epistemic.toFixed(3)}`;
    return element("tr", {}, element("td", {}, button), element("td", { title: means }, areaOf(region)), element("td", {}, verdictOf(region)));
  });
  byId("regions").tBodies[0].replaceChildren(...rows);
}

function refresh() {
  if (!viewer.detail) return;
  const { detail, layer } = viewer;
  // A tint over the photograph; over maps, whose colours mean something, the outline alone.
  const outline = byId("outline").checked || layer !== "photograph";
  viewer.picture = layer === "photograph" ? detail.photograph : mapPicture();
  viewer.mask = byId("mask").checked ? maskPicture(detail, threshold(), cutOff(), outline) : null;
  showFigures();
  draw();
}

function painted(detail, paint) {
  const [height, width] = detail.map_size;
  const canvas = element("canvas", { width, height });
  const picture = new ImageData(width, height);
  paint(detail.levels.data, picture.data);
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}

function maskPicture(detail, from, limit, outline) {
  const width = detail.map_size[1];
  return painted(detail, (levels, picture) => {
    for (let i = 0, x = 0; i < levels.length; i += 4, x = (x + 1) % width) {
      const marked = levels[i] > from;
      if (!marked && !outline) continue;
      const colour = levels[i + 1] <= limit ? MASK : LEFT_OUT;
      if (!outline) picture.set(colour, i);
      else if (isEdge(levels, i, x, width, from)) picture.set(marked ? [...colour.slice(0, 3), OPAQUE] : HALO, i);
    }
  });
}

// Whether a pixel's neighbour is on the other side of the threshold.
function isEdge(levels, i, x, width, from) {
  const marked = levels[i] > from;
  const across = (k) => k >= 0 && k < levels.length && levels[k] > from !== marked;
  return across(i - 4 * width) || across(i + 4 * width) || (x > 0 && across(i - 4)) || (x < width - 1 && across(i + 4));
}

const middle = (steps, level) => (steps[Math.max(0, level - 1)] + steps[Math.min(steps.length - 1, level)]) / 2;

// What a level stands for: the middle of its step.
function valueOf(layer, level) {
  if (layer === "probability") return middle(data.probability_steps, level);
  if (layer === "epistemic") return level === 0 ? 0 : Math.min(0.5, middle(data.epistemic_steps, level));
  const [low, high] = viewer.detail.aleatoric;
  return low + (high - low) * level / 255;
}

const CHANNEL = { probability: 0, epistemic: 1, aleatoric: 2 };
const LAYER_TEXT = {
  photograph: "",
  probability: "Probability of corrosion of each pixel, as the model's calibration makes it.",
  epistemic: "How far samples or members of the model disagree. Dark pixels may all the same be wrong.",
  aleatoric: "How noisy the label of a pixel would be. No probability and no error.",
};
const UNIT = {
  probability: "probability of corrosion",
  epistemic: "standard deviation of the probability",
  aleatoric: "log variance",
};

function rangeOf(layer) {
  if (layer === "probability") return [0, 1];
  if (layer === "aleatoric") return viewer.detail.aleatoric;
  let most = 1;
  const levels = viewer.detail.levels.data;
  for (let i = 1; i < levels.length; i += 4) most = Math.max(most, levels[i]);
  return [0, Math.min(0.5, data.epistemic_steps[most])];
}

function mapPicture() {
  const { layer } = viewer;
  const [low, high] = rangeOf(layer);
  const colours = new Uint8Array(256 * 3);
  for (let level = 0; level < 256; level++) {
    const share = (valueOf(layer, level) - low) / (high - low || 1);
    const place = 3 * Math.round(255 * Math.min(1, Math.max(0, share || 0)));
    for (let k = 0; k < 3; k++) colours[3 * level + k] = data.viridis[place + k];
  }
  return painted(viewer.detail, (levels, picture) => {
    for (let i = 0; i < levels.length; i += 4) {
      const place = 3 * levels[i + CHANNEL[layer]];
      for (let k = 0; k < 3; k++) picture[i + k] = colours[place + k];
      picture[i + 3] = 255;
    }
  });
}

// A line of figures: the name of its explanation, its value, and the colour that it has in the picture.
function figureRow([name, value, colour]) {
  const term = element("dt", {}, data.explanations[name].term, " ", explain(name));
  if (colour) {
    const swatch = element("span", { class: "swatch" });
    swatch.style.background = `rgb(${colour.slice(0, 3).join(" ")})`;
    term.prepend(swatch);
  }
  return element("div", {}, term, element("dd", {}, value));
}

// What holds whatever the sliders say.
function mainFigures(photograph) {
  const { shown } = photograph;
  return [["area", shown.area], ["interval", photograph.area_low === null ? shown.interval : `${shown.interval} (${data.area_level})`],
    ...shown.grades.map((grade) => ["grade", grade])];
}

function otherFigures(photograph, pixels) {
  const scale = photograph.millimetres_per_pixel;
  return [
    scale !== null && ["marked_size", `${(pixels * scale * scale).toFixed(0)} mm²`],
    ["expected_missed", photograph.shown.expected_missed],
    photograph.latitude !== null && ["position", `${photograph.latitude.toFixed(6)}, ${photograph.longitude.toFixed(6)}`],
  ].filter(Boolean);
}

function showFigures() {
  const { photograph, detail } = viewer;
  const all = photograph.judged_pixels;
  const area = areaAt(detail, threshold(), cutOff());
  const last = cutOff() === data.epistemic_steps.length - 1;
  const leftOut = areaAt(detail, threshold(), data.epistemic_steps.length - 1) - area;
  const moved = atRunThreshold() ? "" : ` at ${data.probability_steps[threshold()]}, not the run's ${data.probability_steps[data.threshold]}`;
  byId("unknown").hidden = !photograph.novel;
  byId("unknown").replaceChildren(unknownKind(photograph), " ", explain("novelty"), element("p", {}, photograph.novelty_note));
  byId("figures").replaceChildren(...[
    ...mainFigures(photograph),
    ["marked_area", percent(area / all) + moved, MASK],
    !last && ["left_out", percent(leftOut / all), LEFT_OUT],
    ...otherFigures(photograph, area),
  ].filter(Boolean).map(figureRow));
  byId("scale").replaceChildren(photograph.scale_text, " ", explain("scale"));
  showTechnicalFigures(photograph, area, all);
  byId("canvas").setAttribute("aria-label", `${viewer.layer} of ${photograph.name}, ${percent(area / all)} marked`);
  byId("viewer").dataset.area = area;
}

function showTechnicalFigures(photograph, area, all) {
  const last = cutOff() === data.epistemic_steps.length - 1;
  byId("threshold-value").textContent = String(data.probability_steps[threshold()]);
  byId("cut-off-value").textContent = last ? "off" : String(data.epistemic_steps[cutOff()]);
  byId("threshold").setAttribute("aria-valuetext", byId("threshold-value").textContent);
  byId("cut-off").setAttribute("aria-valuetext", byId("cut-off-value").textContent);
  const { sampled_area_low: low, sampled_area_high: high, sampled_area_note: note } = photograph;
  const spread = low === null ? `none${note && `: ${note}`}` : `${percent(low)} to ${percent(high)}${note && ` (${note})`}`;
  byId("technical-figures").replaceChildren(...[
    ["marked_pixels", `${area} of ${all}`],
    ["sampled_spread", spread],
    ["mean_epistemic", fixed(photograph.mean_epistemic, 4)],
    ["mean_entropy", `${fixed(photograph.mean_entropy, 3)} nats`],
    ["mean_log_variance", fixed(photograph.mean_log_variance, 2)],
    photograph.novelty !== null && ["novelty", `${photograph.novel ? "yes" : "no"}: ${fixed(photograph.novelty, 2)} times the limit`],
    photograph.mean_local_novelty !== null && ["mean_local_novelty", fixed(photograph.mean_local_novelty, 2)],
  ].filter(Boolean).map(figureRow));
  byId("layer-text").textContent = LAYER_TEXT[viewer.layer];
}

const atRunThreshold = () => threshold() === data.threshold && cutOff() === data.epistemic_steps.length - 1;

// Numbers of the regions as in regions.csv, where marks are those of the run; the larger region's goes first.
function drawNumbers(context, frame, detail, ratio) {
  const placed = [];
  context.font = `600 ${12 * ratio}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const { region, row, column } of detail.regions) {
    const [x, y] = [frame.left + (column + 0.5) / detail.size[1] * frame.width, frame.top + (row + 0.5) / detail.size[0] * frame.height];
    const half = (5 + 4 * String(region).length) * ratio;
    if (placed.some((other) => Math.abs(other.x - x) < other.half + half && Math.abs(other.y - y) < 18 * ratio)) continue;
    placed.push({ x, y, half });
    context.fillStyle = "rgb(12 14 15 / 85%)";
    context.fillRect(x - half, y - 9 * ratio, 2 * half, 18 * ratio);
    context.fillStyle = "#fff";
    context.fillText(String(region), x, y + ratio);
  }
}

function showLegend() {
  const { layer } = viewer;
  byId("legend").hidden = layer === "photograph" || !viewer.detail;
  if (byId("legend").hidden) return;
  const context = byId("bar").getContext("2d");
  for (let x = 0; x < 160; x++) {
    const place = 3 * Math.round(x / 159 * 255);
    context.fillStyle = `rgb(${data.viridis.slice(place, place + 3).join(" ")})`;
    context.fillRect(x, 0, 1, 12);
  }
  const [low, high] = rangeOf(layer).map((value) => Number(value.toPrecision(3)));
  byId("legend-text").textContent = `${low} to ${high} ${UNIT[layer]}`;
}

// ---- Zoom and pan, in shares of the photograph, so that all pictures move together.

function frame() {
  const canvas = byId("canvas");
  const [height, width] = viewer.detail ? viewer.detail.size : [1, 1];
  const scale = Math.min(canvas.width / width, canvas.height / height) * viewer.zoom;
  return {
    width: width * scale, height: height * scale,
    left: canvas.width / 2 - viewer.x * width * scale, top: canvas.height / 2 - viewer.y * height * scale,
  };
}

function draw() {
  const canvas = byId("canvas");
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!viewer.picture) return;
  const { left, top, width: wide, height: high } = frame();
  context.imageSmoothingEnabled = viewer.layer === "photograph";
  context.imageSmoothingQuality = "high";
  context.drawImage(viewer.picture, left, top, wide, high);
  context.imageSmoothingEnabled = false;
  if (viewer.mask) context.drawImage(viewer.mask, left, top, wide, high);
  if (viewer.mask && byId("numbers").checked && atRunThreshold()) drawNumbers(context, frame(), viewer.detail, ratio);
  for (const overlay of overlays) overlay(context, { left, top, width: wide, height: high }, viewer.detail);
  showLegend();
}

function fit() {
  Object.assign(viewer, { zoom: 1, x: 0.5, y: 0.5 });
  draw();
}

function zoomTo(x, y, zoom) {
  const clamp = (value) => Math.min(1, Math.max(0, value));
  Object.assign(viewer, { zoom: Math.min(64, Math.max(1, zoom)), x: clamp(x), y: clamp(y) });
  draw();
}

function zoomAt(factor, event) {
  if (!viewer.detail) return;
  const before = event ? placeOf(event) : [viewer.x, viewer.y];
  const zoom = Math.min(64, Math.max(1, viewer.zoom * factor));
  const kept = viewer.zoom / zoom;
  zoomTo(before[0] + (viewer.x - before[0]) * kept, before[1] + (viewer.y - before[1]) * kept, zoom);
}

function placeOf(event) {
  const canvas = byId("canvas");
  const box = canvas.getBoundingClientRect();
  const { left, top, width, height } = frame();
  const ratio = canvas.width / box.width;
  return [((event.clientX - box.left) * ratio - left) / width, ((event.clientY - box.top) * ratio - top) / height];
}

function showPointer(event) {
  const { detail } = viewer;
  if (!detail) return;
  const [x, y] = placeOf(event);
  if (x < 0 || y < 0 || x >= 1 || y >= 1) {
    byId("pointer").textContent = "";
    return;
  }
  const [height, width] = detail.map_size;
  const pixel = 4 * (Math.floor(y * height) * width + Math.floor(x * width));
  const value = (layer, digits) => valueOf(layer, detail.levels.data[pixel + CHANNEL[layer]]).toFixed(digits);
  byId("pointer").textContent = `x ${Math.floor(x * detail.size[1])}, y ${Math.floor(y * detail.size[0])}`
    + ` · probability ${value("probability", 3)} · epistemic ${value("epistemic", 3)} · log variance ${value("aleatoric", 2)}`;
}

let dragged = null;

function press(event) {
  byId("canvas").setPointerCapture(event.pointerId);
  if (viewer.tool && viewer.detail) viewer.tool.down(...placeOf(event), event);
  else dragged = { x: viewer.x, y: viewer.y, atX: event.clientX, atY: event.clientY };
}

function release(event) {
  if (viewer.tool && viewer.detail) viewer.tool.up(...placeOf(event), event);
  dragged = null;
}

function drag(event) {
  if (viewer.tool && viewer.detail) viewer.tool.move(...placeOf(event), event);
  else if (dragged) {
    const { width, height } = frame();
    const ratio = window.devicePixelRatio || 1;
    zoomTo(dragged.x - (event.clientX - dragged.atX) * ratio / width, dragged.y - (event.clientY - dragged.atY) * ratio / height, viewer.zoom);
  }
  showPointer(event);
}

function chooseLayer(layer) {
  viewer.layer = layer;
  if (layer !== "photograph") byId("technical").open = true;
  for (const button of byId("layers").children) {
    button.setAttribute("aria-checked", String(button.dataset.layer === layer));
    button.tabIndex = button.dataset.layer === layer ? 0 : -1;
  }
  refresh();
}

function resetSliders() {
  byId("threshold").value = data.threshold;
  byId("cut-off").value = data.epistemic_steps.length - 1;
  refresh();
}

function keyInViewer(event) {
  if (event.target.matches("textarea, input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const layers = [...byId("layers").children].map((button) => button.dataset.layer);
  const toggle = (id) => byId(id).click();
  const pan = (x, y) => zoomTo(viewer.x + x / viewer.zoom / 8, viewer.y + y / viewer.zoom / 8, viewer.zoom);
  const inLayers = byId("layers").contains(event.target);
  const turn = (by) => {
    const next = (layers.indexOf(viewer.layer) + by + layers.length) % layers.length;
    chooseLayer(layers[next]);
    byId("layers").children[next].focus();
  };
  const sideways = (by) => (inLayers ? turn(by) : event.shiftKey ? pan(by, 0) : step(by));
  const actions = {
    ArrowLeft: () => sideways(-1), ArrowRight: () => sideways(1),
    ArrowUp: () => event.shiftKey && pan(0, -1), ArrowDown: () => event.shiftKey && pan(0, 1),
    m: () => toggle("mask"), o: () => toggle("outline"), n: () => toggle("numbers"), c: () => toggle("checked"), r: resetSliders, "+": () => zoomAt(1.5), "=": () => zoomAt(1.5),
    "-": () => zoomAt(1 / 1.5), 0: fit,
    ...Object.fromEntries(layers.map((layer, i) => [i + 1, () => chooseLayer(layer)])),
  };
  const action = actions[event.key] || actions[event.key.toLowerCase()];
  if (!action) return;
  action();
  if (event.key.startsWith("Arrow") && !event.shiftKey && !inLayers && !/Left|Right/.test(event.key)) return;
  event.preventDefault();
}

// ---- Everything that a person does.

function listen() {
  for (const id of ["sort", "reverse", ...FILTERS]) byId(id).addEventListener("input", arrange);
  for (const id of ["clear", "show-all"]) byId(id).addEventListener("click", clearFilters);
  for (const button of document.querySelectorAll("[data-sort]")) button.addEventListener("click", () => sortBy(button.dataset.sort));
  if (byId("show-novel")) byId("show-novel").addEventListener("click", showNovel);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("cards").addEventListener("keydown", moveInGallery);
  byId("as-table").addEventListener("click", () => {
    const pressed = document.body.classList.toggle("as-table");
    byId("as-table").setAttribute("aria-pressed", String(pressed));
  });
  new IntersectionObserver((seen) => seen[0].isIntersecting && addCards(), { rootMargin: "1200px" }).observe(byId("more"));

  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => byId("viewer").close());
  byId("viewer").addEventListener("close", () => {
    recordRemark();
    if (viewer.photograph) printAgain(viewer.photograph);
    const card = viewer.photograph && viewer.photograph.card;
    if (card) card.firstElementChild.focus();
  });
  byId("viewer").addEventListener("keydown", keyInViewer);
  for (const button of byId("layers").children) button.addEventListener("click", () => chooseLayer(button.dataset.layer));
  for (const id of ["threshold", "cut-off", "mask", "outline"]) byId(id).addEventListener("input", refresh);
  byId("numbers").addEventListener("input", draw);
  byId("reset").addEventListener("click", resetSliders);

  const canvas = byId("canvas");
  canvas.addEventListener("pointerdown", press);
  canvas.addEventListener("pointermove", drag);
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", () => { dragged = null; });
  canvas.addEventListener("pointerleave", () => { byId("pointer").textContent = ""; });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomAt(Math.exp(-event.deltaY / 400), event);
  }, { passive: false });
  byId("zoom-in").addEventListener("click", () => zoomAt(1.5));
  byId("zoom-out").addEventListener("click", () => zoomAt(1 / 1.5));
  byId("zoom-fit").addEventListener("click", fit);
  new ResizeObserver(draw).observe(byId("stage"));
}
