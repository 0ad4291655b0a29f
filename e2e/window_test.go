//go:build e2e && unix

package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
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

var update = flag.Bool("update", false, "write docs/images/window.png")

// windowUser uses the window, and the pages of the local Clerk, in a browser.
type windowUser struct {
	t      *testing.T
	server *devServer
	script *script
}

func newWindowUser(t *testing.T, dev *devServer) *windowUser {
	t.Helper()
	o := &windowUser{t: t, server: dev, script: newScript(t, dev.url(), "window.mjs", chromium(t))}
	o.open(map[string]any{})
	return o
}

func (o *windowUser) window() string { return o.server.clerk() + "/_window/" }

// open opens the window again, with other options of the browser.
func (o *windowUser) open(options map[string]any) {
	o.t.Helper()
	options["url"] = o.window()
	o.do("open", options)
}

// do runs a command of the script, which must succeed.
func (o *windowUser) do(command string, input map[string]any) {
	o.t.Helper()
	query[any](o, command, input)
}

// query runs a command of the script, and returns its result.
func query[T any](o *windowUser, command string, input map[string]any) (value T) {
	o.t.Helper()
	if err := o.script.command(within(o.t, stepTime), command, input, &value); err != nil {
		o.t.Fatalf("%s %v: %v", command, input, err)
	}
	return value
}

// headline waits until the headline of the newest run contains text.
func (o *windowUser) headline(text string) {
	o.t.Helper()
	o.do("headline", map[string]any{"text": text})
}

// screenshot saves a screenshot of the window, or of the page that options name.
func (o *windowUser) screenshot(name string, options map[string]any) {
	o.t.Helper()
	if options == nil {
		options = map[string]any{}
	}
	options["file"] = filepath.Join(screenshots(o.t), "window-"+name+".png")
	o.do("screenshot", options)
}

// call starts "gatehouse call", which calls a tool.
func (o *windowUser) call(args ...string) *program {
	o.t.Helper()
	argv := append([]string{gatehouseProgram, "call", o.server.url(), "whoami"}, args...)
	return launch(o.t, callName, nil, nil, nil, argv...)
}

var authorizationLink = regexp.MustCompile(`http://localhost:\d+/oauth/authorize\?\S+`)

// callAndVisit starts "gatehouse call" and opens its link to the sign-in page.
func (o *windowUser) callAndVisit(options map[string]any) *program {
	o.t.Helper()
	client := o.call()
	link, err := client.await(within(o.t, stepTime), authorizationLink)
	if err != nil {
		o.t.Fatal(err)
	}
	options["url"] = link
	o.do("visit", options)
	return client
}

// wantEnd waits for the end of a client, and checks its exit status and its output.
func (o *windowUser) wantEnd(client *program, want int, text string) {
	o.t.Helper()
	got, err := client.status(within(o.t, stepTime))
	if err != nil || got != want || !strings.Contains(client.stderr.String(), text) {
		o.t.Fatalf("client ended with %d (%v), want %d and %q in its output", got, err, want, text)
	}
}

// post sends a POST, as a program that is not a browser would.
func (o *windowUser) post(path, body string, header http.Header) (int, string) {
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

// register registers a client that has nothing but a name.
func (o *windowUser) register(name string) {
	o.t.Helper()
	metadata := fmt.Sprintf(`{"client_name":%q,"redirect_uris":["http://127.0.0.1:1/callback"]}`, name)
	status, answer := o.post(o.server.clerk()+"/oauth/register", metadata, http.Header{"User-Agent": {name}})
	if status != http.StatusCreated {
		o.t.Fatalf("registering %q: got %d %s, want 201", name, status, answer)
	}
}

// TestWindow runs sign-ins that succeed and others that fail, and checks that the window
// shows them as they happen.
func TestWindow(t *testing.T) {
	o := newWindowUser(t, startDev(t))
	o.screenshot("empty", nil)
	for _, test := range []struct {
		name string
		run  func(t *testing.T, o *windowUser)
	}{
		{"sign-in with an organization", testWindowSignIn},
		{"check of the set-up", testWindowCheck},
		{"denied", testWindowDenied},
		{"dynamic registration off", testWindowRegistrationOff},
		{"organizations off", testWindowOrganizationsOff},
		{"scope that the client does not hold", testWindowInvalidScope},
		{"minted token of the wrong kind", testWindowTokenOfTheWrongKind},
		{"outage", testWindowOutage},
		{"foreign origin", testWindowForeignOrigin},
		{"addresses in a browser", testWindowAddresses},
		{"long client name", testWindowLongName},
		{"accessibility", testWindowAccessibility},
		{"filter and clear", testWindowFilter},
		{"press during an update", testWindowPressDuringUpdate},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, o.in(t)) })
	}
}

