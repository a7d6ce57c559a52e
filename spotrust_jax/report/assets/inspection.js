// ---- What the inspector adds: asset, date and name, remarks, and changes of what the model said.
// Kept by the browser where it allows that, and saved as a file.

const notes = new Map();
const survey = { asset: "", date: "", inspector: "" };
const NOTES_KEY = `spotrust notes ${location.pathname}`;

function noteOf(photograph) {
  return { checked: false, note: "", changes: [], ...notes.get(photograph.outputs) };
}

function keep() {
  try {
    localStorage.setItem(NOTES_KEY, JSON.stringify({ survey, notes: [...notes] }));
  } catch { /* a browser that keeps nothing: the file is what counts */ }
}

function setNote(photograph, change) {
  notes.set(photograph.outputs, { ...noteOf(photograph), ...change });
  keep();
  showNotes(photograph);
}

// Changes are kept with what the model said, name and time; the last one of a field holds.
function recordChange(photograph, field, model, value) {
  const change = { field, model: String(model), value: String(value), name: survey.inspector, time: new Date().toISOString() };
  setNote(photograph, { changes: [...noteOf(photograph).changes, change] });
}

const isOverride = ({ field }) => field === "grade" || field.startsWith("region ");

function changed(photograph, field) {
  return noteOf(photograph).changes.findLast((change) => change.field === field);
}

// The changes that hold, each with both values.
function changesOf(photograph) {
  const last = new Map(noteOf(photograph).changes.map((change) => [change.field, change]));
  return [...last.values()].filter(isOverride).map(({ field, model, value, name, time }) => (
    `${field}: ${value || "as the model"} (model: ${model}), ${signed(name, time)}`));
}

const signed = (name, time) => `${name || "no name given"}, ${time.slice(0, 16).replace("T", " ")} UTC`;

function recordRemark() {
  const { photograph } = viewer;
  if (!photograph) return;
  const last = changed(photograph, "remark");
  const { note } = noteOf(photograph);
  if (note !== (last ? last.value : "")) recordChange(photograph, "remark", "", note);
}

function setChecked(checked) {
  setNote(viewer.photograph, { checked });
  recordChange(viewer.photograph, "checked", "", checked ? "yes" : "no");
}

function setGrade(value) {
  recordChange(viewer.photograph, "grade", gradeOf(viewer.photograph), value.trim());
}

const gradeOf = (photograph) => photograph.shown.grades[0];

const VERDICTS = ["as the model", "corrosion", "no corrosion", "undecided"];

// What the inspector says of a region.
function verdictOf(region) {
  const { photograph } = viewer;
  const field = `region ${region.region}`;
  const options = VERDICTS.map((verdict, number) => element("option", { value: number ? verdict : "" }, verdict));
  const choice = element("select", { "aria-label": `Region ${region.region} by the inspector` }, ...options);
  choice.value = (changed(photograph, field) || { value: "" }).value;
  choice.addEventListener("change", () => recordChange(photograph, field, `corrosion, ${region.pixels} pixels`, choice.value));
  return choice;
}

function showNotes(photograph) {
  const { checked, note } = noteOf(photograph);
  photograph.row.children[8].textContent = checked ? "✓" : "";
  photograph.row.children[9].textContent = [...changesOf(photograph), note].filter(Boolean).join("; ");
  const chips = photograph.card && photograph.card.querySelector(".chips");
  if (chips) chips.replaceChildren(...chipsOf(photograph));
  byId("checked-count").textContent = photographs.filter((other) => noteOf(other).checked).length;
  if (viewer.photograph === photograph) showChanges();
}

function showChanges() {
  byId("changes").replaceChildren(...changesOf(viewer.photograph).map((text) => element("li", {}, text)));
}

function showViewerNotes() {
  const { checked, note } = noteOf(viewer.photograph);
  byId("checked").checked = checked;
  byId("note").value = note;
  byId("inspector-grade").value = (changed(viewer.photograph, "grade") || { value: "" }).value;
  byId("inspector-grade").placeholder = `model: ${gradeOf(viewer.photograph)}`;
  showChanges();
}

const SURVEY_FIELDS = { "survey-asset": "asset", "survey-date": "date", "survey-inspector": "inspector", "viewer-inspector": "inspector" };

function setSurvey(change) {
  Object.assign(survey, change);
  for (const [id, field] of Object.entries(SURVEY_FIELDS)) if (byId(id).value !== survey[field]) byId(id).value = survey[field];
  keep();
}

function takeNotes(read) {
  const known = new Map(photographs.map((photograph) => [photograph.outputs, photograph]));
  for (const { outputs, photograph, ...note } of read.notes) {
    if (known.has(outputs)) setNote(known.get(outputs), { ...note, checked: Boolean(note.checked), note: String(note.note || "") });
  }
  const texts = Object.entries(read.survey || {}).filter(([field, value]) => field in survey && value && typeof value === "string");
  setSurvey(Object.fromEntries(texts));
  if (viewer.photograph) showViewerNotes();
  document.dispatchEvent(new Event("spotrust:notes"));
}

function restoreNotes() {
  if (data.notes) takeNotes(data.notes);
  try {
    const kept = JSON.parse(localStorage.getItem(NOTES_KEY) || "{}");
    takeNotes({ survey: kept.survey, notes: (kept.notes || []).map(([outputs, note]) => ({ ...note, outputs })) });
  } catch { /* as above */ }
}

function saveNotes() {
  recordRemark();
  const written = photographs
    .filter((photograph) => notes.has(photograph.outputs))
    .map((photograph) => ({ outputs: photograph.outputs, photograph: photograph.name, ...noteOf(photograph) }));
  const content = JSON.stringify({ format: "spotrust-notes", version: 2, survey, notes: written }, null, 2);
  const address = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  element("a", { href: address, download: "notes.json" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

async function loadNotes(event) {
  try {
    takeNotes(JSON.parse(await event.target.files[0].text()));
  } catch {
    alert("This file has no notes of a report: choose one that was saved here.");
  }
  event.target.value = "";
}

function listenToInspector() {
  byId("save-notes").addEventListener("click", saveNotes);
  byId("load-notes").addEventListener("change", loadNotes);
  byId("survey").addEventListener("submit", (event) => event.preventDefault());
  for (const [id, field] of Object.entries(SURVEY_FIELDS)) byId(id).addEventListener("input", () => setSurvey({ [field]: byId(id).value }));
  byId("checked").addEventListener("change", () => setChecked(byId("checked").checked));
  byId("note").addEventListener("input", () => setNote(viewer.photograph, { note: byId("note").value }));
  byId("note").addEventListener("change", recordRemark);
  byId("inspector-grade").addEventListener("change", () => setGrade(byId("inspector-grade").value));
}
