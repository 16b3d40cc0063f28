// What the keys do: "/" goes to the search box, "j" and "k" to the next and the previous event. The scrubber shows its
// event as soon as it is let go. Each page works without any of it.

/** @param {string} selector @returns {HTMLElement | null} */
const find = (selector) => document.querySelector(selector);

document.addEventListener("keydown", (event) => {
  const target = event.target;
  const isTyping = target instanceof HTMLElement && target.matches("input, textarea, select");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  if (event.key === "/") {
    event.preventDefault();
    find("#search")?.focus();
  } else if (event.key === "j") {
    find("a[rel=next]")?.click();
  } else if (event.key === "k") {
    find("a[rel=prev]")?.click();
  }
});

const scrubber = find("#scrubber");
if (scrubber instanceof HTMLInputElement) {
  scrubber.addEventListener("change", () => scrubber.form?.requestSubmit());
}