func testWindowSignIn(t *testing.T, o *windowUser) {
	client := o.callAndVisit(map[string]any{})
	o.headline("waiting for the user")
	o.screenshot("page-sign-in", map[string]any{"of": "visit"})
	text := query[string](o, "signIn", map[string]any{"name": "Ada Lovelace"})
	if !strings.Contains(text, "Signed in as Ada Lovelace") {
		t.Errorf("the consent page says %q, want Ada's name", text)
	}
	o.screenshot("page-consent", map[string]any{"of": "visit"})
	o.do("consent", map[string]any{"button": "Allow", "organization": "Bombe Works (member)"})
	o.wantEnd(client, 0, "Bombe Works")
	o.headline("signed in as Ada Lovelace, 2 calls")
	for _, title := range []string{
		"Calls without a token",
		"Fetches resource metadata",
		"Fetches authorization server metadata",
		"Opens the authorization endpoint",
		"Shows the sign-in page",
		"Chooses an account",
		"Shows the consent page to Ada Lovelace",
		"Allows access as Ada Lovelace",
		"Exchanges the code for an access token",
		"Calls the tool whoami",
	} {
		o.do("waitForTitle", map[string]any{"title": title})
	}
	if live := query[string](o, "announcement", nil); live == "" {
		t.Error("nothing was announced to screen readers")
	}
	for name, options := range displays() {
		o.open(options)
		o.headline("signed in as Ada Lovelace")
		o.screenshot("signed-in-"+name, nil)
	}
	o.open(map[string]any{})
}

// windowCheck is what the page shows after a check.
type windowCheck struct {
	Summary  string   `json:"summary"`
	Focused  bool     `json:"focused"`
	Headings []string `json:"headings"`
	Problems []string `json:"problems"`
	Verdicts []string `json:"verdicts"`
}

// testWindowCheck checks the set-up without a problem, and with registration off. The requests of the
// checks are not steps.
func testWindowCheck(t *testing.T, o *windowUser) {
	const setting = "Dynamic client registration"
	before := query[[]string](o, "allTitles", nil)
	healthy := query[windowCheck](o, "check", nil)
	if !strings.HasPrefix(healthy.Summary, "No problem found; ") || len(healthy.Problems) > 0 || !healthy.Focused {
		t.Errorf("got %+v, want no problem, and the focus on the button", healthy)
	}
	if verdicts := strings.Join(healthy.Verdicts, "\n"); !strings.Contains(verdicts, "will sign in") || !strings.Contains(verdicts, "Claude Code") {
		t.Errorf("verdicts are %q", verdicts)
	}
	o.do("press", map[string]any{"role": "switch", "name": setting, "result": setting + " is now off"})
	o.do("waitForSummary", map[string]any{"text": "have changed since then"})
	for name, options := range displays() {
		o.open(options)
		o.do("waitForSwitch", map[string]any{"name": setting, "on": false})
		broken := query[windowCheck](o, "check", nil)
		if !strings.HasPrefix(broken.Summary, "1 fault; ") || len(broken.Headings) != 1 || broken.Headings[0] != "First fix this" {
			t.Fatalf("%s: got %+v, want one fault, to be fixed first", name, broken)
		}
		for _, want := range []string{"fault", "Clerk does not let clients register", "registration_endpoint", "stops before the sign-in",
			"Configure → OAuth applications → Settings", "On this page: turn on “" + setting + "”"} {
			if !strings.Contains(broken.Problems[0], want) {
				t.Errorf("%s: the problem is %q, want %q in it", name, broken.Problems[0], want)
			}
		}
		if query[bool](o, "overflows", nil) {
			t.Errorf("%s: the page is wider than the viewport", name)
		}
		if got := query[[]string](o, "unnamedControls", nil); len(got) > 0 {
			t.Errorf("%s: controls without a name: %q", name, got)
		}
		o.screenshot("check-"+name, map[string]any{"full": true})
	}
	if !query[bool](o, "hideCheck", nil) {
		t.Error("after Hide, the button does not have the focus")
	}
	o.open(map[string]any{})
	o.do("press", map[string]any{"role": "switch", "name": setting})
	o.do("waitForSwitch", map[string]any{"name": setting, "on": true})
	if after := query[[]string](o, "allTitles", nil); !slices.Equal(before, after) {
		t.Errorf("after the checks the steps are %q, want %q", after, before)
	}
}

