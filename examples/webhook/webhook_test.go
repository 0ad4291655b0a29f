package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	svix "github.com/svix/svix-webhooks/go"
)

const (
	secret      = secretPrefix + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	otherSecret = secretPrefix + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// delivery is one request of Svix.
type delivery struct {
	secret string
	sent   time.Time
	body   string
	change func(*http.Request) // made after it is signed
}

// to delivers d and returns the status of the answer.
func (d delivery) to(t *testing.T, hook http.Handler) int {
	t.Helper()
	signer, err := svix.NewWebhook(d.secret)
	if err != nil {
		t.Fatal(err)
	}
	const id = "msg_1"
	signature, err := signer.Sign(id, d.sent, []byte(d.body))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/clerk", strings.NewReader(d.body))
	r.Header.Set("svix-id", id)
	r.Header.Set("svix-timestamp", strconv.FormatInt(d.sent.Unix(), 10))
	r.Header.Set("svix-signature", signature)
	if d.change != nil {
		d.change(r)
	}
	w := httptest.NewRecorder()
	hook.ServeHTTP(w, r)
	return w.Code
}

// eventAt is the body of an event that happened at a time.
func eventAt(at time.Time, kind, data string) string {
	return fmt.Sprintf(`{"type":%q,"object":"event","timestamp":%d,"data":%s,"instance_id":"ins_1"}`, kind, at.UnixMilli(), data)
}

func deletion() string {
	return eventAt(time.Now(), "user.deleted", `{"id":"user_1","object":"user","deleted":true}`)
}

// testHook is a webhook that records the denials.
type testHook struct {
	*webhook
	denials []gatehouse.Denial
}

func newHook(t *testing.T) *testHook {
	t.Helper()
	h := &testHook{}
	hook, err := newWebhook(secret, func(d gatehouse.Denial) error { h.denials = append(h.denials, d); return nil })
	if err != nil {
		t.Fatal(err)
	}
	h.webhook = hook
	return h
}

// isRevoked reports whether a denial matches the token of id.
func (h *testHook) isRevoked(id gatehouse.Identity) bool {
	return slices.ContainsFunc(h.denials, func(d gatehouse.Denial) bool {
		return d.Subject == id.Subject && id.IssuedAt.Before(d.IssuedBefore) && (d.Organization == "" || d.Organization == id.Organization.ID)
	})
}

// issued returns a token of user_1 in org_1 that was issued a minute ago.
func issued() gatehouse.Identity {
	return gatehouse.Identity{Subject: "user_1", Organization: gatehouse.Organization{ID: "org_1"}, IssuedAt: time.Now().Add(-time.Minute)}
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		mutate     func(*delivery)
		wantStatus int
	}{
		{"control", func(*delivery) {}, 204},
		{"another secret", func(d *delivery) { d.secret = otherSecret }, 401},
		{"empty key", func(d *delivery) { d.secret = secretPrefix }, 401},
		{"another body", func(d *delivery) {
			d.change = func(r *http.Request) { r.Body = http.NoBody }
		}, 401},
		{"another id", func(d *delivery) {
			d.change = func(r *http.Request) { r.Header.Set("svix-id", "msg_2") }
		}, 401},
		{"no signature", func(d *delivery) {
			d.change = func(r *http.Request) { r.Header.Del("svix-signature") }
		}, 401},
		{"another signature scheme", func(d *delivery) {
			d.change = func(r *http.Request) {
				r.Header.Set("svix-signature", strings.Replace(r.Header.Get("svix-signature"), "v1,", "v2,", 1))
			}
		}, 401},
		{"control: second signature while the secret changes", func(d *delivery) {
			d.change = func(r *http.Request) {
				r.Header.Set("svix-signature", "v1,AAAA "+r.Header.Get("svix-signature"))
			}
		}, 204},
		{"control: four minutes old", func(d *delivery) { d.sent = d.sent.Add(-4 * time.Minute) }, 204},
		{"six minutes old", func(d *delivery) { d.sent = d.sent.Add(-6 * time.Minute) }, 401},
		{"from the future", func(d *delivery) { d.sent = d.sent.Add(6 * time.Minute) }, 401},
		{"old, with a new timestamp", func(d *delivery) {
			now := d.sent
			d.sent = d.sent.Add(-time.Hour)
			d.change = func(r *http.Request) { r.Header.Set("svix-timestamp", strconv.FormatInt(now.Unix(), 10)) }
		}, 401},
		{"control: largest body", func(d *delivery) { d.body += strings.Repeat(" ", maxBody-len(d.body)) }, 204},
		{"too large", func(d *delivery) { d.body += strings.Repeat(" ", maxBody+1-len(d.body)) }, 413},
		{"incomplete body", func(d *delivery) {
			d.change = func(r *http.Request) { r.Body = http.MaxBytesReader(nil, brokenBody{}, maxBody) }
		}, 400},
		{"not JSON", func(d *delivery) { d.body = "type=user.deleted" }, 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hook := newHook(t)
			d := delivery{secret: secret, sent: time.Now(), body: deletion()}
			test.mutate(&d)
			if got := d.to(t, hook); got != test.wantStatus {
				t.Errorf("status %d, want %d", got, test.wantStatus)
			}
			if got, want := hook.isRevoked(issued()), test.wantStatus == 204; got != want {
				t.Errorf("tokens of user_1 are revoked: %v, want %v", got, want)
			}
		})
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("connection reset") }
func (brokenBody) Close() error             { return nil }

