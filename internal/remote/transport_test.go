package remote_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
)

// trap returns a transport that fails the test when it uses a proxy or its own dialer,
// which stand for HTTP_PROXY and for DNS.
func trap(t *testing.T) *http.Transport {
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			t.Errorf("looked for a proxy for %s", r.URL)
			return nil, nil
		},
		Dial: func(_, address string) (net.Conn, error) {
			t.Errorf("resolved %s with the given dialer", address)
			return nil, errDown
		},
	}
}

// serveOn serves a document on address and returns its port. It skips the test if the
// machine has no such address.
func serveOn(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Skipf("this machine has no %s: %v", address, err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"host":%q}`, r.Host)
	}))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestPlainHTTPStaysOnThisMachine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ host, listenOn string }{
		{"localhost", "127.0.0.1"},
		{"localhost", "::1"},
		{"clerk.localhost", "127.0.0.1"},
		{"clerk.localhost", "::1"},
		{"127.0.0.1", "127.0.0.1"},
		{"[::1]", "::1"},
	} {
		t.Run(tc.host+" on "+tc.listenOn, func(t *testing.T) {
			t.Parallel()
			hostPort := tc.host + ":" + serveOn(t, tc.listenOn)
			d := remote.New(remote.Config{
				URL:    "http://" + hostPort + "/keys",
				Client: &http.Client{Transport: trap(t)},
			})
			t.Cleanup(d.Close)
			c, err := d.Get(t.Context())
			wantBody(t, c, err, fmt.Sprintf(`{"host":%q}`, hostPort))
		})
	}
}

func TestTransportRejectsPlainHTTPToOtherHosts(t *testing.T) {
	t.Parallel()
	transport := remote.Transport(trap(t))
	for _, host := range []string{
		"issuer.example", "localhost.issuer.example", "localhost.", "10.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]",
	} {
		body := &closeRecorder{Reader: strings.NewReader("secret")}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+host+"/keys", body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		checkErr(t, host, err, "is not a loopback host; use https")
		if !body.closed {
			t.Errorf("%s: the request's body is open, want it closed", host)
		}
	}
}

type closeRecorder struct {
	*strings.Reader
	closed bool
}

func (r *closeRecorder) Close() error {
	r.closed = true
	return nil
}

func TestTransportSendsHTTPSWithItsBase(t *testing.T) {
	t.Parallel()
	i := newIssuer(validDoc)
	client := &http.Client{Transport: remote.Transport(i)}
	for _, url := range []string{docURL, "https://clerk.localhost/keys", "http://localhost/keys"} {
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(resp.Body).ReadString('\n')
		resp.Body.Close()
		if line != validDoc {
			t.Errorf("GET %s = %q, %v, want %q from the given transport", url, line, err, validDoc)
		}
	}
	if i.fetches() != 3 {
		t.Errorf("the given transport got %d requests, want 3", i.fetches())
	}
}