func testWindowDenied(t *testing.T, o *windowUser) {
	client := o.callAndVisit(map[string]any{"scheme": "dark", "width": 390, "height": 844})
	o.do("signIn", map[string]any{"name": "Grace Hopper"})
	o.screenshot("page-consent-phone-dark", map[string]any{"of": "visit"})
	to := query[string](o, "consent", map[string]any{"button": "Deny"})
	if !strings.Contains(to, "error=access_denied") {
		t.Errorf("the client got %q, want access_denied", to)
	}
	o.wantEnd(client, 1, "error")
	o.headline("stopped at consent: the user denied consent")
}

func testWindowRegistrationOff(t *testing.T, o *windowUser) {
	const setting = "Dynamic client registration"
	o.do("press", map[string]any{"role": "switch", "name": setting, "result": setting + " is now off"})
	o.do("waitForSwitch", map[string]any{"name": setting, "on": false})
	o.wantEnd(o.call("--user", "grace"), 1, "registration")
	o.headline("stopped at registration: Clerk does not let clients register")
	why := strings.Join(query[[]string](o, "why", nil), " ")
	if !strings.Contains(why, "Configure → OAuth applications → Settings") {
		t.Errorf("why = %q, want the setting on the Dashboard", why)
	}
	for name, options := range displays() {
		o.open(options)
		o.headline("stopped at registration")
		o.screenshot("registration-off-"+name, nil)
	}
	o.open(map[string]any{})
	o.do("press", map[string]any{"role": "switch", "name": setting})
	o.do("waitForSwitch", map[string]any{"name": setting, "on": true})
}

// testWindowOrganizationsOff turns organizations off, and on again. Without them, their scope does
// not exist. It is a default scope, and the server asks for it.
func testWindowOrganizationsOff(t *testing.T, o *windowUser) {
	const setting = "Organizations"
	o.do("press", map[string]any{"role": "switch", "name": setting, "result": setting + " is now off"})
	o.do("waitForSwitch", map[string]any{"name": setting, "on": false})
	o.wantEnd(o.call("--user", "grace"), 1, "does not support the scope 'user:org:read'")
	o.headline("stopped at registration")
	o.do("press", map[string]any{"role": "switch", "name": setting, "result": setting + " is now on"})
	o.do("waitForSwitch", map[string]any{"name": setting, "on": true})
	o.wantEnd(o.call("--user", "grace"), 0, "Grace Hopper")
}

