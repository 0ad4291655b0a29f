package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

func (u user) auditLines(after string) (out auditOutput) {
	u.t.Helper()
	u.call("list_audit_events", auditInput{after}, &out)
	return out
}

// waitForEvents waits until n events are stored. The event of a call is stored at the end of its answer,
// which the client may have read by then.
func (f *fixture) waitForEvents(t *testing.T, n int) {
	t.Helper()
	deadline, again := time.After(10*time.Second), time.NewTicker(5*time.Millisecond)
	defer again.Stop()
	for {
		var stored int
		if err := f.store.db.QueryRow("SELECT count(*) FROM audit_events").Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if stored >= n {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%d events are stored, want %d", stored, n)
		}
	}
}

// An admin reads who did what in the organization, with the denials, and nothing of another one.
func TestAudit(t *testing.T) {
	f := start(t)
	member, admin, other := f.signIn(t, grace), f.signIn(t, ada), f.signIn(t, alan)
	member.create("plan")
	f.waitForEvents(t, 1)
	f.wantDenied(t, grace, "insufficient_permission", "list_audit_events", auditInput{})
	f.waitForEvents(t, 2)
	other.create("bombe")
	f.waitForEvents(t, 3)
	f.signIn(t, katherine).create("own")

	users := map[string]string{}
	for _, u := range f.clerk.Users() {
		users[u.ID] = u.Username
	}
	var got []string
	for _, line := range admin.auditLines("").Events {
		got = append(got, fmt.Sprintf("%s %s %s%s", users[line.User], line.Decision, strings.Join(line.Operations, ","), line.Reason))
	}
	want := []string{
		"grace deny tools/call list_audit_eventsinsufficient_permission",
		"grace allow tools/call create_document",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("ada of Analytical Engines got %q, want %q", got, want)
	}
	lines := other.auditLines("").Events
	if len(lines) != 1 || users[lines[0].User] != "alan" || lines[0].Client == "" || lines[0].Time.IsZero() {
		t.Errorf("alan of Bombe Works got %+v, want his own call", lines)
	}
}

// Pages of events follow each other, and an event of another organization does not begin one.
func TestAuditPages(t *testing.T) {
	f := start(t)
	for i := range auditPageSize + 5 {
		for _, organization := range f.clerk.Organizations()[:2] {
			f.store.writeAuditEvent(t.Context(), event(f, organization.ID, i, time.Now()))
		}
	}
	admin := f.signIn(t, ada)
	first := admin.auditLines("")
	if len(first.Events) != auditPageSize || first.Next == "" {
		t.Fatalf("got %d events and next %q", len(first.Events), first.Next)
	}
	second := admin.auditLines(first.Next)
	if len(second.Events) != 5 || second.Next != "" || second.Events[4].Operations[0] != "tools/call t0" {
		t.Errorf("got %d events, next %q: %+v", len(second.Events), second.Next, second.Events)
	}
	f.signIn(t, alan).wantProblem("no event", "list_audit_events", auditInput{first.Next})
}

func event(f *fixture, organization string, i int, at time.Time) gatehouse.AuditEvent {
	return gatehouse.AuditEvent{
		ID: fmt.Sprintf("%s-%d", organization, i), Time: at, Decision: gatehouse.AuditAllow,
		Issuer: f.clerk.Issuer(), Organization: organization, Subject: "user_1",
		Operations: []gatehouse.AuditOperation{{Method: "tools/call", Name: fmt.Sprintf("t%d", i)}},
	}
}

// Old events are deleted, and all but the newest of each organization.
func TestAuditDeletion(t *testing.T) {
	f := start(t)
	now := time.Now()
	for i := range 10 {
		at := now
		if i == 7 {
			at = now.Add(-time.Hour)
		}
		f.store.writeAuditEvent(t.Context(), event(f, "org_many", i, at))
	}
	f.store.writeAuditEvent(t.Context(), event(f, "org_few", 0, now))
	if err := f.store.deleteAuditEvents(t.Context(), now.Add(-time.Minute), 5); err != nil {
		t.Fatal(err)
	}
	rows, err := f.store.db.Query("SELECT id FROM audit_events ORDER BY number")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var left []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		left = append(left, id)
	}
	if want := "[org_many-5 org_many-6 org_many-8 org_many-9 org_few-0]"; fmt.Sprint(left) != want {
		t.Errorf("left are %v, want %s", left, want)
	}
}

// Events that no admin could read, and those without an operation, are not stored.
func TestAuditEventsThatAreLeftOut(t *testing.T) {
	f := start(t)
	stored := event(f, "org_1", 0, time.Now())
	noOrganization, noOperation, denied := stored, stored, stored
	noOrganization.Organization = ""
	noOperation.Operations = []gatehouse.AuditOperation{{Method: "tools/list"}}
	denied.Decision, denied.Operations = gatehouse.AuditDeny, nil
	for i, test := range []struct {
		event gatehouse.AuditEvent
		want  int
	}{{stored, 1}, {noOrganization, 0}, {noOperation, 0}, {denied, 1}} {
		test.event.ID = fmt.Sprint(i)
		f.store.writeAuditEvent(t.Context(), test.event)
		var n int
		if err := f.store.db.QueryRow("SELECT count(*) FROM audit_events WHERE id = ?", test.event.ID).Scan(&n); err != nil || n != test.want {
			t.Errorf("event %d: %d rows, %v, want %d", i, n, err, test.want)
		}
	}
}
