// ---- Print: what is chosen in the gallery, each photograph with its marks, figures, regions and remarks.

const PRINTED_SIDE = 1000;
const PRINTED_REGIONS = 10;
let laidOut = false;

// A picture of the photograph with outlines, numbers and what else is drawn over it, at the run's threshold.
async function printedPicture(detail) {
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
  const blob = await new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", 0.85); });
  return URL.createObjectURL(blob);
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

function printedPart(photograph) {
  const printed = photograph.printed || { picture: photograph.thumbnail };
  const lines = [photograph.scale_text, printedRegions(printed, photograph), ...changesOf(photograph), printedRemark(photograph)];
  return element("article", {}, element("h3", {}, photograph.outputs),
    element("div", {}, element("img", { src: printed.picture, alt: `${photograph.name} with marks` }),
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
  for (const folded of document.querySelectorAll(".banner details, .glossary details")) folded.open = false;
  laidOut = false;
}

// Everything that print needs; without it a page that the browser prints has the gallery's small pictures.
async function preparePrint() {
  for (const [number, photograph] of order.entries()) {
    byId("print").textContent = `Preparing ${number + 1} of ${order.length}`;
    if (photograph.printed) URL.revokeObjectURL(photograph.printed.picture);
    try {
      const detail = await detailOf(photographs.indexOf(photograph));
      photograph.printed = { picture: await printedPicture(detail), regions: detail.regions };
    } catch {
      photograph.printed = null;
    }
  }
  byId("print").textContent = "Print";
  layOut();
  await Promise.allSettled([...byId("prints").querySelectorAll("img")].map((image) => image.decode()));
}

async function printAll() {
  await preparePrint();
  window.print();
}

function listenToPrint() {
  byId("print").addEventListener("click", printAll);
  window.addEventListener("beforeprint", () => laidOut || layOut());
  window.addEventListener("afterprint", foldAgain);
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "p") return;
    event.preventDefault();
    printAll();
  });
}
