// ---- Everything is defined: the page begins.

byId("threshold").max = data.probability_steps.length - 1;
byId("cut-off").max = data.epistemic_steps.length - 1;
photographs.forEach((photograph, number) => { photograph.row = byId("summary-rows").rows[number]; });
for (const place of document.querySelectorAll("[data-explain]")) {
  if (place.dataset.explain in data.explanations) place.replaceWith(explain(place.dataset.explain));
}
if (window.matchMedia("(max-width: 760px)").matches) byId("filters").open = false;
listen();
listenToInspector();
listenToPrint();
resetSliders();
chooseLayer("photograph");
arrange();
restoreNotes();
