package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

const (
	maxText     = 1200 // bytes of one text of a finding
	redactedArg = "[redacted]"
)

// check is one row of the table of findings: what is checked, and the problems that the
// check can find. Its position in the table is the position of its findings in a report,
// so that a cause comes before its consequences.
type check struct {
	id      string
	subject string // the title of an unchecked finding
	passed  string // the title of an OK finding
	// before names the checks without which this one means nothing. If one of them found a
	// fault, this one is unchecked.
	before   []string
	problems []problem
}

// problem is one problem that a check can find. The texts may have placeholders like
// {url}, which a finding fills in.
type problem struct {
	id          string // the ID of the check, a dot, and a name
	level       Level  // Warning or Fault
	title       string
	consequence string
	fix         string
}

// Explanation is a row of the table of findings, for documentation and for other programs
// that meet the same problems. Its texts may have placeholders like {url}.
type Explanation struct {
	ID                      string
	Level                   Level
	Title, Consequence, Fix string
}

// Explanations returns every problem that [Run] can find, in the order of a report.
func Explanations() []Explanation {
	var all []Explanation
	for _, c := range checks {
		for _, p := range c.problems {
			all = append(all, Explanation{p.id, p.level, p.title, p.consequence, p.fix})
		}
	}
	return all
}

// checkOf returns the check of an ID and its position in the table.
func checkOf(id string) (*check, int) {
	name, _, _ := strings.Cut(id, ".")
	i := slices.IndexFunc(checks, func(c check) bool { return c.id == name })
	if i < 0 {
		panic("diagnose: no check has the ID " + id)
	}
	return &checks[i], i
}

func problemOf(id string) *problem {
	c, _ := checkOf(id)
	i := slices.IndexFunc(c.problems, func(p problem) bool { return p.id == id })
	if i < 0 {
		panic("diagnose: no problem has the ID " + id)
	}
	return &c.problems[i]
}

// ok adds the finding of a check that passed, unless the check found a problem.
func (d *doctor) ok(id, format string, args ...any) {
	c, _ := checkOf(id)
	if d.has(id, OK, Warning, Fault) {
		return
	}
	d.add(Finding{ID: id, Level: OK, Title: c.passed, Evidence: fmt.Sprintf(format, args...)})
}

// found adds the problem with an ID. values are names of placeholders and their values.
func (d *doctor) found(id, evidence string, values ...string) {
	d.foundAs(problemOf(id).level, id, evidence, values...)
}

// foundAs is found with a level other than that of the table.
func (d *doctor) foundAs(level Level, id, evidence string, values ...string) {
	e := Explain(id, values...)
	e.Level = level
	d.foundProblem(e, evidence)
}

// foundProblem adds a problem whose texts are complete.
func (d *doctor) foundProblem(e Explanation, evidence string) {
	d.add(Finding{
		ID: e.ID, Level: e.Level, Title: e.Title, Evidence: evidence, Consequence: e.Consequence, Fix: e.Fix,
	})
}

// skip adds an unchecked finding, unless the check has another one. The fix may be empty.
func (d *doctor) skip(id, reason, fix string) {
	if d.has(id, OK, Warning, Fault, Unchecked) {
		return
	}
	c, _ := checkOf(id)
	d.add(Finding{ID: id, Level: Unchecked, Title: c.subject, Evidence: reason, Fix: fix})
}

// blocked reports whether a check means nothing because a check before it found a fault or was
// not made. It then adds the unchecked finding, which names the cause.
func (d *doctor) blocked(id string) bool {
	c, _ := checkOf(id)
	if cause := d.faultBefore(c); cause != nil {
		d.skip(id, "it depends on: "+lowerFirst(cause.subject)+", which has a fault", "")
		return true
	}
	for _, before := range c.before {
		if d.has(before, Unchecked) && !d.has(before, OK, Warning) {
			b, _ := checkOf(before)
			d.skip(id, "it depends on: "+lowerFirst(b.subject)+", which is unchecked", "")
			return true
		}
	}
	return false
}

// faultBefore returns the check with a fault on which c depends, or nil.
func (d *doctor) faultBefore(c *check) *check {
	for _, id := range c.before {
		b, _ := checkOf(id)
		if cause := d.faultBefore(b); cause != nil {
			return cause
		}
		if d.has(id, Fault) {
			return b
		}
	}
	return nil
}

// has reports whether a check has a finding of one of the levels.
func (d *doctor) has(id string, levels ...Level) bool {
	return slices.ContainsFunc(d.findings, func(f Finding) bool {
		name, _, _ := strings.Cut(f.ID, ".")
		return name == id && slices.Contains(levels, f.Level)
	})
}

func (d *doctor) add(f Finding) {
	for _, text := range []*string{&f.Title, &f.Evidence, &f.Consequence, &f.Fix} {
		*text = d.clean(*text)
	}
	d.findings = append(d.findings, f)
}

// clean returns text in one line, bounded and without the secrets of the run. The query of
// the target counts as one, because some servers have a key in it.
func (d *doctor) clean(text string) string {
	for _, secret := range []string{string(d.cfg.Token), string(d.cfg.ClerkSecretKey)} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, redactedArg)
		}
	}
	if d.query != "" {
		text = strings.ReplaceAll(text, "?"+d.query, "?"+redactedArg)
	}
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 {
			return -1
		}
		return r
	}, text)
	return quote.Clip(text, maxText)
}

// levelRank orders levels, the worst first.
var levelRank = map[Level]int{Fault: 0, Warning: 1, OK: 2, Unchecked: 3}

// sorted returns the findings in the order of the table, and the worst first within a check.
func sorted(findings []Finding) []Finding {
	list := append([]Finding{}, findings...)
	slices.SortStableFunc(list, func(a, b Finding) int {
		_, i := checkOf(a.ID)
		_, j := checkOf(b.ID)
		if i != j {
			return i - j
		}
		return levelRank[a.Level] - levelRank[b.Level]
	})
	return list
}

func lowerFirst(s string) string {
	if len(s) > 1 && s[1] >= 'a' && s[1] <= 'z' || strings.HasPrefix(s, "A ") {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}
