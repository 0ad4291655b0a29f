//go:build official

package official

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"
)

const runTimeout = 2 * time.Minute

// count is the number of scenarios or checks that passed, and of all of them.
type count struct {
	Passed int `json:"passed"`
	Total  int `json:"total"`
}

func (c *count) add(passed, total int) {
	c.Passed += passed
	c.Total += total
}

// outcome has the figures of one run of the suite.
type outcome struct {
	Name         string `json:"name"`
	Scenarios    count  `json:"scenarios"`
	Scored       count  `json:"scored"`
	Checks       count  `json:"checks"`
	ScoredChecks count  `json:"scoredChecks"`
}

// Lines of the suite's summary: one for each scenario, then one for each scenario that is
// not scored.
var (
	scenarioLine = regexp.MustCompile(`(?m)^([✓✗]) ([\w/.-]+): (\d+) passed, (\d+) failed`)
	unscoredLine = regexp.MustCompile(`(?m)^  [✓✗] ([\w/.-]+) \([\w-]+\)$`)
)

// serverRun runs the scenarios that a revision requires of a server. passed reports
// whether the suite exited with 0.
func (c command) serverRun(t *testing.T, url, revision string) (got outcome, passed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.node, c.script, "server", "--url", url, "--requirements", revision, "-o", t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("conformance server: %v\n%s%s", err, out, stderr.Bytes())
	}
	t.Logf("%s", out)
	got, parseErr := summarize(out)
	if parseErr != nil {
		t.Fatalf("conformance server: %v\n%s", parseErr, stderr.Bytes())
	}
	return got, err == nil
}

// summarize returns the figures in the output of the suite.
func summarize(out []byte) (outcome, error) {
	unscored := map[string]bool{}
	for _, m := range unscoredLine.FindAllSubmatch(out, -1) {
		unscored[string(m[1])] = true
	}
	var got outcome
	for _, m := range scenarioLine.FindAllSubmatch(out, -1) {
		passed, err1 := strconv.Atoi(string(m[3]))
		failed, err2 := strconv.Atoi(string(m[4]))
		if err := errors.Join(err1, err2); err != nil {
			return outcome{}, err
		}
		scenario := 0
		if string(m[1]) == "✓" {
			scenario = 1
		}
		got.Scenarios.add(scenario, 1)
		got.Checks.add(passed, passed+failed)
		if !unscored[string(m[2])] {
			got.Scored.add(scenario, 1)
			got.ScoredChecks.add(passed, passed+failed)
		}
	}
	if got.Scenarios.Total == 0 {
		return outcome{}, fmt.Errorf("no summary in the output: %q", out)
	}
	return got, nil
}
