// ---- The region of interest: shapes drawn on the photograph, kept with its notes, and saved as files of labelme.
// Shapes are labelme's, in pixels of the photograph from its upper left corner. Nothing is computed from them here:
// spotrust predict --regions reads the files.

const MOVE = "move";
const JUDGED = { include: "255 220 0", exclude: "230 40 60" };
const CLOSE_AT = 10;
const LABELME_VERSION = "5.5.0";

const drawing = { kind: MOVE, label: "include", points: [], problem: "" };
const paintedShapes = new Map();
const shapesOf = (photograph) => noteOf(photograph).judged || [];
const rounded = (value) => Math.round(100 * value) / 100;

function drawingControls() {
  const choice = (name, value, text) => {
    const button = element("button", { type: "button", role: "radio", "data-value": value }, text);
    button.addEventListener("click", () => { drawing[name] = value; abandonShape(); });
    return button;
  };
  const group = (name, label, choices) =>
    element("div", { role: "radiogroup", class: "segments", "aria-label": label, id: `drawing-${name}` },
      ...Object.entries(choices).map(([value, text]) => choice(name, value, text)));
  const action = (id, text, done) => {
    const button = element("button", { type: "button", id }, text);
    button.addEventListener("click", done);
    return button;
  };
  byId("judged").append(
    element("h3", {}, "Region of interest"),
    group("kind", "Tool", { [MOVE]: "Move", polygon: "Polygon", rectangle: "Rectangle", brush: "Brush" }),
    group("label", "Shapes are", { include: "Judge", exclude: "Leave out" }),
    element("label", { for: "brush-size" }, "Brush width, share of the short side"),
    element("input", { type: "range", id: "brush-size", min: 0.01, max: 0.3, step: 0.01, value: 0.08 }),
    action("shape-close", "Close polygon", closePolygon), action("shape-undo", "Undo", undoShape),
    action("shape-clear", "Clear", () => { setShapes([]); }), action("save-regions", "Save regions", saveRegions),
    element("small", { id: "drawing-note", "aria-live": "polite" }));
  document.addEventListener("keydown", keyInDrawing, true);
  byId("viewer").addEventListener("cancel", (event) => {
    if (!drawing.points.length) return;
    event.preventDefault();
    abandonShape();
  });
}

function showDrawing() {
  for (const name of ["kind", "label"]) {
    for (const button of byId(`drawing-${name}`).children) {
      button.setAttribute("aria-checked", String(button.dataset.value === drawing[name]));
    }
  }
  viewer.tool = drawing.kind === MOVE ? null : { down: startShape, move: continueShape, up: endShape };
  const count = viewer.photograph ? shapesOf(viewer.photograph).length : 0;
  byId("drawing-note").textContent = drawing.problem
    || `${count === 1 ? "1 shape" : `${count} shapes`} drawn. Area and grade of a new region: unpack the saved regions `
    + "and run spotrust predict --regions=FOLDER.";
  draw();
}

function abandonShape() {
  drawing.points = [];
  drawing.problem = "";
  showDrawing();
}

function setShapes(shapes) {
  setNote(viewer.photograph, { judged: shapes });
  abandonShape();
}

function undoShape() {
  if (drawing.points.length) abandonShape();
  else setShapes(shapesOf(viewer.photograph).slice(0, -1));
}

function addShape(shape_type, points, more = {}) {
  const shape = { label: drawing.label, shape_type, points, group_id: null, description: "", flags: {}, ...more };
  setShapes([...shapesOf(viewer.photograph), shape]);
}

// ---- Drawing with the pointer; places are shares of the photograph.

function pixelAt(x, y) {
  const [height, width] = viewer.detail.size;
  return [rounded(Math.min(1, Math.max(0, x)) * width), rounded(Math.min(1, Math.max(0, y)) * height)];
}

function startShape(x, y) {
  drawing.problem = "";
  if (drawing.kind !== "polygon") drawing.points = [pixelAt(x, y)];
}

function continueShape(x, y) {
  if (drawing.kind === "polygon" || !drawing.points.length) return;
  if (drawing.kind === "rectangle") drawing.points = [drawing.points[0], pixelAt(x, y)];
  else drawing.points.push(pixelAt(x, y));
  draw();
}

