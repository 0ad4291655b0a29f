package gateway_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// While a backend is killed and started again under load, each call gets its result or an error that
// says what happened to it, and none is lost or carried out twice. Calls succeed again as soon as the
// backend runs.
func TestBackendRestartUnderLoad(t *testing.T) {
	const clients, calls = 16, 40
	f := newFixture(t)
	address := f.backend.Listener.Addr().String()
	token := f.token()
	send := func() (status int, body string, err error) {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, f.resource, strings.NewReader(call))
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text), err
	}
	var mu sync.Mutex
	results := map[string]int{}
	var running sync.WaitGroup
	half := make(chan struct{})
	var once sync.Once
	for range clients {
		running.Go(func() {
			for i := range calls {
				status, body, err := send()
				kind := "unclear: " + body
				switch {
				case err != nil:
					kind = "broken: " + err.Error()
				case status == http.StatusOK && strings.Contains(body, `"result"`):
					kind = "result"
				case status == http.StatusBadGateway && strings.Contains(body, `"id":1`) && strings.Contains(body, "upstream_unreachable"):
					kind = "unreachable"
				case status == http.StatusBadGateway && strings.Contains(body, `"id":1`) && strings.Contains(body, "upstream_broken"):
					kind = "in flight"
				}
				mu.Lock()
				results[kind]++
				mu.Unlock()
				if i == calls/4 {
					once.Do(func() { close(half) })
				}
			}
		})
	}
	<-half
	f.backend.CloseClientConnections()
	f.backend.Listener.Close()
	for { // until the gateway has noticed it
		if _, body, _ := send(); strings.Contains(body, "upstream_unreachable") {
			break
		}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	again := &http.Server{Handler: http.HandlerFunc(f.backend.serve)}
	go func() {
		if err := again.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the backend ended: %v", err)
		}
	}()
	defer again.Close()
	if status, body, err := send(); status != http.StatusOK {
		t.Errorf("the first call after the restart got status %d, %s, %v, want a result", status, body, err)
	}
	running.Wait()
	for kind, n := range results {
		if kind != "result" && kind != "unreachable" && kind != "in flight" {
			t.Errorf("%d calls: %s", n, kind)
		}
	}
	if results["in flight"] > clients {
		t.Errorf("%d calls were in flight, want at most one for each of %d clients", results["in flight"], clients)
	}
	if carriedOut, sure := len(f.backend.requests()), results["result"]; carriedOut < sure || carriedOut > sure+results["in flight"]+4 {
		t.Errorf("the backend got %d requests for %d results and %d calls in flight: some were sent twice or lost", carriedOut, sure, results["in flight"])
	}
	if results["result"] == 0 || sum(results) != clients*calls {
		t.Errorf("got the results %v, want %d", results, clients*calls)
	}
	t.Logf("%v", results)
}

func sum(counts map[string]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}