func TestEvents(t *testing.T) {
	t.Parallel()
	const membership = `{"id":"orgmem_1","organization":{"id":"org_1"},"public_user_data":{"user_id":"user_1"},"role":"org:member"}`
	tests := []struct {
		name, kind, data   string
		wantStatus         int
		wantRevoked        bool // user_1 in org_1
		wantRevokedOutside bool // user_1 in no organization
	}{
		{"deleted", "user.deleted", `{"id":"user_1","deleted":true}`, 204, true, true},
		{"another user deleted", "user.deleted", `{"id":"user_2","deleted":true}`, 204, false, false},
		{"banned", "user.updated", `{"id":"user_1","banned":true,"locked":false}`, 204, true, true},
		{"locked", "user.updated", `{"id":"user_1","banned":false,"locked":true}`, 204, true, true},
		{"changed otherwise", "user.updated", `{"id":"user_1","banned":false,"locked":false}`, 204, false, false},
		{"session revoked", "session.revoked", `{"id":"sess_1","user_id":"user_1"}`, 204, true, true},
		{"session removed", "session.removed", `{"id":"sess_1","user_id":"user_1"}`, 204, true, true},
		{"session ended", "session.ended", `{"id":"sess_1","user_id":"user_1"}`, 204, true, true},
		{"session created", "session.created", `{"id":"sess_1","user_id":"user_1"}`, 204, false, false},
		{"left the organization", "organizationMembership.deleted", membership, 204, true, false},
		{
			"left another",
			"organizationMembership.deleted",
			strings.Replace(membership, "org_1", "org_2", 1),
			204,
			false,
			false,
		},
		{"joined", "organizationMembership.created", membership, 204, false, false},
		{"unknown, with other data", "email.created", `["user_1"]`, 204, false, false},
		{"deleted, without a user", "user.deleted", `{"deleted":true}`, 400, false, false},
		{"session without a user", "session.ended", `{"id":"sess_1"}`, 400, false, false},
		{
			"membership without a user",
			"organizationMembership.deleted",
			strings.Replace(membership, "user_id", "id", 1),
			400,
			false,
			false,
		},
		{
			"membership without an organization",
			"organizationMembership.deleted",
			strings.Replace(membership, "organization", "team", 1),
			400,
			false,
			false,
		},
		{"with other data", "user.deleted", `"user_1"`, 400, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hook := newHook(t)
			d := delivery{secret: secret, sent: time.Now(), body: eventAt(time.Now(), test.kind, test.data)}
			if got := d.to(t, hook); got != test.wantStatus {
				t.Errorf("status %d, want %d", got, test.wantStatus)
			}
			if got := hook.isRevoked(issued()); got != test.wantRevoked {
				t.Errorf("in the organization: revoked %v, want %v", got, test.wantRevoked)
			}
			outside := issued()
			outside.Organization.ID = ""
			if got := hook.isRevoked(outside); got != test.wantRevokedOutside {
				t.Errorf("in no organization: revoked %v, want %v", got, test.wantRevokedOutside)
			}
		})
	}
}

