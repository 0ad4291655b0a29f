//go:build metrics

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	dashboard  = "../../metrics/grafana/gatehouse.json"
	alertRules = "../../metrics/prometheus/alerts.yml"
	alertTests = "../../metrics/prometheus/alerts_test.yml"
)

// engine is a Prometheus that scrapes the example.
type engine struct{ url string }

// startPrometheus runs a real Prometheus with the alert rules.
func startPrometheus(t *testing.T, target string) *engine {
	t.Helper()
	rules, err := filepath.Abs(alertRules)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	config := filepath.Join(folder, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 500ms, evaluation_interval: 1s}\nrule_files: [%q]\n"+
		"scrape_configs: [{job_name: gatehouse, static_configs: [{targets: [%q]}]}]\n", rules, target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + strconv.Itoa(freePort(t))
	cmd := exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(folder, "data"),
		"--web.listen-address="+address, "--log.level=warn")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting prometheus: %v; install it, with \"apt-get install prometheus\" on Debian", err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus: %s", output.String())
		}
	})
	p := &engine{url: "http://" + address}
	eventually(t, "prometheus is ready", func() bool {
		resp, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

// eventually fails the test if ok does not return true within a minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute until %s", what)
		}
	}
}

// query returns the values of an instant query.
func (p *engine) query(t *testing.T, expr string) []float64 {
	t.Helper()
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct{ Value [2]any }
		}
	}
	resp, err := http.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %v %s", expr, err, answer.Error)
	}
	var values []float64
	for _, r := range answer.Data.Result {
		v, err := strconv.ParseFloat(r.Value[1].(string), 64)
		if err == nil && !math.IsNaN(v) {
			values = append(values, v)
		}
	}
	return values
}

// load sends requests of every kind until ctx ends.
func load(t *testing.T, ctx context.Context, e *example) {
	jwt := e.clerk.Connect(t, e.url, gatehousetest.Person{})
	settings := e.clerk.Settings()
	settings.OAuthJWTAccessTokens = false
	e.clerk.SetSettings(settings)
	opaque := e.clerk.Connect(t, e.url, gatehousetest.Person{})
	for n := 0; ctx.Err() == nil; n++ {
		for _, session := range []*mcp.ClientSession{jwt, opaque} {
			for _, tool := range []string{"hello", "fail"} {
				session.CallTool(ctx, &mcp.CallToolParams{Name: tool})
			}
		}
		send(ctx, e, http.MethodPost, "", "", "{}")
		send(ctx, e, http.MethodPost, fmt.Sprint("oat_unknown", n), "", "{}") // an opaque token that the provider does not know
		token := e.clerk.Token(t, e.url, gatehousetest.Person{})
		id := send(ctx, e, http.MethodPost, token, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":`+
			`{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
		send(ctx, e, http.MethodDelete, token, id, "")
		time.Sleep(50 * time.Millisecond)
	}
}

// send sends one request and returns the session ID of the answer.
func send(ctx context.Context, e *example, method, token, session, body string) string {
	r, err := http.NewRequestWithContext(ctx, method, e.url, strings.NewReader(body))
	if err != nil {
		return ""
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.Header.Get("Mcp-Session-Id")
}

// dashboardQueries returns the queries of the dashboard by the title of their panel.
func dashboardQueries(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	queries := make(map[string][]string)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$resource", ".*", "$__rate_interval", "20s").Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("%s: there is an unknown variable in %s", p.Title, expr)
			}
			queries[p.Title] = append(queries[p.Title], expr)
		}
	}
	if len(queries) < 20 {
		t.Fatalf("got %d panels with queries, want at least 20", len(queries))
	}
	return queries
}

// failingLimiter is a shared rate limiter that is down.
type failingLimiter struct{}

func (failingLimiter) Take(context.Context, string, int, gatehouse.Rate) (time.Duration, error) {
	return 0, errors.New("connection refused")
}

// Every query of the dashboard returns data from a real Prometheus that scrapes a server under load.
func TestPrometheus(t *testing.T) {
	revocations := gatehousetest.NewRevocations()
	e := start(t, func(cfg *serve.Config) {
		cfg.Revocations = revocations
		cfg.RateLimits = gatehouse.RateLimits{RequestsPerMinute: 1000, Shared: failingLimiter{}}
	})
	p := startPrometheus(t, e.operator)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		load(t, ctx, e)
	}()
	defer func() {
		stop()
		<-done
	}()
	eventually(t, "there are rates", func() bool {
		return len(p.query(t, `rate(gatehouse_introspection_duration_seconds_count[20s])`)) >= 2 &&
			len(p.query(t, `rate(mcp_server_session_duration_seconds_count[20s]) > 0`)) >= 1
	})
	for title, queries := range dashboardQueries(t) {
		for _, expr := range queries {
			values := p.query(t, expr)
			if len(values) == 0 {
				t.Errorf("%s: no data for %s", title, expr)
			}
			t.Logf("%-45s %v", title, values)
		}
	}
	checkRules(t, p)
	command := exec.Command("promtool", "check", "metrics")
	command.Stdin = strings.NewReader(get(t, "http://"+e.operator+"/metrics"))
	if output, err := command.CombinedOutput(); err != nil || len(bytes.TrimSpace(output)) > 0 {
		t.Errorf("promtool check metrics: %v: %s", err, output)
	}
}

// checkRules fails the test if Prometheus cannot evaluate an alert rule.
func checkRules(t *testing.T, p *engine) {
	t.Helper()
	type rule struct{ Name, Health, LastError, State string }
	var rules []rule
	eventually(t, "all rules were evaluated", func() bool {
		var answer struct {
			Data struct{ Groups []struct{ Rules []rule } }
		}
		if err := json.Unmarshal([]byte(get(t, p.url+"/api/v1/rules")), &answer); err != nil {
			t.Fatal(err)
		}
		rules = nil
		for _, g := range answer.Data.Groups {
			rules = append(rules, g.Rules...)
		}
		for _, r := range rules {
			if r.Health == "unknown" {
				return false
			}
		}
		return len(rules) > 0
	})
	for _, r := range rules {
		if r.Health != "ok" || r.LastError != "" {
			t.Errorf("alert %s: %s %s", r.Name, r.Health, r.LastError)
		}
	}
	t.Logf("%d alert rules were evaluated", len(rules))
}

// The rules are valid, and each one fires when it should.
func TestAlertRules(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", alertRules}, {"test", "rules", alertTests}} {
		output, err := exec.Command("promtool", args...).CombinedOutput()
		if err != nil {
			t.Errorf("promtool %s: %v: %s", strings.Join(args, " "), err, output)
		}
	}
	rules, err1 := os.ReadFile(alertRules)
	tests, err2 := os.ReadFile(alertTests)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for line := range strings.Lines(string(rules)) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "- alert: ")
		if ok && strings.Count(string(tests), "alertname: "+name+"\n") < 2 {
			t.Errorf("alert %s has no test in which it fires, or none in which it does not", name)
		}
	}
}
