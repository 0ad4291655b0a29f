package localclerk

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMetadataDocumentFetch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		response *http.Response
		reason   string
	}{
		{"not found", respond(404, "application/json", "{}"), "got status 404, want 200"},
		{
			name:     "redirect",
			response: respond(302, "application/json", "{}", "Location", "https://127.0.0.1/"),
			reason:   "got status 302, want 200; redirects are not followed",
		},
		{"page", respond(200, "text/html", "{}"), "content type 'text/html'"},
		{"no JSON", respond(200, "application/json", "<html>"), "decoding it"},
		{
			name:     "too large",
			response: respond(200, "application/json", strings.Repeat(" ", maxMetadataDocument+1)),
			reason:   "more than 65536 bytes",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fetch := func(*http.Request) (*http.Response, error) { return test.response, nil }
			wantDocumentRejected(t, newDocumentServer(t, nil, fetch), test.reason)
		})
	}
}

func TestMetadataDocumentTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		wantDocumentRejected(t, newDocumentServer(t, nil, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}), "deadline exceeded")
		if got := time.Since(start); got != metadataTimeout {
			t.Errorf("gave up after %s, want %s", got, metadataTimeout)
		}
	})
}

func TestMetadataDocumentCache(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"":                       defaultMetadataAge,
		"max-age=60":             time.Minute,
		"public, MAX-AGE=\"60\"": time.Minute,
		"max-age=99999999999":    maxMetadataAge,
		"max-age=-1":             0,
		"max-age=x":              0,
		"no-store":               0,
		"max-age=60, no-cache":   0,
	} {
		if got := maxAge(header); got != want {
			t.Errorf("%q: got %s, want %s", header, got, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int32
		serve := serveDocument(t, validDocument(), "Cache-Control", "max-age=60")
		up := true
		s := newDocumentServer(t, nil, func(r *http.Request) (*http.Response, error) {
			fetches.Add(1)
			if !up {
				return respond(503, "text/plain", ""), nil
			}
			return serve(r)
		})
		app := application{id: documentURL}
		params := with(authorization(app), "scope", "openid offline_access")
		got := tokens(t, s, app, params)
		signIn(t, s, params)
		time.Sleep(59 * time.Second)
		signIn(t, s, params)
		if n := fetches.Load(); n != 1 {
			t.Errorf("%d fetches while fresh, want 1", n)
		}
		time.Sleep(time.Second)
		signIn(t, s, params)
		if n := fetches.Load(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
		up = false
		time.Sleep(time.Minute)
		wantDocumentRejected(t, s, "got status 503")
		post(t, s, "/oauth/token", refreshing(app, got)).want(200)
	})
}

// TestDocumentFetchRejectsPrivateAddresses uses the default HTTP client.
func TestDocumentFetchRejectsPrivateAddresses(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan struct{}, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
			accepted <- struct{}{}
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost"} {
		_, err := newDocumentHTTPClient(nil).Get("https://" + net.JoinHostPort(host, port) + "/x")
		if err == nil || !strings.Contains(err.Error(), "is not a public address") {
			t.Errorf("%s: got %v, want an error", host, err)
		}
	}
	select {
	case <-accepted:
		t.Error("the fetcher connected to loopback")
	default:
	}
	for address, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true,
		"127.0.0.1": false, "10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "192.0.2.1": false, "198.18.0.1": false, "224.0.0.1": false,
		"240.0.0.1": false, "255.255.255.255": false, "::1": false, "::": false, "fe80::1": false, "fc00::1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001:db8::1": false,
		"::127.0.0.1": false, "fec0::1": false, "5f00::1": false, "3fff::1": false, "3fff:fff:ffff::1": false, "100::1": false,
		"4000::1": false, "1fff::1": false, "3fff:1000::1": true,
	} {
		if got := isPublic(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: public %v, want %v", address, got, want)
		}
	}
}