function endShape(x, y) {
  const point = pixelAt(x, y);
  if (drawing.kind === "polygon") return addCorner(point);
  const points = drawing.points;
  if (!points.length) return null;
  drawing.points = [];
  if (drawing.kind === "brush") return addBrush([...points, point]);
  const [[left, top], [right, bottom]] = [points[0], point];
  return left === right || top === bottom ? abandonShape() : addShape("rectangle", [points[0], point]);
}

function addCorner(point) {
  const [first] = drawing.points;
  const scale = frame().width / viewer.detail.size[1];
  if (drawing.points.length > 2 && Math.hypot(point[0] - first[0], point[1] - first[1]) * scale < CLOSE_AT) return closePolygon();
  drawing.points.push(point);
  return showDrawing();
}

function closePolygon() {
  const { points } = drawing;
  if (points.length < 3) return;
  if (crossesItself(points)) {
    drawing.problem = "This polygon crosses itself: undo, and draw it again.";
    showDrawing();
  } else addShape("polygon", points);
}

function crossesItself(points) {
  const turn = ([ax, ay], [bx, by], [cx, cy]) => Math.sign((bx - ax) * (cy - ay) - (by - ay) * (cx - ax));
  const sides = points.map((point, i) => [point, points[(i + 1) % points.length]]);
  return sides.some(([a, b]) => sides.some(([c, d]) =>
    turn(a, b, c) * turn(a, b, d) < 0 && turn(c, d, a) * turn(c, d, b) < 0));
}

const brushWidth = (detail) => Number(byId("brush-size").value) * Math.min(...detail.size);

// A pixel is painted where the stroke covers at least half of it.
async function addBrush(points) {
  const [height, width] = viewer.detail.size;
  const { photograph } = viewer;
  const radius = Math.max(0.5, brushWidth(viewer.detail) / 2);
  const span = (axis, side) => [
    Math.max(0, Math.floor(Math.min(...points.map((point) => point[axis])) - radius)),
    Math.min(side, Math.ceil(Math.max(...points.map((point) => point[axis])) + radius)),
  ];
  const [[left, right], [top, bottom]] = [span(0, width), span(1, height)];
  const canvas = element("canvas", { width: right - left, height: bottom - top });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.translate(-left, -top);
  strokeAlong(context, points, 2 * radius);
  const levels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const grey = new Uint8Array(canvas.width * canvas.height).map((_, i) => (levels[4 * i + 3] > 127 ? 255 : 0));
  const mask = base64(await greyPng(grey, canvas.width, canvas.height));
  if (viewer.photograph === photograph) addShape("mask", [[left, top], [right - 1, bottom - 1]], { mask });
}

function strokeAlong(context, points, width) {
  Object.assign(context, { lineWidth: width, lineCap: "round", lineJoin: "round" });
  context.beginPath();
  context.moveTo(...points[0]);
  for (const point of points) context.lineTo(...point);
  context.stroke();
}

function keyInDrawing(event) {
  if (!byId("viewer").open || drawing.kind === MOVE || event.target.matches("textarea, input, select")) return;
  const actions = { Enter: closePolygon, Backspace: undoShape };
  if (!actions[event.key] || (event.key === "Enter" && event.target.matches("button"))) return;
  actions[event.key]();
  event.preventDefault();
  event.stopPropagation();
}

// ---- Shown over the picture.

function drawShapes(context, place, detail) {
  if (!detail) return;
  const photograph = photographs.find((other) => other.outputs === detail.outputs);
  const [height, width] = detail.size;
  context.save();
  if (detail.judged) paintOnce(detail.judged, "0 0 0", 0.55, false, context, [place.left, place.top, place.width, place.height]);
  context.translate(place.left, place.top);
  context.scale(place.width / width, place.height / height);
  const line = 2 * width / place.width;
  for (const shape of shapesOf(photograph)) drawShape(context, shape, line);
  if (viewer.detail === detail && drawing.points.length) drawUnfinished(context, detail, line);
  context.restore();
}

function drawShape(context, { label, shape_type, points, mask }, line) {
  const colour = JUDGED[label] || JUDGED.include;
  const [[left, top], [right, bottom]] = points;
  if (shape_type === "mask") {
    paintOnce(`data:image/png;base64,${mask}`, colour, 0.3, true, context, [left, top, right - left + 1, bottom - top + 1]);
    return;
  }
  Object.assign(context, { strokeStyle: `rgb(${colour})`, fillStyle: `rgb(${colour} / 0.15)`, lineWidth: line });
  context.beginPath();
  if (shape_type === "rectangle") context.rect(left, top, right - left, bottom - top);
  else for (const point of points) context.lineTo(...point);
  context.closePath();
  context.fill();
  context.stroke();
}

