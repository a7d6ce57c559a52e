// ---- Everything is defined: the page begins.

byId("threshold").max = data.probability_steps.length - 1;
byId("cut-off").max = data.epistemic_steps.length - 1;
restoreNotes();
listen();
resetSliders();
chooseLayer("photograph");
arrange();
for (const photograph of photographs) if (notes.has(photograph.outputs)) showNotes(photograph);
