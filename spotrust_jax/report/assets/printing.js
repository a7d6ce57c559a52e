// ---- Print: what is chosen in the gallery, each photograph with its marks, figures, regions and remarks.

const PRINTED_SIDE = 1000;
const PRINTED_REGIONS = 10;
// Pictures for the browser's own print; each takes about 150 kB.
const PREPARED_AHEAD = 200;
let laidOut = false;
let preparing = false;

// The photograph with outlines, numbers and what else is drawn over it, at the run's threshold.
function printedCanvas(detail) {
  const [height, width] = detail.size;
  const scale = PRINTED_SIDE / Math.max(height, width);
  const frame = { left: 0, top: 0, width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
  const canvas = element("canvas", { width: frame.width, height: frame.height });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(detail.photograph, 0, 0, frame.width, frame.height);
  context.drawImage(maskPicture(detail, data.threshold, data.epistemic_steps.length - 1, true), 0, 0, frame.width, frame.height);
  drawNumbers(context, frame, detail, 1.5);
  for (const overlay of overlays) overlay(context, frame, detail);
  return canvas;
}

async function prepare(photograph) {
  forget(photograph);
  try {
    const detail = await detailOf(photographs.indexOf(photograph));
    const blob = await new Promise((resolve) => { printedCanvas(detail).toBlob(resolve, "image/jpeg", 0.85); });
    const picture = element("img", { src: URL.createObjectURL(blob), decoding: "sync", alt: `${photograph.name} with marks` });
    await picture.decode();
    photograph.printed = { picture, regions: detail.regions };
  } catch {
    photograph.printed = { picture: thumbnailOf(photograph), missing: true };
  }
}

function thumbnailOf(photograph) {
  return element("img", { src: photograph.thumbnail, decoding: "sync", alt: `${photograph.name} with marks` });
}

function forget(photograph) {
  const { picture } = photograph.printed || {};
  if (picture && picture.src.startsWith("blob:")) URL.revokeObjectURL(picture.src);
  photograph.printed = null;
}

// What was drawn on a photograph while it was open is in its picture.
function printAgain(photograph) {
  forget(photograph);
  prepareAhead();
}

function printedTerms(photograph) {
  const { checked } = noteOf(photograph);
  const by = changed(photograph, "checked");
  const rows = [...mainFigures(photograph), ["marked_area", percent(photograph.corroded_fraction)],
    ...otherFigures(photograph, photograph.corroded_fraction * photograph.judged_pixels)];
  const terms = rows.map(([name, value]) => [data.explanations[name].term, value]);
  return [...terms, ["checked", checked ? `yes${by ? `, ${signed(by.name, by.time)}` : ""}` : "no"]];
}

function printedRemark(photograph) {
  const { note } = noteOf(photograph);
  const by = changed(photograph, "remark");
  return note && `Remark: ${note}${by ? ` (${signed(by.name, by.time)})` : ""}`;
}

function printedRegions({ regions }, photograph) {
  const shown = (regions || []).slice(0, PRINTED_REGIONS).map((region) => `${region.region}: ${areaOf(region)}`);
  const more = photograph.regions - shown.length;
  return shown.length ? `Regions: ${shown.join(", ")}${more > 0 ? `, ${more} more in regions.csv` : ""}` : "";
}

// Without waiting: what the viewer has, or else the gallery's small picture.
function printedNow(photograph) {
  const { detail } = viewer;
  if (detail && viewer.photograph === photograph) return { picture: printedCanvas(detail), regions: detail.regions };
  return { picture: thumbnailOf(photograph), missing: true };
}

function printedPart(photograph) {
  const printed = photograph.printed || printedNow(photograph);
  const small = printed.missing && "Small picture without numbers: use the button Print of the page, and keep its files beside it.";
  const lines = [small, photograph.scale_text, printedRegions(printed, photograph), ...changesOf(photograph), printedRemark(photograph)];
  const unknown = photograph.novel ? [element("p", { class: "unknown" }, unknownKind(photograph), " ", photograph.novelty_note)] : [];
  return element("article", {}, element("h3", {}, photograph.outputs), ...unknown,
    element("div", {}, printed.picture,
      element("div", {}, element("dl", {}, ...printedTerms(photograph).map(([term, value]) => (
        element("div", {}, element("dt", {}, term), element("dd", {}, value))))),
      ...lines.filter(Boolean).map((line) => element("p", {}, line)))));
}

function layOut() {
  const filters = FILTERS.filter(isSet).map((id) => `${byId(id).closest("label").innerText.split("\n")[0].trim()} ${byId(id).value}`);
  const choice = filters.length ? ` (chosen by: ${filters.join("; ")})` : "";
  byId("selection").textContent = `${order.length} of ${photographs.length} photographs${choice}`;
  byId("prints").replaceChildren(...order.map(printedPart));
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  laidOut = true;
}

function foldAgain() {
  byId("prints").replaceChildren();
  for (const folded of document.querySelectorAll(".whole details, .banner details, .glossary details")) folded.open = false;
  laidOut = false;
}

// The browser's own print waits for nothing, so pictures for it are made before, whenever the page has nothing to do.
async function prepareAhead() {
  if (preparing) return;
  preparing = true;
  for (let next = unprepared(); next; next = unprepared()) {
    await idle();
    await prepare(next);
  }
  preparing = false;
}

function unprepared() {
  const open = byId("viewer").open ? viewer.photograph : null;
  return order.slice(0, PREPARED_AHEAD).find((photograph) => !photograph.printed && photograph !== open);
}

function idle() {
  return new Promise((resolve) => { (window.requestIdleCallback || ((then) => setTimeout(then, 50)))(resolve); });
}

async function preparePrint() {
  for (const [number, photograph] of order.entries()) {
    byId("print").textContent = `Preparing ${number + 1} of ${order.length}`;
    if (!photograph.printed || photograph.printed.missing || photograph === viewer.photograph) await prepare(photograph);
  }
  byId("print").textContent = "Print";
  layOut();
}

async function printAll() {
  await preparePrint();
  window.print();
}

function listenToPrint() {
  byId("print").addEventListener("click", printAll);
  window.addEventListener("beforeprint", () => laidOut || layOut());
  window.addEventListener("afterprint", foldAgain);
  document.addEventListener("spotrust:notes", () => { photographs.forEach(forget); prepareAhead(); });
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "p") return;
    event.preventDefault();
    printAll();
  });
}
