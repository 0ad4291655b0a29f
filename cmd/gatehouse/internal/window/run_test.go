package window

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// runStep is what runs.add reads of a step and its owner.
type runStep struct {
	at   time.Duration
	kind kind
	owner
	outcome Outcome
	from    Party
	title   string
}

// TestRuns adds steps of several clients and checks to which run each is assigned.
func TestRuns(t *testing.T) {
	t.Parallel()
	const browser = "Mozilla/5.0"
	signIn := func(at time.Duration, agent, id string) []runStep {
		return []runStep{
			{at: at, kind: kindChallenge, owner: owner{userAgent: agent}},
			{at: at + 1, kind: kindResource, owner: owner{userAgent: agent}},
			{at: at + 2, kind: kindRegistration, owner: owner{userAgent: agent, clientID: id}},
			{at: at + 3, kind: kindAuthorization, owner: owner{userAgent: browser, clientID: id, fromBrowser: true}},
			{at: at + 4, kind: kindToken, owner: owner{userAgent: agent, clientID: id, user: "Ada"}},
			{at: at + 5, kind: kindCall, owner: owner{userAgent: agent, clientID: id, user: "Ada"}},
		}
	}
	alternate := func(a, b []runStep) (both []runStep) {
		for i := range a {
			both = append(both, a[i], b[i])
		}
		return both
	}
	for _, test := range []struct {
		name      string
		steps     []runStep
		want      []uint64
		headlines []string
	}{
		{"one client", signIn(0, "a", "1"), []uint64{1, 1, 1, 1, 1, 1}, []string{"signed in as Ada, 1 call"}},
		{"two clients at once", alternate(signIn(0, "a", "1"), signIn(0, "b", "2")),
			[]uint64{1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2}, []string{"signed in as Ada, 1 call", "signed in as Ada, 1 call"}},
		{"two clients with one User-Agent, one after the other", append(signIn(0, "a", "1"), signIn(time.Second, "a", "2")...),
			[]uint64{1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2}, []string{"signed in as Ada, 1 call", "signed in as Ada, 1 call"}},
		{"another sign-in of one client ID", append(signIn(0, "a", "1"),
			runStep{at: time.Minute, kind: kindChallenge, owner: owner{userAgent: "a"}},
			runStep{at: time.Minute + 1, kind: kindAuthorization, owner: owner{userAgent: browser, clientID: "1", fromBrowser: true}},
			runStep{at: time.Minute + 2, kind: kindToken, owner: owner{userAgent: "a", clientID: "1", user: "Grace"}}),
			[]uint64{1, 1, 1, 1, 1, 1, 2, 2, 2}, []string{"signed in as Ada, 1 call", "signed in as Grace"}},
		{"calls long after", append(signIn(0, "a", "1"),
			runStep{at: 2 * idleTime, kind: kindCall, owner: owner{userAgent: "a", clientID: "1", user: "Ada"}}),
			[]uint64{1, 1, 1, 1, 1, 1, 2}, []string{"signed in as Ada, 1 call", "signed in as Ada, 1 call"}},
		{"a failure and a retry", []runStep{
			{kind: kindChallenge, owner: owner{userAgent: "a"}},
			{at: 1, kind: kindRegistration, owner: owner{userAgent: "a"}, outcome: Failed},
			{at: 2, kind: kindChallenge, owner: owner{userAgent: "a"}},
		}, []uint64{1, 1, 1}, []string{"stopped at registration: status 0"}},
		{"a retry after a denial", []runStep{
			{kind: kindRegistration, owner: owner{userAgent: "a", clientID: "1"}},
			{at: 1, kind: kindDecision, owner: owner{userAgent: browser, clientID: "1", fromBrowser: true}, outcome: Failed},
			{at: 2, kind: kindChallenge, owner: owner{userAgent: "a"}},
		}, []uint64{1, 1, 1}, []string{"stopped at consent: status 0"}},
		{"discovery again after a denial", []runStep{
			{kind: kindRegistration, owner: owner{userAgent: "a", clientID: "1"}},
			{at: 1, kind: kindDecision, owner: owner{userAgent: browser, clientID: "1", fromBrowser: true}, outcome: Failed},
			{at: 2, kind: kindResource, owner: owner{userAgent: "a"}},
			{at: 3, kind: kindMetadata, owner: owner{userAgent: "a"}},
		}, []uint64{1, 1, 1, 1}, []string{"stopped at consent: status 0"}},
		{"another attempt of the same client after a denial", []runStep{
			{kind: kindRegistration, owner: owner{userAgent: "a", clientID: "1", client: "Cursor"}},
			{at: 1, kind: kindDecision, owner: owner{userAgent: browser, clientID: "1", fromBrowser: true}, outcome: Failed},
			{at: 2, kind: kindAuthorization, owner: owner{userAgent: browser, clientID: "1", fromBrowser: true, transaction: "t"}},
			{at: 3, kind: kindPage, owner: owner{userAgent: browser, clientID: "1", fromBrowser: true, transaction: "t"}},
			{at: 4, kind: kindToken, owner: owner{userAgent: "a", clientID: "1", user: "Ada"}},
		}, []uint64{1, 1, 2, 2, 2}, []string{"stopped at consent: status 0", "signed in as Ada"}},
		{"more scopes after a call", []runStep{
			{kind: kindCall, owner: owner{userAgent: "a", clientID: "1"}, outcome: Failed},
			{at: 1, kind: kindAuthorization, owner: owner{userAgent: browser, clientID: "1", fromBrowser: true}},
		}, []uint64{1, 1}, []string{kinds[kindAuthorization].progress}},
		{"no User-Agent on discovery", []runStep{
			{kind: kindChallenge, owner: owner{userAgent: "python-httpx/0.28"}},
			{at: 1, kind: kindResource, owner: owner{}},
			{at: 2, kind: kindMetadata, owner: owner{}},
			{at: 3, kind: kindRegistration, owner: owner{clientID: "1"}},
			{at: 4, kind: kindToken, owner: owner{clientID: "1", user: "Ada"}},
			{at: 5, kind: kindCall, owner: owner{userAgent: "python-httpx/0.28", clientID: "1", user: "Ada"}},
			{at: time.Second, kind: kindChallenge, owner: owner{userAgent: "python-httpx/0.28"}},
			{at: time.Second + 1, kind: kindResource, owner: owner{}},
			{at: time.Second + 2, kind: kindRegistration, owner: owner{clientID: "2"}},
		}, []uint64{1, 1, 1, 1, 1, 1, 2, 2, 2}, []string{"signed in as Ada, 1 call", "registered, about to sign in"}},
		{"another User-Agent on discovery", []runStep{
			{kind: kindChallenge, owner: owner{userAgent: "a"}},
			{at: 1, kind: kindResource, owner: owner{userAgent: "library"}},
			{at: 2, kind: kindMetadata, owner: owner{userAgent: "library"}},
			{at: 3, kind: kindChallenge, owner: owner{userAgent: "b"}},
		}, []uint64{1, 1, 1, 2}, []string{"finding the authorization server", "asked to sign in"}},
		{"control: another User-Agent, and two clients wait", []runStep{
			{kind: kindChallenge, owner: owner{userAgent: "a"}},
			{at: 1, kind: kindChallenge, owner: owner{userAgent: "b"}},
			{at: 2, kind: kindResource, owner: owner{userAgent: "library"}},
		}, []uint64{1, 2, 3}, []string{"asked to sign in", "asked to sign in", "finding the authorization server"}},
		{"pages of two clients", []runStep{
			{kind: kindRegistration, owner: owner{userAgent: "a", clientID: "1"}},
			{at: 1, kind: kindAuthorization, owner: owner{userAgent: browser, clientID: "1", fromBrowser: true, transaction: "t1"}},
			{at: 2, kind: kindRegistration, owner: owner{userAgent: "b", clientID: "2"}},
			{at: 3, kind: kindAuthorization, owner: owner{userAgent: browser, clientID: "2", fromBrowser: true, transaction: "t2"}},
			{at: 4, kind: kindDecision, owner: owner{userAgent: browser, fromBrowser: true, transaction: "t1"}, title: "Chooses"},
		}, []uint64{1, 1, 2, 2, 1}, []string{"chooses; returning to the client", kinds[kindAuthorization].progress}},
		{"a call without a live run", []runStep{
			{kind: kindKeys, owner: owner{userAgent: "gatehouse", fromServer: true}, from: Server},
			{at: time.Minute, kind: kindUserInfo, owner: owner{userAgent: "gatehouse", clientID: "1", fromServer: true}, from: Server},
			{at: time.Minute + 1, kind: kindCall, owner: owner{userAgent: "a", clientID: "1", user: "Ada"}},
			{at: time.Minute + 2*idleTime, kind: kindUserInfo, owner: owner{clientID: "1", fromServer: true}, from: Server},
			{at: time.Minute + 2*idleTime + 1, kind: kindCall, owner: owner{userAgent: "a", clientID: "1", user: "Ada"}},
		}, []uint64{1, 2, 2, 3, 3}, []string{"connected to Clerk", "signed in as Ada, 1 call", "signed in as Ada, 1 call"}},
		{"a browser at the landing page", []runStep{
			{kind: kindLanding, owner: owner{userAgent: browser, landing: true}},
			{at: 1, kind: kindChallenge, owner: owner{userAgent: browser}},
			{at: 2, kind: kindLanding, owner: owner{userAgent: browser, landing: true}},
		}, []uint64{1, 2, 1}, []string{"opened the landing page", "asked to sign in"}},
		{"a failure and a new sign-in", []runStep{
			{kind: kindRegistration, owner: owner{userAgent: "a"}, outcome: Failed},
			{at: 2 * retryTime, kind: kindChallenge, owner: owner{userAgent: "a"}},
		}, []uint64{1, 2}, []string{"stopped at registration: status 0", "asked to sign in"}},
		{"another client with the same User-Agent after a failure", []runStep{
			{kind: kindChallenge, owner: owner{userAgent: "a"}},
			{at: 1, kind: kindMetadata, owner: owner{userAgent: "a"}, outcome: Failed},
			{at: 2 * retryTime, kind: kindRegistration, owner: owner{userAgent: "a", clientID: "2"}},
		}, []uint64{1, 1, 2}, []string{"stopped at discovery: status 0", "registered, about to sign in"}},
		{"a call of another client with the same User-Agent after a failure", []runStep{
			{kind: kindChallenge, owner: owner{userAgent: "a"}},
			{at: 1, kind: kindMetadata, owner: owner{userAgent: "a"}, outcome: Failed},
			{at: 2 * retryTime, kind: kindCall, owner: owner{userAgent: "a", clientID: "2", user: "Ada"}},
		}, []uint64{1, 1, 2}, []string{"stopped at discovery: status 0", "signed in as Ada, 1 call"}},
		{"the server's own requests", []runStep{
			{kind: kindKeys, owner: owner{userAgent: "gatehouse", fromServer: true}, from: Server},
			{at: time.Minute, kind: kindChallenge, owner: owner{userAgent: "a"}},
			{at: time.Minute + 1, kind: kindKeys, owner: owner{userAgent: "gatehouse", fromServer: true}, from: Server},
			{at: time.Hour, kind: kindKeys, owner: owner{userAgent: "gatehouse", fromServer: true}, from: Server},
		}, []uint64{1, 2, 2, 1}, []string{"connected to Clerk", "asked to sign in"}},
		{"a session without a token", []runStep{
			{kind: kindCall, owner: owner{userAgent: "a", clientID: "1", session: "s", user: "Ada"}},
			{at: 2 * discoveryTime, kind: kindStream, owner: owner{userAgent: "a", session: "s"}},
			{at: 2*discoveryTime + 1, kind: kindCall, owner: owner{userAgent: "b", clientID: "2", session: "s", user: "Mallory"}},
		}, []uint64{1, 1, 2}, []string{"signed in as Ada, 1 call", "signed in as Mallory, 1 call"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var a runs
			var got []uint64
			start := time.Now()
			for _, s := range test.steps {
				if s.outcome == "" {
					s.outcome = Succeeded
				}
				got = append(got, a.add(Step{Time: start.Add(s.at), Kind: s.kind, Outcome: s.outcome, From: s.from, Title: s.title}, s.owner).ID)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
			var headlines []string
			for _, r := range a.list {
				headlines = append(headlines, r.Headline)
			}
			if diff := cmp.Diff(test.headlines, headlines); diff != "" {
				t.Errorf("headlines (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnfinishedSignIns waits after each step of a sign-in.
func TestUnfinishedSignIns(t *testing.T) {
	t.Parallel()
	const prefix = "sign-in not finished: "
	for _, test := range []struct {
		name string
		kind kind
		wait time.Duration
		want string // end of the headline; empty if it does not change
	}{
		{"after the 401", kindChallenge, clientWait, "the client has not fetched the metadata"},
		{"after discovery", kindMetadata, clientWait, "the client has not continued after discovery"},
		{"after registration", kindRegistration, clientWait, "the client has registered, but not opened the sign-in page"},
		{"at the sign-in page", kindPage, userWait, "no one has completed the sign-in page"},
		{"control: early", kindRegistration, clientWait - 1, ""},
		{"control: early, at the page", kindPage, userWait - 1, ""},
		{"control: signed in", kindCall, time.Hour, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			j := newJournal()
			j.add(Step{Time: now, Kind: test.kind, Outcome: Succeeded}, owner{userAgent: "a", clientID: "1"})
			before := j.since(0, 0)
			j.abandon(now.Add(test.wait))
			u := j.since(before.Steps[0].ID, before.version)
			if test.want == "" {
				if len(u.Runs) > 0 {
					t.Errorf("the run changed to %+v, want no change", u.Runs)
				}
				return
			}
			if len(u.Runs) != 1 || u.Runs[0].Headline != prefix+test.want || u.Runs[0].Outcome != Abandoned {
				t.Fatalf("runs = %+v, want one with %q", u.Runs, prefix+test.want)
			}
			j.add(Step{Time: now.Add(test.wait + 1), Kind: kindCall, Outcome: Succeeded}, owner{clientID: "1", user: "Ada"})
			if got := j.after(0).Runs[0]; got.Outcome != Succeeded || got.Headline != "signed in as Ada, 1 call" {
				t.Errorf("the run is %+v after a call, want that the user is signed in", got)
			}
		})
	}
}

func TestNamesOfRuns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		o    owner
		want string
	}{
		{"name", owner{userAgent: "node", client: "Cursor"}, "Cursor"},
		{"User-Agent", owner{userAgent: "claude-code/2.1.0 (external, cli)"}, "claude-code/2.1.0"},
		{"page", owner{userAgent: chromeAgent}, "A page in Chrome"},
		{"browser", owner{userAgent: chromeAgent, landing: true}, "Chrome"},
		{"nothing", owner{}, "A client"},
		{"server", owner{fromServer: true}, "MCP server"},
	} {
		var a runs
		if got := a.add(Step{Time: time.Now(), Kind: kindOther, Outcome: Neutral}, test.o).Client; got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
