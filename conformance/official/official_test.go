//go:build official

// Package official runs the conformance suite of the MCP project through the gate:
// the everything-server of go-sdk, which the suite is written for, behind serve,
// with tokens of a local Clerk.
//
//	go test -tags official -count=1 ./conformance/official/...
//
// It needs npm, from which it installs the suite into the user's cache. The
// figures go to results.json, and from there into docs/conformance.md.
package official

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
)

// results is what results.json has.
type results struct {
	Suite string    `json:"suite"`
	SDK   string    `json:"sdk"`
	Runs  []outcome `json:"runs"`
}

// attempts are how often a run may fall short: some scenarios wait 800 ms for an
// event, which a busy machine misses.
const attempts = 3

// TestSuite holds the gate to change nothing: the figures with a token are those of
// the same server without a gate, and without a token nothing that counts gets
// through. It also holds the local Clerk to what an authorization server must do.
func TestSuite(t *testing.T) {
	suite, from := install(t), findSDK(t)
	g := startGate(t, build(t, from))
	open := addToken(t, g)
	r := results{Suite: suitePackage + "@" + suiteVersion, SDK: from.Version}
	tests := []struct {
		name, revision, url string
		want                outcome
	}{
		{"2025-11-25", "2025-11-25", open, outcome{Scenarios: count{33, 33}, Scored: count{30, 30}, Checks: count{82, 82}, ScoredChecks: count{70, 70}}},
		{"2026-07-28", "2026-07-28", open, outcome{Scenarios: count{41, 50}, Scored: count{37, 37}, Checks: count{165, 195}, ScoredChecks: count{121, 121}}},
		{"2025-11-25 without a token", "2025-11-25", g.URL, outcome{Scored: count{0, 30}}},
		{"2026-07-28 without a token", "2026-07-28", g.URL, outcome{Scored: count{0, 37}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			withToken := test.url == open
			got, passed := suite.serverRun(t, test.url, test.revision)
			for n := 1; withToken && got != test.want && n < attempts; n++ {
				got, passed = suite.serverRun(t, test.url, test.revision)
			}
			if passed != withToken {
				t.Errorf("the suite's verdict is %v, want %v", passed, withToken)
			}
			if got.Scored != test.want.Scored {
				t.Errorf("scored scenarios %+v, want %+v", got.Scored, test.want.Scored)
			}
			if withToken && got != test.want {
				t.Errorf("figures\n got %+v\nwant %+v", got, test.want)
			}
			got.Name = test.name
			r.Runs = append(r.Runs, got)
		})
	}
	t.Run("authorization server", func(t *testing.T) {
		got, passed := suite.authorizationRun(t)
		all := outcome{Scenarios: count{2, 2}, Scored: count{2, 2}, Checks: count{3, 3}, ScoredChecks: count{3, 3}}
		if got != all || !passed {
			t.Errorf("verdict %v, figures\n got %+v\nwant %+v", passed, got, all)
		}
		got.Name = "authorization server (localclerk)"
		r.Runs = append(r.Runs, got)
	})
	if complete := len(r.Runs) == len(tests)+1; complete && !t.Failed() {
		text, err := json.MarshalIndent(r, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		write(t, "results.json", append(text, '\n'))
	}
}

// gate is a running program of testdata/gate.
type gate struct{ URL, Token string }

func startGate(t *testing.T, binary string) gate {
	t.Helper()
	cmd := exec.Command(binary)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(filepath.Join(t.TempDir(), "gate.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			text, _ := os.ReadFile(stderr.Name())
			t.Logf("gate: %v\n%s", err, text)
		}
		stderr.Close()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("gate said nothing: %v", err)
	}
	var g gate
	if err := json.Unmarshal(line, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// addToken runs a proxy that adds the token to each request and changes nothing
// else, since the suite cannot send one. It returns the URL of the endpoint there.
func addToken(t *testing.T, g gate) string {
	t.Helper()
	target, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // the suite hangs up on streams
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host
			r.Out.Header.Set("Authorization", "Bearer "+g.Token)
		},
	}
	proxy := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// An answer may come before the end of the body has been passed on;
			// net/http would then close the body, and the proxy cut the answer.
			http.NewResponseController(w).EnableFullDuplex()
			forward.ServeHTTP(w, r)
		}),
	}
	listeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range listeners {
		go proxy.Serve(l)
	}
	t.Cleanup(func() { proxy.Close() })
	at := *target
	at.Host = net.JoinHostPort(listen.Localhost, strconv.Itoa(listen.Port(listeners[0])))
	return at.String()
}