func TestEventWithoutTimestampCountsFromNow(t *testing.T) {
	t.Parallel()
	hook := newHook(t)
	body := `{"type":"user.deleted","data":{"id":"user_1"}}`
	if got := (delivery{secret: secret, sent: time.Now(), body: body}).to(t, hook); got != 204 {
		t.Errorf("status %d, want 204", got)
	}
	if !hook.isRevoked(issued()) {
		t.Error("the tokens of user_1 are not revoked")
	}
}

// Svix delivers an event again if its denial did not take effect everywhere.
func TestFailureIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	for _, err := range []error{gatehouse.ErrTooManyDenials, gatehouse.ErrDenialNotShared} {
		hook, newErr := newWebhook(secret, func(gatehouse.Denial) error { return err })
		if newErr != nil {
			t.Fatal(newErr)
		}
		if got := (delivery{secret: secret, sent: time.Now(), body: deletion()}).to(t, hook); got != 503 {
			t.Errorf("%v: status %d, want 503", err, got)
		}
	}
}

// Each delivery of an event makes the same denial, so that the store has it once.
func TestDeliveriesMakeOneDenial(t *testing.T) {
	t.Parallel()
	hook := newHook(t)
	d := delivery{secret: secret, sent: time.Now(), body: deletion()}
	d.to(t, hook)
	d.sent = d.sent.Add(time.Minute)
	d.to(t, hook)
	if len(hook.denials) != 2 || hook.denials[0] != hook.denials[1] {
		t.Errorf("the denials are %+v, want two that are equal", hook.denials)
	}
}

// The tokens that an old event would revoke have expired.
func TestOldEvents(t *testing.T) {
	t.Parallel()
	hook := newHook(t)
	for _, age := range []time.Duration{24 * time.Hour, 26 * time.Hour} {
		body := eventAt(time.Now().Add(-age), "user.deleted", `{"id":"user_1"}`)
		if got := (delivery{secret: secret, sent: time.Now(), body: body}).to(t, hook); got != 204 {
			t.Errorf("an event that is %s old: status %d, want 204", age, got)
		}
	}
	if len(hook.denials) != 1 {
		t.Errorf("%d denials, want that of the event that is a day old", len(hook.denials))
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, secret, wantErr string
	}{
		{"control", secret, ""},
		{"missing", "", "is not a signing secret"},
		{"prefix alone", secretPrefix, "is not a signing secret"},
		{"no prefix", strings.TrimPrefix(secret, secretPrefix), "is not a signing secret"},
		{"secret key of the instance", "sk_test_" + strings.Repeat("x", 40), "is not a signing secret"},
		{"short", secret[:len(secret)-1], "is not a signing secret"},
		{"not base64", secret + "!", "is not base64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := newWebhook(test.secret, nil)
			if test.wantErr == "" && err == nil {
				return
			}
			if err == nil || test.wantErr == "" || !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("error %v, want %q", err, test.wantErr)
			}
			if err != nil && len(test.secret) > len(secretPrefix) && strings.Contains(err.Error(), test.secret) {
				t.Errorf("error %v contains the secret", err)
			}
		})
	}
}

func FuzzEvent(f *testing.F) {
	f.Add("user.updated", `{"id":"user_1","banned":true}`)
	f.Add("session.ended", `{"user_id":"user_1"}`)
	f.Add("organizationMembership.deleted", `{"organization":{"id":"org_1"},"public_user_data":{"user_id":"user_1"}}`)
	f.Add("user.deleted", `null`)
	f.Add("", `{`)
	f.Fuzz(func(t *testing.T, kind, data string) {
		m, ok, err := event{Type: kind, Data: []byte(data)}.revocation()
		if err == nil && ok && m.user == "" {
			t.Errorf("%s with %s names no user, but there is no error", kind, data)
		}
	})
}
