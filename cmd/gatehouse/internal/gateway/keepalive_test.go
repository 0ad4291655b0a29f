package gateway_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
)

// A silent event stream gets comments, whether it answers a POST or a GET, and whether its lists
// are filtered. The event that follows is unchanged.
func TestSilentStreamGetsComments(t *testing.T) {
	restricted := []gatehouse.Requirement{{Tool: "admin", Require: gatehouse.Require{Roles: []string{"admin"}}}}
	for _, test := range []struct {
		name, method, body string
		requirements       []gatehouse.Requirement
	}{
		{"POST", http.MethodPost, call, nil}, {"GET", http.MethodGet, "", nil},
		{"POST with a list that is filtered", http.MethodPost, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, restricted},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) {
				e.KeepAlive, e.Guard.Requirements = time.Second, test.requirements
			})
			events, _ := f.backend.streaming()
			resp := f.open(t, t.Context(), test.method, test.body, "Authorization", "Bearer "+f.token())
			defer resp.Body.Close()
			reader := bufio.NewReader(resp.Body)
			for range 2 {
				for _, want := range []string{": keep-alive\n", "\n"} {
					if line, err := reader.ReadString('\n'); err != nil || line != want {
						t.Fatalf("got %q, %v, want %q", line, err, want)
					}
				}
			}
			events <- result
			close(events)
			rest, err := io.ReadAll(reader)
			if text := strings.ReplaceAll(string(rest), ": keep-alive\n\n", ""); err != nil || text != result {
				t.Errorf("then got %q, %v, want %q", rest, err, result)
			}
		})
	}
}
