package remote_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// responses are what an issuer may send, over real sockets.
var responses = []struct {
	name      string
	handler   http.HandlerFunc
	wantClass remote.Class
	wantErr   string
}{
	{"control", text(validDoc), "", ""},
	{"unexpected content type", header("Content-Type", "text/plain", text(validDoc)), "", ""},
	{"gzip", zipped([]byte(validDoc)), "", ""},
	{"redirect within the origin", redirectOnce("/elsewhere"), "", ""},
	{"exactly the limit", text(`{"a":"` + strings.Repeat("x", 1<<20-8) + `"}`), "", ""},

	{
		"one byte beyond the limit",
		text(`{"a":"` + strings.Repeat("x", 1<<20-7) + `"}`),
		remote.TooLarge,
		"larger than 1048576 bytes",
	},
	{"10 MB body", text(`{"a":"` + strings.Repeat("x", 10<<20) + `"}`), remote.TooLarge, "larger than 1048576 bytes"},
	{"gzip bomb", zipped(bytes.Repeat([]byte(" "), 64<<20)), remote.TooLarge, "larger than 1048576 bytes"},
	{"500", status(500), remote.Status, "status 500, want 200"},
	{"204", status(204), remote.Status, "status 204, want 200"},
	{"401", status(401), remote.Status, "status 401, want 200"},
	{"404", status(404), remote.NotFound, "status 404, want 200"},
	{"HTML", text("\n<!doctype html>"), remote.NotJSON, "body is HTML or XML"},
	{"empty", text(""), remote.NotJSON, "body is empty"},
	{"array", text("[]"), remote.NotJSON, "body is not a JSON object"},
	{"two objects", text("{}{}"), remote.NotJSON, "body is not a JSON object"},
	{"JSON that breaks off", text(`{"keys":[`), remote.NotJSON, "body is not a JSON object"},
	{"byte order mark", text("\ufeff{}"), remote.NotJSON, "body is not a JSON object"},
	{"not UTF-8", text("{\"a\":\"\xff\"}"), remote.NotJSON, "body is not UTF-8"},
	{"unknown encoding", header("Content-Encoding", "br", text(validDoc)), remote.NotJSON, `content encoding "br"`},
	{
		"body that breaks off",
		header("Content-Length", "100", text(validDoc)),
		remote.Network,
		"reading the body: unexpected EOF",
	},
	{"redirect elsewhere", redirectOnce("https://evil.example/"), remote.Redirect, `it leads to "https://evil.example/"`},
	{
		"redirect to another port",
		redirectOnce("http://127.0.0.1:9/"),
		remote.Redirect,
		`it leads to "http://127.0.0.1:9/"`,
	},
	{"redirects without end", redirectAlways, remote.Redirect, "more than 3"},
	{"no response", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, remote.Network, "EOF"},
	{"huge header", header("X", strings.Repeat("x", 1<<20), text(validDoc)), remote.Network, "exceeded"},
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func header(key, value string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(key, value)
		next(w, r)
	}
}

func zipped(body []byte) http.HandlerFunc {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(body)
	w.Close()
	return header("Content-Encoding", "gzip", text(b.String()))
}

func redirectAlways(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
}

func redirectOnce(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			fmt.Fprint(w, validDoc)
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	}
}

func checkErr(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v, want no error", what, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: got error %v, want one with %q", what, err, want)
	}
}

func TestResponses(t *testing.T) {
	t.Parallel()
	for _, tc := range responses {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tc.handler)
			t.Cleanup(server.Close)
			server.Config.ErrorLog = nil
			d := remote.New(remote.Config{URL: server.URL + "/keys"})
			t.Cleanup(d.Close)
			_, err := d.Get(t.Context())
			checkErr(t, "Get", err, tc.wantErr)
			if got := remote.ClassOf(err); got != tc.wantClass {
				t.Errorf("class is %q, want %q", got, tc.wantClass)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r
		fmt.Fprint(w, validDoc)
	}))
	t.Cleanup(server.Close)
	d := remote.New(remote.Config{URL: server.URL + "/keys?v=1"})
	t.Cleanup(d.Close)
	c, err := d.Get(t.Context())
	wantBody(t, c, err, validDoc)
	r := <-got
	if r.Method != "GET" || r.URL.String() != "/keys?v=1" || r.Header.Get("Accept") != "application/json" {
		t.Errorf("got %s %s, Accept %q, want GET /keys?v=1, application/json", r.Method, r.URL, r.Header.Get("Accept"))
	}
}

