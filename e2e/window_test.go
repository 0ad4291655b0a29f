//go:build e2e && unix

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// onlooker is a person with the window open, and with a browser for the pages of
// the local Clerk.
type onlooker struct {
	t      *testing.T
	house  *house
	script *script
}

func newOnlooker(t *testing.T, h *house) *onlooker {
	t.Helper()
	o := &onlooker{t: t, house: h, script: newScript(t, h.url(), "window.mjs", chromium(t))}
	o.open(map[string]any{})
	return o
}

func (o *onlooker) window() string { return o.house.clerk() + "/_window/" }

// open opens the window anew, with another look.
func (o *onlooker) open(look map[string]any) {
	o.t.Helper()
	look["url"] = o.window()
	o.do("open", look)
}

// do has the browser do something that must succeed.
func (o *onlooker) do(command string, input map[string]any) {
	o.t.Helper()
	see[any](o, command, input)
}

// see returns what the browser answers to a command.
func see[T any](o *onlooker, command string, input map[string]any) (value T) {
	o.t.Helper()
	if err := o.script.obey(within(o.t, stepTime), command, input, &value); err != nil {
		o.t.Fatalf("%s %v: %v", command, input, err)
	}
	return value
}

// headline waits until the newest run says so.
func (o *onlooker) headline(text string) {
	o.t.Helper()
	o.do("headline", map[string]any{"text": text})
}

func (o *onlooker) picture(name string, options map[string]any) {
	o.t.Helper()
	if options == nil {
		options = map[string]any{}
	}
	options["file"] = filepath.Join(pictures(o.t), "window-"+name+".png")
	o.do("picture", options)
}

// call starts a client of its own that calls a tool.
func (o *onlooker) call(args ...string) *program {
	o.t.Helper()
	return launch(o.t, "gatehouse call", nil, nil, nil, append([]string{gatehouse, "call", o.house.url(), "whoami"}, args...)...)
}

var authorizationLink = regexp.MustCompile(`http://localhost:\d+/oauth/authorize\?\S+`)

// arrive starts a client and follows its link to the sign-in page.
func (o *onlooker) arrive(look map[string]any) *program {
	o.t.Helper()
	client := o.call()
	link, err := client.await(within(o.t, stepTime), authorizationLink)
	if err != nil {
		o.t.Fatal(err)
	}
	look["url"] = link
	o.do("visit", look)
	return client
}

// ends waits for the end of a client.
func (o *onlooker) ends(client *program, want int, text string) {
	o.t.Helper()
	got, err := client.status(within(o.t, stepTime))
	if err != nil || got != want || !strings.Contains(client.stderr.String(), text) {
		o.t.Fatalf("client ended with %d (%v), want %d and %q in what it wrote", got, err, want, text)
	}
}

// post uses the window's API as a shell would.
func (o *onlooker) post(path, body string, header http.Header) (int, string) {
	o.t.Helper()
	req, err := http.NewRequestWithContext(within(o.t, stepTime), http.MethodPost, path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		o.t.Fatal(err)
	}
	return resp.StatusCode, text.String()
}

