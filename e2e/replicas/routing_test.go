//go:build stores && linux

package replicas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// tries is how many clients use each feature behind each router.
const tries = 6

// toAny makes examples/replicas/nginx.conf ignore the session ID.
var toAny = []string{"        ~^one-   mcp_one;\n        ~^two-   mcp_two;\n        ~^three- mcp_three;\n", ""}

// routers are the ways to choose a replica.
var routers = []struct {
	name  string
	start func(t testing.TB, c *cluster)
	moves bool
}{
	{name: "one replica", start: func(t testing.TB, c *cluster) {
		c.startNginx(t, slices.Concat(toAny, []string{
			"        server 127.0.0.1:3002 fail_timeout=1s;\n        server 127.0.0.1:3003 fail_timeout=1s;\n", "",
		})...)
	}},
	{name: "each in turn", start: func(t testing.TB, c *cluster) { c.startNginx(t, toAny...) }},
	{name: "hash of the session ID", start: func(t testing.TB, c *cluster) {
		c.startNginx(t, slices.Concat(toAny, []string{"    upstream mcp {\n", "    upstream mcp {\n        hash $http_mcp_session_id consistent;\n"})...)
	}},
	{name: "hash of the client's address", start: byAddress},
	{name: "the same, and the address changes", start: byAddress, moves: true},
	{name: "name in the session ID (nginx)", start: func(t testing.TB, c *cluster) { c.startNginx(t) }},
	{name: "learned session ID (HAProxy)", start: func(t testing.TB, c *cluster) { c.startHAProxy(t) }},
}

func byAddress(t testing.TB, c *cluster) {
	c.startNginx(t, slices.Concat(toAny, []string{"    upstream mcp {\n", "    upstream mcp {\n        hash $remote_addr consistent;\n"})...)
}

// features are what clients do, in the order of the table.
var features = []struct {
	name string
	// exists reports whether the revision has it; nil means all have it.
	exists func(revision) bool
	use    func(t testing.TB, c *cluster, client *client) error
}{
	{name: "initialize", exists: beforeStateless, use: func(_ testing.TB, c *cluster, client *client) error {
		again := c.newClient(client.revision, "user_initialize", client.moves)
		return again.open()
	}},
	{name: "list", use: func(_ testing.TB, _ *cluster, client *client) error {
		text, err := client.text(http.MethodPost, "tools/list", "", client.message(3, "tools/list", ""))
		return want(text, err, `"whoami"`)
	}},
	{name: "call", use: func(_ testing.TB, _ *cluster, client *client) error {
		text, err := client.call("whoami")
		return want(text, err, `"replica"`)
	}},
	{name: "progress", use: func(_ testing.TB, _ *cluster, client *client) error {
		text, err := client.call("steps")
		return want(text, err, `"progress":1`, `"progress":2`, `"progress":3`, "finished")
	}},
	{name: "GET", exists: beforeStateless, use: func(t testing.TB, c *cluster, client *client) error {
		s, err := client.stream(t, http.MethodGet, "", "", "")
		return receives(t, c, s, err)
	}},
	{name: "`subscriptions/listen`", exists: isStateless, use: func(t testing.TB, c *cluster, client *client) error {
		s, err := client.stream(t, http.MethodPost, "subscriptions/listen", "",
			client.message(4, "subscriptions/listen", `"notifications":{"toolsListChanged":true}`))
		return receives(t, c, s, err)
	}},
	{name: "elicitation", use: elicits},
	{name: "cancellation", use: cancels},
	{name: "step-up", use: stepsUp},
	{name: "DELETE", exists: beforeStateless, use: func(_ testing.TB, _ *cluster, client *client) error {
		if _, err := client.text(http.MethodDelete, "", "", ""); err != nil {
			return err
		}
		_, err := client.call("whoami")
		var f *failure
		if errors.As(err, &f) && f.status == "404" {
			return nil
		}
		return &failure{"error", fmt.Sprintf("after DELETE, a call got %v, want 404", err)}
	}},
	{name: "sign-out", use: signsOut},
}

func isStateless(r revision) bool { return r.version >= "2026-07-28" }

func beforeStateless(r revision) bool { return !isStateless(r) }

