// el returns a new element. Properties whose names start with "on" are event listeners;
// all others are attributes, which true sets without a value, and undefined or false leave
// out. Children are elements or text, which is never parsed as markup.
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== ''));
  return element;
}

// copyButton returns a button that copies what text() returns.
export function copyButton(text, label = 'Copy') {
  const button = el('button', { type: 'button', class: 'small' }, label);
  button.addEventListener('click', () => copy(button, text()));
  return button;
}

// copy copies text to the clipboard, and shows the result on the button for a moment.
export async function copy(button, text) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  } catch {
    button.textContent = 'Select and copy';
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}

// ago returns how long before now time was, as text.
export function ago(time, now) {
  return `${span(Math.max(0, now - time))} ago`;
}

// span returns a duration as text, in its largest unit.
export function span(milliseconds) {
  const seconds = Math.round(Math.abs(milliseconds) / 1000);
  for (const [size, unit] of [[86400, 'd'], [3600, 'h'], [60, 'min']]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} s`;
}