function drawUnfinished(context, detail, line) {
  const { kind, label, points } = drawing;
  if (kind === "rectangle" && points.length === 2) drawShape(context, { label, shape_type: kind, points }, line);
  context.strokeStyle = `rgb(${JUDGED[label]} / 0.6)`;
  if (kind === "polygon") strokeAlong(context, points, line);
  if (kind === "brush") strokeAlong(context, points, brushWidth(detail));
}

// A grey picture as a tint, of its white or of its black pixels; decoded the first time, and then drawn.
function paintOnce(address, colour, opacity, white, context, box) {
  const made = paintedShapes.get(address);
  if (made) context.drawImage(made, ...box);
  if (paintedShapes.has(address)) return;
  paintedShapes.set(address, null);
  decoded(address).then((image) => {
    const picture = pixelsOf(image);
    const rgb = colour.split(" ").map(Number);
    for (let i = 0; i < picture.data.length; i += 4) {
      picture.data.set([...rgb, (picture.data[i] > 127) === white ? 255 * opacity : 0], i);
    }
    const canvas = element("canvas", { width: picture.width, height: picture.height });
    canvas.getContext("2d").putImageData(picture, 0, 0);
    paintedShapes.set(address, canvas);
    draw();
  }).catch(() => { /* a damaged shape of loaded notes is not drawn; reading its file says why */ });
}

// ---- Files: one of labelme for each photograph, put together as a ZIP without compression.

async function saveRegions() {
  const files = photographs.filter((photograph) => shapesOf(photograph).length).map((photograph) => {
    const image = { imagePath: photograph.name, imageData: null, imageHeight: photograph.height, imageWidth: photograph.width };
    const content = { version: LABELME_VERSION, flags: {}, shapes: shapesOf(photograph), ...image };
    return [`${photograph.outputs}.json`, JSON.stringify(content, null, 1)];
  });
  if (!files.length) {
    drawing.problem = "No region is drawn on any photograph.";
    showDrawing();
    return;
  }
  const address = URL.createObjectURL(new Blob([zipped(files)], { type: "application/zip" }));
  element("a", { href: address, download: "regions.zip" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function zipped(files) {
  const text = new TextEncoder();
  const [parts, directory] = [[], []];
  let offset = 0;
  for (const [name, content] of files) {
    const [path, bytes] = [text.encode(name), text.encode(content)];
    // Version 2.0, names in UTF-8, stored, 1 January 1980.
    const common = [...little(20, 2), ...little(0x800, 2), ...little(0, 2), ...little(0, 2), ...little(33, 2),
      ...little(crc32(bytes), 4), ...little(bytes.length, 4), ...little(bytes.length, 4), ...little(path.length, 2), ...little(0, 2)];
    const local = joined([little(0x04034b50, 4), common, path, bytes]);
    directory.push(joined([little(0x02014b50, 4), little(20, 2), common, little(0, 2), little(0, 2), little(0, 2), little(0, 4), little(offset, 4), path]));
    parts.push(local);
    offset += local.length;
  }
  const listed = joined(directory);
  const end = [little(0x06054b50, 4), little(0, 4), little(files.length, 2), little(files.length, 2), little(listed.length, 4), little(offset, 4), little(0, 2)];
  return joined([...parts, listed, ...end]);
}

async function greyPng(grey, width, height) {
  const rows = new Uint8Array(height * (width + 1));
  for (let y = 0; y < height; y++) rows.set(grey.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const stream = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const packed = new Uint8Array(await new Response(stream).arrayBuffer());
  const big = (value) => little(value, 4).reverse();
  const chunk = (name, content) => {
    const checked = joined([new TextEncoder().encode(name), content]);
    return joined([big(content.length), checked, big(crc32(checked))]);
  };
  // Eight bits of grey.
  const header = [...big(width), ...big(height), 8, 0, 0, 0, 0];
  return joined([[137, 80, 78, 71, 13, 10, 26, 10], chunk("IHDR", header), chunk("IDAT", packed), chunk("IEND", [])]);
}

const little = (value, bytes) => Array.from({ length: bytes }, (_, i) => (value >>> (8 * i)) & 255);

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ -1) >>> 0;
}

function base64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

overlays.push(drawShapes);
drawingControls();
document.addEventListener("spotrust:opened", abandonShape);
document.addEventListener("spotrust:notes", () => viewer.photograph && showDrawing());
