// el makes an element. Properties that start with "on" are listeners, "class"
// and everything with a dash or a null prototype meaning are attributes.
// Children are elements or text; nothing is ever parsed as markup.
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

// copyButton copies what text() returns, and says so.
export function copyButton(text, label = 'Copy') {
  const button = el('button', { type: 'button', class: 'small' }, label);
  button.addEventListener('click', () => copy(button, text()));
  return button;
}

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

// ago is how long before now a time was, in words.
export function ago(time, now) {
  return `${span(Math.max(0, now - time))} ago`;
}

export function span(milliseconds) {
  const seconds = Math.round(Math.abs(milliseconds) / 1000);
  for (const [size, unit] of [[86400, 'd'], [3600, 'h'], [60, 'min']]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} s`;
}
