//go:build official

// Package official runs the conformance suite of the MCP project against a guarded server:
// the everything-server of go-sdk, which the suite is written for, in package serve with
// tokens of a local Clerk.
//
//	go test -tags official -count=1 ./conformance/official/...
//
// It needs npm, with which it installs the suite into the user's cache. It writes the
// figures to results.json, from which they are copied into docs/conformance.md.
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

// results is the content of results.json.
type results struct {
	Suite string    `json:"suite"`
	SDK   string    `json:"sdk"`
	Runs  []outcome `json:"runs"`
}

// attempts is the number of times that a run is tried: some scenarios wait only 800 ms for
// an event, which is too short on a busy machine.
const attempts = 3

// TestSuite checks that the guard changes nothing for a client with a token: the figures
// are those of the same server without a guard. Without a token, no scored scenario may
// pass. It also checks the local Clerk against the suite's requirements on an
// authorization server.
func TestSuite(t *testing.T) {
	suite, from := install(t), findSDK(t)
	g := startGuarded(t, build(t, from))
	open := addToken(t, g)
	r := results{Suite: suitePackage + "@" + suiteVersion, SDK: from.Version}
	tests := serverRuns(open, g.URL)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			withToken := test.url == open
			got, passed := suite.serverRun(t, test.url, test.revision)
			for n := 1; withToken && got != test.want && n < attempts; n++ {
				got, passed = suite.serverRun(t, test.url, test.revision)
			}
			if passed != withToken {
				t.Errorf("passed is %v according to the suite, want %v", passed, withToken)
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
			t.Errorf("passed is %v, figures\n got %+v\nwant %+v", passed, got, all)
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

// serverRun is one run of the suite against a server, and the figures that it must have.
type serverRun struct {
	name, revision, url string
	want                outcome
}

// serverRuns returns the runs at the URL that adds the token and at the one that does not.
// Without a token only the scored scenarios count.
func serverRuns(withToken, withoutToken string) []serverRun {
	return []serverRun{
		{
			name:     "2025-11-25",
			revision: "2025-11-25",
			url:      withToken,
			want: outcome{
				Scenarios:    count{33, 33},
				Scored:       count{30, 30},
				Checks:       count{82, 82},
				ScoredChecks: count{70, 70},
			},
		},
		{
			name:     "2026-07-28",
			revision: "2026-07-28",
			url:      withToken,
			want: outcome{
				Scenarios:    count{41, 50},
				Scored:       count{37, 37},
				Checks:       count{165, 195},
				ScoredChecks: count{121, 121},
			},
		},
		{
			name:     "2025-11-25 without a token",
			revision: "2025-11-25",
			url:      withoutToken,
			want:     outcome{Scored: count{0, 30}},
		},
		{
			name:     "2026-07-28 without a token",
			revision: "2026-07-28",
			url:      withoutToken,
			want:     outcome{Scored: count{0, 37}},
		},
	}
}

// guarded is a running program of testdata/guarded.
type guarded struct{ URL, Token string }

func startGuarded(t *testing.T, binary string) guarded {
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
	stderr, err := os.Create(filepath.Join(t.TempDir(), "guarded.log"))
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
			t.Logf("guarded server: %v\n%s", err, text)
		}
		stderr.Close()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("reading the address of the guarded server: %v", err)
	}
	var g guarded
	if err := json.Unmarshal(line, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// addToken runs a proxy that adds the token to each request and changes nothing else,
// because the suite cannot send a token. It returns the URL of the endpoint at the proxy.
func addToken(t *testing.T, g guarded) string {
	t.Helper()
	target, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // the suite closes streams early
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host
			r.Out.Header.Set("Authorization", "Bearer "+g.Token)
		},
	}
	proxy := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// The server may respond before the proxy has passed on all of the body.
			// Without full duplex, net/http would then close the body, and the proxy
			// would cut off the response.
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
