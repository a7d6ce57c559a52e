"""Maps in a page that a person decides from: report.html, without a server and without the internet."""
