package bypass

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// attempt is one way to use an operation without what it requires.
type attempt struct {
	group string // heading in the table
	name  string // what is tried
	eras  []string
	in    []style // empty means all

	public  bool                                     // whether it is sent to a world in which something is Public
	options *options                                 // if set, the attempt has a world of its own
	before  func(t *testing.T, w *world, era string) // as well

	send func(t *testing.T, w *world, era string) answer
	want string           // the answer, as answer.String has it
	by   map[style]string // the answer in some styles, in place of want

	inEra map[string]string // the answer in an era, in styles that are not in by

	reaches   string            // what runs all the same; empty means nothing
	reachedBy map[string]string // by era, in place of reaches

	control     func(t *testing.T, w *world, era string) answer
	controlRuns string // what the control must reach; empty means nothing, and an answer with status 200
}

// wanted returns the answer that a must get in a style and era.
func (a attempt) wanted(s style, era string) string {
	if want, ok := a.by[s]; ok {
		return want
	}
	if want, ok := a.inEra[era]; ok {
		return want
	}
	return a.want
}

func (a attempt) styles() []style {
	if len(a.in) == 0 {
		return styles
	}
	return a.in
}

func (a attempt) erasOf() []string {
	if len(a.eras) == 0 {
		return []string{stateless, stateful}
	}
	return a.eras
}

// TestAttempts sends every attempt to a server in each style and era, and its control after it.
func TestAttempts(t *testing.T) {
	for _, s := range styles {
		t.Run(string(s), func(t *testing.T) {
			t.Parallel()
			shared := map[bool]*world{false: newWorld(t, s, options{}), true: newWorld(t, s, options{public: true})}
			for _, a := range attempts {
				for _, era := range a.erasOf() {
					if slices.Contains(a.styles(), s) {
						t.Run(a.group+": "+a.name+"/"+era, func(t *testing.T) { a.run(t, shared[a.public], s, era) })
					}
				}
			}
		})
	}
}

func (a attempt) run(t *testing.T, w *world, s style, era string) {
	if a.options != nil || a.before != nil {
		o := options{}
		if a.options != nil {
			o = *a.options
		}
		o.public = a.public
		w = newWorld(t, s, o)
	}
	if a.before != nil {
		a.before(t, w, era)
	}
	w.takeReached()
	got := a.send(t, w, era)
	reached := strings.Join(w.takeReached(), ", ")
	if got.String() != a.wanted(s, era) {
		t.Errorf("got %q, want %q; status %d, body %.300s", got, a.wanted(s, era), got.status, got.body)
	}
	reaches := a.reaches
	if other, ok := a.reachedBy[era]; ok {
		reaches = other
	}
	if reached != reaches {
		t.Errorf("reached %q, want %q", reached, reaches)
	}
	got = a.control(t, w, era)
	reached = strings.Join(w.takeReached(), ", ")
	if got.status/100 != 2 || reached != a.controlRuns {
		t.Errorf("control: status %d, reached %q, want %q; body %.300s", got.status, reached, a.controlRuns, got.body)
	}
}

// TestCount checks that there are as many attempts as the documentation promises, with
// different names.
func TestCount(t *testing.T) {
	const least = 170
	if len(attempts) < least {
		t.Errorf("%d attempts, want at least %d", len(attempts), least)
	}
	seen := map[string]bool{}
	for _, a := range attempts {
		name := a.group + ": " + a.name
		if seen[name] {
			t.Errorf("%q appears twice", name)
		}
		seen[name] = true
	}
}

var update = flag.Bool("update", false, "write the table in docs/authorization.md")

// The marks around the table in the document.
const (
	begin = "<!-- begin of the generated table -->\n"
	end   = "<!-- end of the generated table -->\n"
)

// table returns the attempts as Markdown.
func table() string {
	var b strings.Builder
	group := ""
	for _, a := range attempts {
		if a.group != group {
			fmt.Fprintf(&b, "\n**%s**\n\n| attempt | answer | what was reached |\n| --- | --- | --- |\n", a.group)
			group = a.group
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", a.name, a.answers(), a.reachedText())
	}
	return b.String() + "\n"
}

// answers returns the wanted answers in words.
func (a attempt) answers() string {
	text := plain(a.want)
	for _, era := range a.erasOf() {
		if other, ok := a.inEra[era]; ok {
			text += ", in " + era + " " + plain(other)
		}
	}
	for _, s := range styles {
		if other, ok := a.by[s]; ok && other != a.want {
			text += fmt.Sprintf("; with `%s`: %s", s, plain(other))
		}
	}
	if len(a.in) > 0 {
		var names []string
		for _, s := range a.in {
			names = append(names, "`"+string(s)+"`")
		}
		text += " (" + strings.Join(names, ", ") + ")"
	}
	if len(a.eras) == 1 {
		text += " (" + a.eras[0] + ")"
	}
	return text
}

// plain returns an answer with the reason as code.
func plain(want string) string {
	status, reason, found := strings.Cut(want, " ")
	if !found || strings.HasSuffix(status, ",") || status == "error" {
		return want
	}
	return status + " `" + reason + "`"
}

func (a attempt) reachedText() string {
	if a.reaches != "" {
		return a.reaches
	}
	for _, era := range a.erasOf() {
		if what := a.reachedBy[era]; what != "" {
			return what + ", in " + era
		}
	}
	return "nothing"
}

// TestDocument checks that the document has the present table. It does not run the attempts: the
// table is true if TestAttempts passes too.
func TestDocument(t *testing.T) {
	const name = "../../docs/authorization.md"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no marks for the table", name)
	}
	want := before + begin + table() + end + after
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Errorf("%s is stale; run: go test ./conformance/bypass -update", name)
	}
}
