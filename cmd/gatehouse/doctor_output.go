package main

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// lineWidth is how long a line of the report is at most, unless it has a longer word.
const lineWidth = 100

// palette has the escape sequences of a terminal, or empty strings.
type palette struct{ red, yellow, green, dim, bold, reset string }

func newPalette(color bool) palette {
	if !color {
		return palette{}
	}
	return palette{red: "\x1b[31m", yellow: "\x1b[33m", green: "\x1b[32m", dim: "\x1b[2m", bold: "\x1b[1m", reset: "\x1b[0m"}
}

// level returns a level as it is printed.
func (p palette) level(level diagnose.Level) string {
	color := map[diagnose.Level]string{
		diagnose.Fault: p.red, diagnose.Warning: p.yellow, diagnose.OK: p.green, diagnose.Unchecked: p.dim,
	}[level]
	return color + p.bold + string(level) + p.reset
}

// describeReport formats a report for people: a summary that begins with the first thing to
// fix, then the other problems, the clients, what is unchecked and what passed.
func describeReport(r *diagnose.Report, verbose, color bool) string {
	p := newPalette(color)
	var b strings.Builder
	target := cmp.Or(r.Target, "settings in the environment and in .env")
	fmt.Fprintf(&b, "%s%s%s\n%s\n", p.bold, escapeControls(target), p.reset, summary(r))
	if first := r.First(); first != nil {
		heading := "First fix this"
		if first.Level == diagnose.Warning {
			heading = "Look at this first"
		}
		section(&b, p, heading)
		writeProblem(&b, p, first)
		writeOthers(&b, p, r, first)
	}
	writeClients(&b, p, r.Clients)
	writeUnchecked(&b, p, r)
	writePassed(&b, p, r, verbose)
	return b.String()
}

// summary counts the findings in one line.
func summary(r *diagnose.Report) string {
	faults, warnings := r.Count(diagnose.Fault), r.Count(diagnose.Warning)
	text := fmt.Sprintf("%s, %s; %d passed, %d unchecked", plural(faults, "fault"), plural(warnings, "warning"),
		r.Count(diagnose.OK), r.Count(diagnose.Unchecked))
	if faults+warnings == 0 {
		return "No problem found: " + text
	}
	return text
}

func plural(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun + "s"
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func section(b *strings.Builder, p palette, heading string) {
	fmt.Fprintf(b, "\n%s%s%s\n", p.bold, heading, p.reset)
}

// writeProblem writes a fault or a warning with its evidence, consequence and fix.
func writeProblem(b *strings.Builder, p palette, f *diagnose.Finding) {
	fmt.Fprintf(b, "  %s  %s %s(%s)%s\n", p.level(f.Level), escapeControls(f.Title), p.dim, f.ID, p.reset)
	for _, line := range []struct{ name, text string }{{"seen", f.Evidence}, {"effect", f.Consequence}, {"fix", f.Fix}} {
		if line.text != "" {
			writeWrapped(b, fmt.Sprintf("    %-8s", line.name+":"), escapeControls(line.text))
		}
	}
}

// writeOthers writes the other problems: faults, then warnings.
func writeOthers(b *strings.Builder, p palette, r *diagnose.Report, first *diagnose.Finding) {
	heading := false
	for _, level := range []diagnose.Level{diagnose.Fault, diagnose.Warning} {
		for i := range r.Findings {
			f := &r.Findings[i]
			if f.Level != level || f == first {
				continue
			}
			if !heading {
				section(b, p, "Then")
				heading = true
			}
			writeProblem(b, p, f)
		}
	}
}

func writeClients(b *strings.Builder, p palette, clients []diagnose.Client) {
	if len(clients) == 0 {
		return
	}
	section(b, p, "Clients")
	width := 0 // of the longest name
	for _, c := range clients {
		width = max(width, utf8.RuneCountInString(escapeControls(c.Name)))
	}
	for _, c := range clients {
		color := map[string]string{diagnose.WillSignIn: p.green, diagnose.WillNotSignIn: p.red}[c.Verdict]
		writeWrapped(b, fmt.Sprintf("  %-*s  %s%-16s%s  ", width, escapeControls(c.Name), color, c.Verdict, p.reset),
			escapeControls(c.Why))
	}
}

func writeUnchecked(b *strings.Builder, p palette, r *diagnose.Report) {
	if r.Count(diagnose.Unchecked) == 0 {
		return
	}
	section(b, p, "Unchecked")
	var reasons []string
	titles := map[string][]string{} // by reason
	for _, f := range r.Findings {
		if f.Level != diagnose.Unchecked {
			continue
		}
		reason := escapeControls(f.Evidence) + trace.IfSet("; %s", escapeControls(f.Fix))
		if titles[reason] == nil {
			reasons = append(reasons, reason)
		}
		titles[reason] = append(titles[reason], escapeControls(f.Title))
	}
	for _, reason := range reasons {
		writeWrapped(b, "  ", strings.Join(titles[reason], ", ")+": "+reason)
	}
}

func writePassed(b *strings.Builder, p palette, r *diagnose.Report, verbose bool) {
	if r.Count(diagnose.OK) == 0 {
		return
	}
	section(b, p, "Passed")
	for _, f := range r.Findings {
		if f.Level != diagnose.OK {
			continue
		}
		fmt.Fprintf(b, "  %s  %s\n", p.level(f.Level), escapeControls(f.Title))
		if verbose {
			writeWrapped(b, "    seen:   ", escapeControls(f.Evidence))
		}
	}
}

// writeWrapped writes text after a prefix, in lines of lineWidth. Later lines are indented as
// far as the prefix.
func writeWrapped(b *strings.Builder, prefix, text string) {
	indent := strings.Repeat(" ", visibleWidth(prefix))
	b.WriteString(prefix)
	width := len(indent)
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case width+1+n > lineWidth:
			b.WriteString("\n" + indent)
			width = len(indent)
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += n
	}
	b.WriteByte('\n')
}

// visibleWidth is the number of characters of s without escape sequences for color.
func visibleWidth(s string) int {
	n, escaped := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			escaped = true
		case escaped:
			escaped = r != 'm'
		default:
			n++
		}
	}
	return n
}
