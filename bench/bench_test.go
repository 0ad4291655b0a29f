package main

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// TestMain makes the test binary run the servers as well.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := runChild(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func testIssuer(t *testing.T) *issuer {
	t.Helper()
	i, err := newIssuer()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// Every server that is measured answers in both eras, distinguishes callers and, unless it
// is open, rejects an invalid token.
func TestServers(t *testing.T) {
	i := testIssuer(t)
	valid, err := i.mint("RS256", 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range measured {
		t.Run(m.name, func(t *testing.T) {
			server, err := startChild(m, i)
			if err != nil {
				t.Fatal(err)
			}
			defer server.stop()
			for _, version := range versions {
				c, err := dial(server.address, version, valid[0])
				if err != nil {
					t.Fatalf("%s: %v", version, err)
				}
				defer c.close()
				for n, raw := range valid {
					want := anonymous(nil)
					if !m.open {
						want = described(userID, tokenID(n))
					}
					if err := c.call(raw, want); err != nil {
						t.Errorf("%s: %v", version, err)
					}
				}
				err = c.call(spoilSignature(valid[0]), anonymous(nil))
				if rejected := err != nil && strings.Contains(err.Error(), "answered 401"); rejected != !m.open {
					t.Errorf("%s: invalid token: got %v, want rejected %v", version, err, !m.open)
				}
			}
			before, err := server.usage()
			if err != nil || before.CPU <= 0 || before.Heap == 0 {
				t.Errorf("usage %+v, %v", before, err)
			}
		})
	}
}

// Each invalid request is rejected for the reason under which it is measured.
func TestRejections(t *testing.T) {
	i := testIssuer(t)
	var last gatehouse.Reason
	guard, err := newGuard(i, func(cfg *gatehouse.Config) {
		cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) { last = r.Reason }
	})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	handler := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	valid, err := i.sign(i.draft("RS256", 0))
	if err != nil {
		t.Fatal(err)
	}
	if status := statusOf(handler, newRequest(valid, nil)); status != http.StatusTeapot {
		t.Fatalf("valid token: got status %d, reason %q", status, last)
	}
	for _, kind := range rejections() {
		raw, err := i.rejectedToken(kind, 0)
		if err != nil {
			t.Fatal(err)
		}
		last = ""
		status := statusOf(handler, newRequest(raw, kind.tamper))
		if !kind.is(last) || status < http.StatusBadRequest {
			t.Errorf("status %d, reason %q, want %q", status, last, kind.reason)
		}
	}
}

func TestFlood(t *testing.T) {
	i := testIssuer(t)
	seen, reasons := map[string]bool{}, map[gatehouse.Reason]int{}
	guard, err := newGuard(i, func(cfg *gatehouse.Config) {
		cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) { reasons[r.Reason]++ }
	})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	handler := guard.Wrap(http.NotFoundHandler())
	f, err := newFlood(i)
	if err != nil {
		t.Fatal(err)
	}
	const tokens = 400
	for n := 1; n <= tokens; n++ {
		raw := f.token(n)
		if seen[raw] {
			t.Fatalf("token %d is not distinct", n)
		}
		seen[raw] = true
		if status := statusOf(handler, newRequest(raw, nil)); status == http.StatusNotFound {
			t.Fatalf("token %d was accepted", n)
		}
	}
	if reasons["bad_signature"] != tokens/forgedShare {
		t.Errorf("%d tokens had their signature checked, want %d", reasons["bad_signature"], tokens/forgedShare)
	}
	for _, reason := range []gatehouse.Reason{"opaque", "wrong_issuer", "wrong_type"} {
		if reasons[reason] == 0 {
			t.Errorf("no token was rejected as %q: %v", reason, reasons)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 3, 100}, 3.5},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("median = %v, want %v", got, test.want)
		}
	}
}

func TestChoose(t *testing.T) {
	all := sections(callSettings{rounds: 1})
	for _, test := range []struct {
		names   string
		want    int
		wantErr string
	}{
		{names: "", want: len(all) - 1}, // without the gateway
		{names: "gateway", want: 1},
		{names: "calls", want: 1},
		{names: "start,first", want: 2},
		{names: "calls,", wantErr: `no section ""; see -help`},
		{names: "Calls", wantErr: `no section "Calls"; see -help`},
	} {
		got, err := choose(all, test.names)
		if len(got) != test.want || fmt.Sprint(err) != cmp.Or(test.wantErr, "<nil>") {
			t.Errorf("choose(%q) = %d sections, %v; want %d, %s", test.names, len(got), err, test.want, test.wantErr)
		}
	}
}

func TestContenders(t *testing.T) {
	for _, test := range []struct {
		settings callSettings
		want     int
		wantErr  string
	}{
		{settings: callSettings{}, want: len(measured)},
		{settings: callSettings{patched: "other"}, want: len(measured) + len(patchedServers("other"))},
		{settings: callSettings{roles: "mcp-go+keyfunc,mcp-go+guard"}, want: 2},
		{settings: callSettings{roles: "guard+require"}, wantErr: `server "guard+require" needs its base "the same behind the guard"`},
		{settings: callSettings{roles: "Guard"}, wantErr: `no server "Guard"; see the roles in servers.go`},
	} {
		got, err := test.settings.contenders()
		if len(got) != test.want || fmt.Sprint(err) != cmp.Or(test.wantErr, "<nil>") {
			t.Errorf("%+v: got %d servers, %v; want %d, %s", test.settings, len(got), err, test.want, test.wantErr)
		}
	}
}

func TestMet(t *testing.T) {
	for _, test := range []struct {
		name string
		row  row
		want string
	}{
		{"rival", row{ratio: 9}, ""},
		{"within", row{ratio: 1, limit: 1, goal: "≤ 1"}, "yes"},
		{"above", row{ratio: 1.01, limit: 1, goal: "≤ 1"}, "no"},
		{"another limit", row{ratio: 1, limit: 1, fault: "allocations", goal: "≤ 1"}, "no: allocations"},
	} {
		if got := test.row.met(); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestTable(t *testing.T) {
	var table table
	table.add(row{what: "first", who: "floor", figure: micros(51_234), ratio: 1})
	table.add(row{what: "first", who: "ours", figure: micros(float64(20 * time.Millisecond)), ratio: 0.0512, limit: 1, goal: "≤ 1"})
	var b strings.Builder
	if err := table.write(&b); err != nil {
		t.Fatal(err)
	}
	const want = `| what  | who   | median  | ratio | must reach | met |
| ----- | ----- | ------- | ----- | ---------- | --- |
| first | floor | 51.2 us | 1.00  |            |     |
|       | ours  | 20 ms   | 0.051 | ≤ 1        | yes |
`
	if b.String() != want {
		t.Errorf("table\n%s\nwant\n%s", &b, want)
	}
}