// receives checks that a notification arrives on the stream.
func receives(t testing.TB, c *cluster, s *stream, err error) error {
	if err != nil {
		return err
	}
	defer s.cancel()
	arrived := make(chan struct{})
	var notifying sync.WaitGroup
	notifying.Go(func() { // again and again, because the stream is registered after its header is sent
		for {
			c.notify(t)
			select {
			case <-arrived:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	_, ended, err := s.next("notifications/tools/list_changed")
	close(arrived)
	notifying.Wait()
	if ended {
		err = &failure{"error", "the stream ended without the notification"}
	}
	return err
}

// elicits has a tool ask the user, and answers.
func elicits(t testing.TB, _ *cluster, client *client) error {
	if isStateless(client.revision) { // the answer is a second call
		text, err := client.call("ask")
		if err := want(text, err, `"input_required"`); err != nil {
			return err
		}
		text, err = client.text(http.MethodPost, "tools/call", "ask", client.message(6, "tools/call",
			callParams("ask")+`,"inputResponses":{"confirm":{"action":"accept"}}`))
		return want(text, err, "the user answered accept")
	}
	s, err := client.stream(t, http.MethodPost, "tools/call", "ask", client.message(5, "tools/call", callParams("ask")))
	if err != nil {
		return err
	}
	defer s.cancel()
	line, ended, err := s.next("data: {")
	if err != nil || ended || !strings.Contains(line, "elicitation/create") {
		return &failure{"error", fmt.Sprintf("got %q, ended %v, %v; want a question", line, ended, err)}
	}
	answer := `{"jsonrpc":"2.0","id":` + member(line, "id") + `,"result":{"action":"accept"}}`
	if _, err := client.text(http.MethodPost, "", "", answer); err != nil {
		return err
	}
	line, _, err = s.next("data: {")
	return want(line, err, "the user answered accept")
}

// cancels calls a tool that runs until it is canceled, and cancels it as the revision says: with a
// notification, or by closing the answer.
func cancels(t testing.TB, c *cluster, client *client) error {
	before := c.total(t)
	ctx, cancel := context.WithTimeout(context.Background(), stepTime)
	defer cancel()
	answered := make(chan error, 1)
	go func() {
		resp, err := client.send(ctx, http.MethodPost, "tools/call", "wait", client.message(7, "tools/call", callParams("wait")))
		if err == nil {
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				err = fail(resp)
			} else {
				_, err = resp.Body.Read(make([]byte, 1))
			}
		}
		answered <- err
	}()
	for c.total(t).Started == before.Started {
		select {
		case err := <-answered:
			return err
		case <-time.After(pause):
		}
	}
	if isStateless(client.revision) {
		cancel()
	} else if _, err := client.text(http.MethodPost, "notifications/cancelled", "",
		client.message(0, "notifications/cancelled", `"requestId":7`)); err != nil {
		return err
	}
	wait := stepTime
	if client.revision.stateless {
		wait = time.Second // it has no effect, which takes as long to see each time
	}
	if c.isCanceled(t, before.Canceled, wait) {
		return nil
	}
	cancel()
	if c.isCanceled(t, before.Canceled, wait) {
		return &failure{"only by closing the request", "a notification has no effect"}
	}
	return &failure{"no effect", "the tool runs on"}
}

// isCanceled reports whether more calls are canceled within a time.
func (c *cluster) isCanceled(t testing.TB, before int64, within time.Duration) bool {
	deadline := time.Now().Add(within)
	for time.Now().Before(deadline) {
		if c.total(t).Canceled > before {
			return true
		}
		time.Sleep(2 * pause)
	}
	return false
}

// total returns the calls of the tool wait in all replicas.
func (c *cluster) total(t testing.TB) (sum stats) {
	for _, r := range c.replicas {
		s, err := r.stats()
		if err != nil {
			t.Fatal(err)
		}
		sum.Started += s.Started
		sum.Canceled += s.Canceled
	}
	return sum
}

// stepsUp calls a tool that needs another scope, and again with a token that has it.
func stepsUp(_ testing.TB, c *cluster, client *client) error {
	_, err := client.call("write")
	var f *failure
	if !errors.As(err, &f) || f.status != "403" || !strings.Contains(f.detail, "insufficient_scope") {
		return &failure{"error", fmt.Sprintf("got %v, want 403", err)}
	}
	before := client.token
	defer func() { client.token = before }()
	client.token = c.token("user_table", testissuer.Claim("scope", "profile email notes:write"))
	text, err := client.call("write")
	return want(text, err, `"replica"`)
}

// signsOut denies the user of a client at the first replica, and waits until each request is rejected.
func signsOut(_ testing.TB, c *cluster, client *client) error {
	subject := fmt.Sprint("user_", time.Now().UnixNano())
	user := c.newClient(client.revision, subject, client.moves)
	if err := user.open(); err != nil {
		return err
	}
	if err := c.replicas[0].deny(subject); err != nil {
		return err
	}
	deadline := time.Now().Add(stepTime)
	for rejected := 0; rejected < 3*len(names); {
		_, err := user.call("whoami")
		var f *failure
		switch {
		case errors.As(err, &f) && f.status == "401":
			rejected++
		case time.Now().After(deadline):
			return &failure{"error", fmt.Sprintf("got %v, want 401", err)}
		default:
			rejected = 0
			time.Sleep(pause)
		}
	}
	return nil
}

// outcome uses a feature several times, each time with a new client, and returns what the table says
// about it.
func outcome(t testing.TB, c *cluster, r revision, moves bool, use func(testing.TB, *cluster, *client) error) string {
	var failed []error
	for range tries {
		client := c.newClient(r, "user_table", moves)
		err := client.open()
		if err == nil {
			err = use(t, c, client)
		}
		if err != nil {
			failed = append(failed, err)
		}
		if client.session != "" {
			client.moves = false
			client.text(http.MethodDelete, "", "", "")
		}
	}
	if len(failed) == 0 {
		return "works"
	}
	t.Logf("%d of %d failed: %.300v", len(failed), tries, failed[0])
	statuses := make([]string, len(failed))
	for i, err := range failed {
		statuses[i] = "error"
		if f := (*failure)(nil); errors.As(err, &f) {
			statuses[i] = f.status
		}
	}
	// A session that is unknown to a replica is behind the other failures.
	if slices.Contains(statuses, "404") {
		return "404"
	}
	return statuses[0]
}

// row is a line of the table: what works in a revision behind the routers.
type row struct {
	revision string
	routers  []string
	cells    []string
}

// TestRouting writes the table of docs/replicas.md, or checks that it is what happens.
func TestRouting(t *testing.T) {
	redis := startRedis(t)
	var rows []row
	for _, stateless := range []bool{false, true} {
		c := start(t, func(int) []string {
			env := []string{"REVOCATIONS_URL=redis://" + redis.addr}
			if stateless {
				env = append(env, "STATELESS=1")
			}
			return env
		})
		for _, router := range routers {
			t.Run(fmt.Sprintf("%s, stateless %v", router.name, stateless), func(t *testing.T) {
				router.start(t, c)
				for _, r := range revisions {
					if r.stateless != stateless {
						continue
					}
					cells := make([]string, len(features))
					for i, feature := range features {
						if cells[i] = "–"; feature.exists == nil || feature.exists(r) {
							cells[i] = outcome(t, c, r, router.moves, feature.use)
						}
					}
					t.Logf("%s: %s", r.name, strings.Join(cells, " | "))
					rows = add(rows, row{r.name, []string{router.name}, cells})
				}
			})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return strings.Compare(a.revision, b.revision) })
	checkTable(t, "routing", table(rows))
}

// TestReplicaOfASessionEnds kills the replica that has a session. The client gets 404 at once, and can
// open a new session. Sessions of other replicas go on.
func TestReplicaOfASessionEnds(t *testing.T) {
	for name, router := range map[string]func(testing.TB, *cluster){
		"nginx":   func(t testing.TB, c *cluster) { c.startNginx(t) },
		"HAProxy": func(t testing.TB, c *cluster) { c.startHAProxy(t) },
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, func(int) []string { return nil })
			router(t, c)
			clients := map[string]*client{} // by the name of the replica
			for len(clients) < len(names) {
				client := c.openSession(t)
				text, err := client.call("whoami")
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range names {
					if strings.Contains(text, `"replica":"`+name+`"`) {
						clients[name] = client
					}
				}
			}
			c.replicas[1].Kill(t)
			ended := clients[names[1]]
			for range 5 {
				var f *failure
				if _, err := ended.call("whoami"); !errors.As(err, &f) || f.status != "404" {
					t.Errorf("a session of the replica that was killed: %v, want 404", err)
				}
			}
			ended.session = ""
			if err := ended.open(); err != nil {
				t.Errorf("a new session: %v", err)
			}
			for name, client := range clients {
				if _, err := client.call("whoami"); err != nil {
					t.Errorf("the session that replica %s had: %v", name, err)
				}
			}
		})
	}
}

