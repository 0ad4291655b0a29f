// Adds a button to each text that can be copied. Without this script, a click selects the text.
for (const block of document.querySelectorAll(".copy")) {
  const text = block.querySelector("pre");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy: " + block.dataset.label);
  const status = document.createElement("span"); // announced by screen readers
  status.className = "status";
  status.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    let result = "Copied";
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      // Pages over plain HTTP, other than on localhost, have no clipboard.
      const range = document.createRange();
      range.selectNodeContents(text);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      result = document.execCommand("copy") ? "Copied" : "Selected";
    }
    button.textContent = status.textContent = result;
    setTimeout(() => { button.textContent = "Copy"; status.textContent = ""; }, 2000);
  });
  block.append(button, status);
}
