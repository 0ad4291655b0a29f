// The window's JSON API, which docs/local-clerk.md describes.

export async function getState() {
  const response = await fetch('api/state');
  if (!response.ok) throw new Error((await response.json()).error);
  return response.json();
}

export async function post(name, body) {
  const response = await fetch(`api/${name}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

// follow calls steps with new steps, change when settings or faults have changed, and clear
// when all steps were removed.
// After a lost connection the browser resumes with the step after the last one.
export function follow({ steps, change, clear, connected, disconnected }) {
  const stream = new EventSource('api/events');
  stream.addEventListener('open', connected);
  stream.addEventListener('error', disconnected);
  stream.addEventListener('steps', (event) => steps(JSON.parse(event.data)));
  stream.addEventListener('change', change);
  stream.addEventListener('clear', clear);
}