func testWindowInvalidScope(t *testing.T, o *windowUser) {
	callback := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer callback.Close()
	const metadata = `{"client_name":"Greedy","redirect_uris":[%q],"scope":"profile","token_endpoint_auth_method":"none"}`
	registration := fmt.Sprintf(metadata, callback.URL)
	_, answer := o.post(o.server.clerk()+"/oauth/register", registration, http.Header{})
	var client struct {
		ID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(answer), &client); err != nil || client.ID == "" {
		t.Fatalf("registration answered %q, want a client_id", answer)
	}
	params := url.Values{
		"client_id":             {client.ID},
		"redirect_uri":          {callback.URL},
		"response_type":         {"code"},
		"scope":                 {"openid profile"},
		"state":                 {"0123456789abcdef"},
		"code_challenge":        {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
		"code_challenge_method": {"S256"},
	}
	o.do("visit", map[string]any{"url": o.server.clerk() + "/oauth/authorize?" + params.Encode()})
	o.headline("stopped at authorization: the client may not ask for a scope that the server wants")
	why := strings.Join(query[[]string](o, "why", nil), " ")
	if !strings.Contains(why, "'openid'") || !strings.Contains(why, "Default scopes for dynamic clients") {
		t.Errorf("why = %q, want the scope and the setting", why)
	}
	o.screenshot("invalid-scope", nil)
}

func testWindowTokenOfTheWrongKind(t *testing.T, o *windowUser) {
	o.do("openSection", map[string]any{"name": "Mint a token"})
	o.do("choose", map[string]any{"label": "Kind", "value": "session_token"})
	o.do("press", map[string]any{"name": "Mint"})
	token := query[string](o, "mintedToken", nil)
	o.screenshot("minted", nil)
	header := http.Header{"Authorization": {"Bearer " + token}}
	status, _ := o.post(o.server.url(), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, header)
	if status != http.StatusUnauthorized {
		t.Errorf("the server answered %d, want 401", status)
	}
	o.headline("stopped at a call: this is a session token, not an OAuth access token")
	details := strings.Join(query[[]string](o, "openSteps", nil), "\n")
	o.screenshot("wrong-kind", nil)
	if !strings.Contains(details, `"sts": "active"`) || strings.Contains(details, token) {
		t.Errorf("details are %q, want the token's claims and not the token", details)
	}
	o.do("closeSteps", nil)
}

func testWindowOutage(t *testing.T, o *windowUser) {
	const fault = "Outage (503)"
	o.do("press", map[string]any{"name": fault, "result": "Clerk answers 503"})
	o.do("waitForFault", map[string]any{"name": fault, "on": true})
	o.wantEnd(o.call("--user", "alan"), 1, "error")
	o.headline("Clerk has an outage")
	o.screenshot("outage", nil)
	o.do("press", map[string]any{"name": fault, "result": "works again"})
	o.do("waitForFault", map[string]any{"name": fault, "on": false})
	o.wantEnd(o.call("--user", "alan"), 0, "Alan Turing")
	o.headline("signed in as Alan Turing")
}

func testWindowForeignOrigin(t *testing.T, o *windowUser) {
	api := o.window() + "api/settings"
	if status, body := o.post(api, `{}`, http.Header{"Origin": {"https://evil.example"}}); status != http.StatusForbidden {
		t.Errorf("a foreign origin: got %d %s, want 403", status, body)
	}
	if status, body := o.post(api, `{}`, http.Header{}); status != http.StatusOK {
		t.Errorf("control: got %d %s, want 200", status, body)
	}
}

// testWindowAddresses opens the addresses that "gatehouse dev" prints in a browser.
func testWindowAddresses(t *testing.T, o *windowUser) {
	if got := query[string](o, "address", map[string]any{"url": o.server.clerk()}); got != o.window() {
		t.Errorf("the address of the local Clerk leads to %q, want the window at %q", got, o.window())
	}
	o.do("address", map[string]any{"url": o.server.url()})
	o.headline("opened the landing page")
	titles := query[[]string](o, "titles", nil)
	if !slices.Contains(titles, "Opens the landing page") || slices.Contains(titles, "Sends another request") {
		t.Errorf("steps are %q, want the landing page and nothing else", titles)
	}
}

// longName begins the name of the client that testWindowLongName registers.
const longName = "A client with a long name "

// testWindowLongName registers a client with a long name, which does not sign in.
func testWindowLongName(t *testing.T, o *windowUser) {
	o.register(strings.Repeat(longName, 8))
	for display, options := range displays() {
		o.open(options)
		o.do("client", map[string]any{"text": longName})
		o.screenshot("long-name-"+display, nil)
		if got := query[[]string](o, "overlaps", nil); len(got) > 0 {
			t.Errorf("%s: these parts of the heading overlap: %q", display, got)
		}
		if got := query[[]string](o, "innerScroll", nil); len(got) > 0 {
			t.Errorf("%s: these parts scroll inside the page: %q", display, got)
		}
	}
	o.open(map[string]any{})
}

func testWindowFilter(t *testing.T, o *windowUser) {
	all := query[[]string](o, "filter", map[string]any{"text": ""})
	some := query[[]string](o, "filter", map[string]any{"text": "greedy"})
	if len(some) == 0 || len(some) >= len(all) || slices.ContainsFunc(some, func(name string) bool { return name != "Greedy" }) {
		t.Errorf("the filter shows %q of %q, want Greedy alone", some, all)
	}
	o.screenshot("filter", nil)
	o.do("filter", map[string]any{"text": ""})
	o.do("clear", nil)
	o.wantEnd(o.call("--user", "ada"), 0, "Ada Lovelace")
	o.headline("signed in as Ada Lovelace")
}

// testWindowPressDuringUpdate presses a switch, and releases it after the page has shown something
// new: an update must not replace the control that is being pressed.
func testWindowPressDuringUpdate(t *testing.T, o *windowUser) {
	const setting, client = "Dynamic client registration", "Registers meanwhile"
	o.open(map[string]any{})
	o.do("waitForSwitch", map[string]any{"name": setting, "on": true})
	o.do("hold", map[string]any{"role": "switch", "name": setting})
	o.register(client)
	o.do("waitForClient", map[string]any{"name": client})
	o.do("release", nil)
	o.do("waitForSwitch", map[string]any{"name": setting, "on": false})
}

func testWindowAccessibility(t *testing.T, o *windowUser) {
	if got := query[map[string]string](o, "toggleByKeyboard", nil); got["opened"] != "true" || got["closed"] != "false" {
		t.Errorf("after the keys to open and to close the first step, expanded is %v, want true and false", got)
	}
	if got := query[[]string](o, "unnamedControls", nil); len(got) > 0 {
		t.Errorf("controls without a name: %q", got)
	}
	for name, options := range displays() {
		o.open(options)
		o.do("client", map[string]any{"text": longName})
		o.do("openSteps", nil)
		if query[bool](o, "overflows", nil) {
			t.Errorf("%s: the page is wider than the viewport", name)
		}
	}
	token := regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.|oat_[A-Za-z0-9]{12}`)
	if got := token.FindString(query[string](o, "html", nil)); got != "" {
		t.Errorf("the page contains %q, which looks like a token", got)
	}
	if got := query[[]string](o, "browserErrors", nil); len(got) > 0 {
		t.Errorf("the browser reports %q", got)
	}
}

// in returns o for use in a subtest.
func (o *windowUser) in(t *testing.T) *windowUser {
	return &windowUser{t: t, server: o.server, script: o.script}
}

// displays returns the options of the browser under which the window must look right.
func displays() map[string]map[string]any {
	return map[string]map[string]any{
		"light": {},
		"dark":  {"scheme": "dark"},
		"phone": {"width": 390, "height": 844},
	}
}

// TestWindowWithCommand runs the window with a server of its own, which gets its public URL
// from the environment.
func TestWindowWithCommand(t *testing.T) {
	o := newWindowUser(t, startDev(t, exampleClerk))
	o.wantEnd(o.call("--user", "grace"), 0, "Grace Hopper")
	o.headline("signed in as Grace Hopper")
	if got := query[[]string](o, "runs", nil); len(got) == 0 {
		t.Error("got no runs")
	}
	if got := query[windowCheck](o, "check", nil); !strings.HasPrefix(got.Summary, "No problem found; ") {
		t.Errorf("got %+v, want no problem", got)
	}
}

// TestWindowPicture makes the picture of the README: a sign-in with a call, of which one
// step is open. With -update it replaces the picture.
func TestWindowPicture(t *testing.T) {
	const maxBytes = 200 << 10
	dev := &devServer{t: t, port: freePort(t), clerkPort: freePort(t)}
	if *update && portIsFree(3000, "127.0.0.1", "::1") && portIsFree(4000, "127.0.0.1", "::1") {
		dev.port, dev.clerkPort = 3000, 4000 // the default ports
	}
	dev.start()
	o := newWindowUser(t, dev)
	s := newGoSession(t, dev.url(), "2026-07-28")
	signInAda(t, s)
	o.open(map[string]any{"width": 1440, "height": 900, "scale": 8.0 / 9}) // makes 1280 by 800 pixels
	o.headline("signed in as Ada Lovelace")
	o.do("openStep", map[string]any{"title": "Calls the tool whoami"})
	file := filepath.Join(screenshots(t), "window.png")
	o.do("screenshot", map[string]any{"file": file})
	picture, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(picture) > maxBytes {
		t.Errorf("the picture has %d bytes, want at most %d", len(picture), maxBytes)
	}
	if !*update {
		return
	}
	images := filepath.Join(repository, "docs", "images")
	if err := os.MkdirAll(images, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(images, "window.png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkWindowStart starts "gatehouse dev" and opens the window. It reports the median
// time from the start of the process to the complete page, and the median of the resident
// memory at that time.
func BenchmarkWindowStart(b *testing.B) {
	var times, sizes []float64
	for b.Loop() {
		port, clerkPort := strconv.Itoa(freePort(b)), strconv.Itoa(freePort(b))
		page := "http://127.0.0.1:" + clerkPort + "/_window/"
		began := time.Now()
		dev := launch(b, devName, nil, nil, nil, gatehouseProgram, "dev", "--quiet", "--port", port, "--clerk-port", clerkPort)
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

// resident returns the resident memory of a process in megabytes, on Linux only.
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