// TestWindow is a person's afternoon with the window: sign-ins that go well and
// others that do not, watched as they happen.
func TestWindow(t *testing.T) {
	o := newOnlooker(t, openHouse(t))
	o.picture("empty", nil)

	t.Run("sign-in with an organization", func(t *testing.T) {
		o := o.in(t)
		client := o.arrive(map[string]any{})
		o.headline("waiting for the user")
		o.picture("page-sign-in", map[string]any{"of": "visit"})
		text := see[string](o, "signIn", map[string]any{"name": "Ada Lovelace"})
		if !strings.Contains(text, "Signed in as Ada Lovelace") {
			t.Errorf("the consent page says %q, want Ada's name", text)
		}
		o.picture("page-consent", map[string]any{"of": "visit"})
		o.do("decide", map[string]any{"button": "Allow", "organization": "Bombe Works (member)"})
		o.ends(client, 0, "Bombe Works")
		o.headline("signed in as Ada Lovelace, 2 calls")
		got := see[[]string](o, "titles", nil)
		for _, want := range []string{"Sends a request without a token", "Fetches the protected resource metadata",
			"Fetches the authorization server metadata", "Opens the authorization endpoint",
			"Shows the sign-in page", "Chooses an account", "Shows the consent page to Ada Lovelace", "Allows access as Ada Lovelace",
			"Exchanges the code for an access token", "Calls the tool whoami"} {
			if !slices.Contains(got, want) {
				t.Errorf("steps are %q, want %q among them", got, want)
			}
		}
		if live := see[string](o, "live", nil); live == "" {
			t.Error("nothing was announced to screen readers")
		}
		for name, look := range looks() {
			o.open(look)
			o.headline("signed in as Ada Lovelace")
			o.picture("signed-in-"+name, nil)
		}
		o.open(map[string]any{})
	})

	t.Run("denied", func(t *testing.T) {
		o := o.in(t)
		client := o.arrive(map[string]any{"scheme": "dark", "width": 390, "height": 844})
		o.do("signIn", map[string]any{"name": "Grace Hopper"})
		o.picture("page-consent-phone-dark", map[string]any{"of": "visit"})
		to := see[string](o, "decide", map[string]any{"button": "Deny"})
		if !strings.Contains(to, "error=access_denied") {
			t.Errorf("the client got %q, want access_denied", to)
		}
		o.ends(client, 1, "error")
		o.headline("stopped at consent: the user denied consent")
	})

	t.Run("dynamic registration off", func(t *testing.T) {
		o := o.in(t)
		const setting = "Dynamic client registration"
		o.do("press", map[string]any{"role": "switch", "name": setting})
		o.do("said", map[string]any{"text": setting + " is now off"})
		o.do("turned", map[string]any{"name": setting, "on": false})
		o.ends(o.call("--user", "grace"), 1, "registration")
		o.headline("stopped at registration: dynamic registration is off")
		if why := strings.Join(see[[]string](o, "why", nil), " "); !strings.Contains(why, "Configure → OAuth applications → Settings") {
			t.Errorf("why = %q, want the switch on the Dashboard", why)
		}
		for name, look := range looks() {
			o.open(look)
			o.headline("stopped at registration")
			o.picture("registration-off-"+name, nil)
		}
		o.open(map[string]any{})
		o.do("press", map[string]any{"role": "switch", "name": setting})
		o.do("turned", map[string]any{"name": setting, "on": true})
	})

	t.Run("scope that the client does not hold", func(t *testing.T) {
		o := o.in(t)
		callback := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer callback.Close()
		_, answer := o.post(o.house.clerk()+"/oauth/register",
			fmt.Sprintf(`{"client_name":"Greedy","redirect_uris":[%q],"scope":"profile","token_endpoint_auth_method":"none"}`, callback.URL), http.Header{})
		var client struct {
			ID string `json:"client_id"`
		}
		if err := json.Unmarshal([]byte(answer), &client); err != nil || client.ID == "" {
			t.Fatalf("registration answered %q, want a client_id", answer)
		}
		query := url.Values{"client_id": {client.ID}, "redirect_uri": {callback.URL}, "response_type": {"code"}, "scope": {"openid profile"},
			"state": {"0123456789abcdef"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}}
		o.do("visit", map[string]any{"url": o.house.clerk() + "/oauth/authorize?" + query.Encode()})
		o.headline("stopped at authorization: the client is not allowed to request one of the scopes")
		if why := strings.Join(see[[]string](o, "why", nil), " "); !strings.Contains(why, "'openid'") || !strings.Contains(why, "Default scopes for dynamic clients") {
			t.Errorf("why = %q, want the scope and the setting", why)
		}
		o.picture("invalid-scope", nil)
	})

	t.Run("minted token of the wrong kind", func(t *testing.T) {
		o := o.in(t)
		o.do("section", map[string]any{"name": "Mint a token"})
		o.do("choose", map[string]any{"label": "Kind", "value": "session_token"})
		o.do("press", map[string]any{"name": "Mint"})
		token := see[string](o, "minted", nil)
		o.picture("minted", nil)
		status, _ := o.post(o.house.url(), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, http.Header{"Authorization": {"Bearer " + token}})
		if status != http.StatusUnauthorized {
			t.Errorf("the server answered %d, want 401", status)
		}
		o.headline("stopped at a call: this is a session token, not an OAuth access token")
		details := strings.Join(see[[]string](o, "details", nil), "\n")
		o.picture("wrong-kind", nil)
		if !strings.Contains(details, `"sts": "active"`) || strings.Contains(details, token) {
			t.Errorf("details are %q, want the token's claims and not the token", details)
		}
		o.do("close", nil)
	})

	t.Run("outage", func(t *testing.T) {
		o := o.in(t)
		o.do("press", map[string]any{"name": "Outage (503)"})
		o.do("said", map[string]any{"text": "Clerk answers 503"})
		o.ends(o.call("--user", "alan"), 1, "error")
		o.headline("Clerk has an outage")
		o.picture("outage", nil)
		o.do("press", map[string]any{"name": "Outage (503)"})
		o.do("said", map[string]any{"text": "works again"})
		o.ends(o.call("--user", "alan"), 0, "Alan Turing")
		o.headline("signed in as Alan Turing")
	})

	t.Run("from elsewhere", func(t *testing.T) {
		o := o.in(t)
		api := o.window() + "api/settings"
		if status, body := o.post(api, `{}`, http.Header{"Origin": {"https://evil.example"}}); status != http.StatusForbidden {
			t.Errorf("a foreign origin: got %d %s, want 403", status, body)
		}
		if status, body := o.post(api, `{}`, http.Header{}); status != http.StatusOK {
			t.Errorf("control: got %d %s, want 200", status, body)
		}
	})

	t.Run("for everybody", func(t *testing.T) {
		o := o.in(t)
		if got := see[map[string]string](o, "keyboard", nil); got["opened"] != "true" || got["closed"] != "false" {
			t.Errorf("keys opened and closed the first step as %v, want true and false", got)
		}
		if got := see[[]string](o, "unnamed", nil); len(got) > 0 {
			t.Errorf("controls without a name: %q", got)
		}
		for name, look := range looks() {
			o.open(look)
			o.headline("signed in")
			o.do("details", nil)
			if see[bool](o, "overflows", nil) {
				t.Errorf("%s: the page is wider than the window", name)
			}
		}
		if got := regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.|oat_[A-Za-z0-9]{12}`).FindString(see[string](o, "text", nil)); got != "" {
			t.Errorf("the page has %q in it, which looks like a token", got)
		}
		if got := see[[]string](o, "complaints", nil); len(got) > 0 {
			t.Errorf("the browser complains: %q", got)
		}
	})
}

// in is o in a subtest.
func (o *onlooker) in(t *testing.T) *onlooker {
	return &onlooker{t: t, house: o.house, script: o.script}
}

func looks() map[string]map[string]any {
	return map[string]map[string]any{
		"light": {},
		"dark":  {"scheme": "dark"},
		"phone": {"width": 390, "height": 844},
	}
}

// TestWindowBesideACommand has the window in front of a program of its own, which
// learns of its public URL from the environment.
func TestWindowBesideACommand(t *testing.T) {
	o := newOnlooker(t, openHouse(t, exampleClerk))
	o.ends(o.call("--user", "grace"), 0, "Grace Hopper")
	o.headline("signed in as Grace Hopper")
	if got := see[[]string](o, "runs", nil); len(got) == 0 {
		t.Error("got no runs")
	}
}

// BenchmarkWindowStart starts "gatehouse dev" and opens the window. It reports the
// median time from the start of the process to the whole page, and the median
// of the memory that is then resident.
func BenchmarkWindowStart(b *testing.B) {
	var times, sizes []float64
	for b.Loop() {
		port, clerkPort := strconv.Itoa(freePort(b)), strconv.Itoa(freePort(b))
		page := "http://127.0.0.1:" + clerkPort + "/_window/"
		began := time.Now()
		dev := launch(b, "gatehouse dev", nil, nil, nil, gatehouse, "dev", "--quiet", "--port", port, "--clerk-port", clerkPort)
		ctx := within(b, stepTime)
		for {
			if resp, err := http.Get(page); err == nil {
				resp.Body.Close()
				break
			}
			if ctx.Err() != nil {
				b.Fatal("the window has not opened")
			}
			time.Sleep(time.Millisecond)
		}
		times = append(times, float64(time.Since(began).Milliseconds()))
		if size, ok := resident(dev.cmd.Process.Pid); ok {
			sizes = append(sizes, size)
		}
		dev.kill()
	}
	b.ReportMetric(median(times), "ms/start")
	b.ReportMetric(0, "ns/op")
	if len(sizes) > 0 {
		b.ReportMetric(median(sizes), "MB-resident")
	}
}

// resident is the memory of a process in megabytes, where Linux tells it.
func resident(pid int) (float64, bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		return 0, false
	}
	kilobytes, err := strconv.ParseFloat(string(m[1]), 64)
	return kilobytes * 1024 / 1e6, err == nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