func TestCookiesAreIgnored(t *testing.T) {
	t.Parallel()
	cookies := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies <- r.Header.Get("Cookie")
		header("Set-Cookie", "a=b", text(validDoc))(w, r)
	}))
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := remote.New(remote.Config{URL: server.URL, Client: &http.Client{Jar: jar}, MinInterval: time.Nanosecond})
	t.Cleanup(d.Close)
	for sequence := range uint64(2) {
		if _, err := d.Refetch(t.Context(), sequence); err != nil {
			t.Fatal(err)
		}
		if got := <-cookies; got != "" {
			t.Errorf("sent cookie %q, want none", got)
		}
	}
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for r.Context().Err() == nil {
			fmt.Fprint(w, " ")
			w.(http.Flusher).Flush()
			<-tick.C
		}
	}))
	t.Cleanup(server.Close)
	d := remote.New(remote.Config{URL: server.URL, Timeout: 100 * time.Millisecond})
	t.Cleanup(d.Close)
	_, err := d.Get(t.Context())
	wantUnavailable(t, err, "no complete response within 100ms")
	if got := remote.ClassOf(err); got != remote.Timeout {
		t.Errorf("class is %q, want %q", got, remote.Timeout)
	}
}

// After an invalid response of any kind, the last good copy is served, and the next
// valid response replaces it.
func TestInvalidResponseLeavesTheLastCopy(t *testing.T) {
	for _, tc := range []struct {
		name      string
		mutate    func(*issuer)
		wantClass remote.Class
	}{
		{"control", func(i *issuer) { i.serve(`{"new":1}`) }, ""},
		{"redirect within the origin, port spelled out", func(i *issuer) {
			i.Answer(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == "/moved" {
					return testissuer.Response(r, http.StatusOK, strings.NewReader(`{"new":1}`)), nil
				}
				return testissuer.Response(r, http.StatusFound, http.NoBody, "Location", "https://ISSUER.example:443/moved"), nil
			})
		}, ""},
		{"unreachable", (*issuer).down, remote.Network},
		{"hangs", func(i *issuer) { i.Delay(time.Hour) }, remote.Timeout},
		{"slow body", func(i *issuer) {
			i.Answer(func(r *http.Request) (*http.Response, error) {
				return testissuer.Response(r, http.StatusOK, slowBody{r.Context()}), nil
			})
		}, remote.Timeout},
		{"HTML", func(i *issuer) { i.serve("<html>") }, remote.NotJSON},
		{"500", func(i *issuer) { i.Respond(500, validDoc) }, remote.Status},
		{"404", func(i *issuer) { i.Respond(404, validDoc) }, remote.NotFound},
		{"10 MB", func(i *issuer) { i.serve(`{"a":"` + strings.Repeat("x", 10<<20) + `"}`) }, remote.TooLarge},
		{"redirect elsewhere", func(i *issuer) { i.Respond(302, "", "Location", "https://evil.example/") }, remote.Redirect},
		{"rejected by Accept", func(i *issuer) { i.serve(`{"invalid":1}`) }, remote.Rejected},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(validDoc)
				d := i.open(t, func(cfg *remote.Config) {
					cfg.Accept = func(c remote.Copy) error {
						if strings.Contains(string(c.Body), "invalid") {
							return errors.New("it is invalid")
						}
						return nil
					}
				})
				first, err := d.Get(t.Context())
				wantBody(t, first, err, validDoc)

				tc.mutate(i)
				time.Sleep(remote.DefaultMinInterval)
				_, err = d.Refetch(t.Context(), first.Sequence)
				if got := remote.ClassOf(err); got != tc.wantClass {
					t.Errorf("class is %q, want %q; %v", got, tc.wantClass, err)
				}
				if tc.wantClass != "" {
					c, err := d.Get(t.Context())
					wantBody(t, c, err, validDoc)
				}

				i.Delay(0)
				i.serve(`{"later":1}`)
				newest := d.Stats().Sequence
				time.Sleep(remote.DefaultMinInterval)
				c, err := d.Refetch(t.Context(), newest)
				wantBody(t, c, err, `{"later":1}`)
			})
		})
	}
}

func FuzzHeaders(f *testing.F) {
	for _, seed := range []string{
		"", "30", "-1", "Sat, 01 Jan 2000 00:00:20 GMT", "max-age=120", "no-cache, max-age=\"0\"", "max-age=99999999999999999999",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := remote.RetryAfter(value, time.Unix(0, 0)); got < 0 || got > remote.MaxRetryAfter {
			t.Errorf("retryAfter(%q) = %s", value, got)
		}
		if got := remote.RefreshAfter(value, time.Hour); got < remote.MinMaxAge || got > time.Hour {
			t.Errorf("refreshAfter(%q) = %s", value, got)
		}
	})
}
