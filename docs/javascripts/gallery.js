// The paper gallery: hide the papers that do not match the words and the family. Without this
// script the full list stays readable, so the form is hidden until it works.
(function () {
  const form = document.getElementById("paper-filter");
  if (!form) return;
  const words = document.getElementById("paper-words");
  const family = document.getElementById("paper-family");
  const count = document.getElementById("paper-count");
  const papers = Array.from(document.querySelectorAll("li.paper"));

  function show() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const paper of papers) {
      const match =
        (!family.value || paper.dataset.family === family.value) &&
        wanted.every((word) => paper.dataset.words.includes(word));
      paper.hidden = !match;
      shown += match;
    }
    count.textContent = `${shown} of ${papers.length}`;
  }

  // A filtered list is a link that can be shared.
  function remember() {
    const query = new URLSearchParams();
    if (words.value) query.set("words", words.value);
    if (family.value) query.set("family", family.value);
    const text = query.toString();
    history.replaceState(null, "", text ? `?${text}` : location.pathname);
  }

  const given = new URLSearchParams(location.search);
  words.value = given.get("words") || "";
  family.value = given.get("family") || "";
  if (family.selectedIndex < 0) family.value = "";
  for (const input of [words, family]) {
    input.addEventListener("input", () => {
      show();
      remember();
    });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
})();
