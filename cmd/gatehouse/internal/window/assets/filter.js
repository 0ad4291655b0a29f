// Filter hides the runs that do not match a text, or that have not failed.
export class Filter {
  constructor({ runs, form, text, failed, count, nothing }) {
    Object.assign(this, { runs, form, text, failed, count, nothing });
    form.addEventListener('submit', (event) => event.preventDefault());
    form.addEventListener('input', () => this.apply());
  }

  apply() {
    const words = this.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = this.runs.all();
    let shown = 0;
    for (const run of all) {
      const text = run.text();
      const matches = words.every((word) => text.includes(word)) && (!this.failed.checked || run.failed());
      run.element.hidden = !matches;
      shown += matches;
    }
    this.form.hidden = all.length === 0;
    this.nothing.hidden = all.length === 0 || shown > 0;
    this.count.textContent = shown < all.length ? `${shown} of ${all.length}` : '';
  }
}
