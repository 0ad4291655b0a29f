package conformance

import (
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// row is one requirement on the server. It has either a test, or in notApplicable the
// reason why this repository cannot violate it.
type row struct {
	id          string
	level       string // keyword of RFC 2119; empty if the specification has none
	requirement string // paraphrased
	revisions   string // revisions of MCP, or the section of an RFC
	test        func(*testing.T)

	notApplicable string
	except        string // what differs on purpose, and why
}

// Revisions of MCP authorization.
const (
	all       = "all"
	since2506 = "since 2025-06-18"
	since2511 = "since 2025-11-25"
)

var rows = slices.Concat(discoveryRows, challengeRows, statusRows, tokenRows, transportRows, flowRows)

// ids lists all requirements: discovery (A), challenges (B), status codes (C), tokens (D),
// transport (E), and the steps of a client (S). TestEveryRequirementHasARow compares the
// rows with it, so that none is lost.
var ids = []string{
	"A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A10", "A11", "A12", "A13", "A14", "A15", "A16",
	"B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B11",
	"C1", "C2", "C3", "C4", "C5", "C6", "C7",
	"D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "D10", "D11", "D12",
	"E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8", "E9", "E10", "E11", "E12", "E13", "E14", "E15", "E16",
	"S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12", "S13", "S14", "S15", "S16", "S17", "S18",
}

var update = flag.Bool("update", false, "write docs/conformance.md")

func TestEveryRequirementHasARow(t *testing.T) {
	var got []string
	for _, r := range rows {
		got = append(got, r.id)
		if r.requirement == "" || r.revisions == "" {
			t.Errorf("%s has no requirement or no revisions", r.id)
		}
		if (r.test == nil) == (r.notApplicable == "") {
			t.Errorf("%s must have either a test or a reason in notApplicable", r.id)
		}
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// TestRows runs the test of every row. To run one, use -run TestRows/B3.
func TestRows(t *testing.T) {
	for _, r := range rows {
		if r.test != nil {
			t.Run(r.id, func(t *testing.T) {
				t.Parallel()
				r.test(t)
			})
		}
	}
}

// TestDocument checks that the published table matches the rows. It does not run them: the
// table is true if TestRows passes too.
func TestDocument(t *testing.T) {
	const name = "../docs/conformance.md"
	want, err := document()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != want {
		t.Errorf("%s is stale; run: go test ./conformance -update (%v)", name, err)
	}
}