// add adds a row, or its router to the row of the same revision with the same cells.
func add(rows []row, r row) []row {
	for i := range rows {
		if rows[i].revision == r.revision && slices.Equal(rows[i].cells, r.cells) {
			rows[i].routers = append(rows[i].routers, r.routers...)
			return rows
		}
	}
	return append(rows, r)
}

func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| revision | router |")
	for _, feature := range features {
		b.WriteString(" " + feature.name + " |")
	}
	b.WriteString("\n|" + strings.Repeat(" --- |", len(features)+2) + "\n")
	for _, r := range rows {
		where := strings.Join(r.routers, "; ")
		if len(r.routers) == len(routers) {
			where = "any of these"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.revision, where, strings.Join(r.cells, " | "))
	}
	return b.String()
}

// checkTable compares a table with that of the documentation, or replaces it there.
func checkTable(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(repository, "docs/replicas.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := []byte("<!-- begin "+name+" -->\n"), []byte("<!-- end "+name+" -->")
	i, j := bytes.Index(page, begin), bytes.Index(page, end)
	if i < 0 || j < i {
		t.Fatalf("%s has no %q", path, begin)
	}
	i += len(begin)
	if *update {
		if err := os.WriteFile(path, slices.Concat(page[:i], []byte(text), page[j:]), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(page[i:j]) != text {
		t.Errorf("the table of %s differs; go test -tags stores -run %s -update rewrites it; got:\n%s", path, t.Name(), text)
	}
}
