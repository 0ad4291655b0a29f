package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	auditTimeout  = 2 * time.Second
	auditPageSize = 50                  // events
	auditAge      = 90 * 24 * time.Hour // how long events are kept
	auditMax      = 100_000             // events of one organization that are kept
	auditInterval = time.Hour           // between two deletions
)

// writeAuditEvent stores an event of an organization. It is the Audit function of the guard, which calls it before
// the answer to a request is complete. Events without an operation, such as those of lists, are left out,
// and so are those without an organization, which no admin could read.
func (s *store) writeAuditEvent(ctx context.Context, e gatehouse.AuditEvent) {
	if e.Organization == "" || e.Decision == gatehouse.AuditAllow && !hasName(e.Operations) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	text, err := json.Marshal(e)
	if err == nil {
		_, err = s.db.ExecContext(ctx, "INSERT INTO audit_events (tenant, id, time, event) VALUES (?, ?, ?, ?)",
			organizationTenant(e.Issuer, e.Organization), e.ID, e.Time.UnixMilli(), string(text))
	}
	if err != nil {
		slog.Error("an audit event was not stored", "event", e, "error", err)
	}
}

func hasName(operations []gatehouse.AuditOperation) bool {
	return len(operations) > 0 && operations[0].Name != ""
}

// trimAuditEvents deletes old events until ctx ends.
func (s *store) trimAuditEvents(ctx context.Context) {
	for {
		if err := s.deleteAuditEvents(ctx, time.Now().Add(-auditAge), auditMax); err != nil && ctx.Err() == nil {
			slog.Error("old audit events were not deleted", "error", err)
		}
		select {
		case <-time.After(auditInterval):
		case <-ctx.Done():
			return
		}
	}
}

// deleteAuditEvents deletes events from before a time, and all but the newest of each organization.
func (s *store) deleteAuditEvents(ctx context.Context, before time.Time, newest int) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM audit_events WHERE time < ? OR number IN (
		SELECT number FROM (
			SELECT number, row_number() OVER (PARTITION BY tenant ORDER BY number DESC) AS rank FROM audit_events
		) WHERE rank > ?)`, before.UnixMilli(), newest)
	return err
}

// auditEvents returns a page of the events of the caller's organization, newest first. after is the ID of the last
// event of the page before, or empty.
func (c call) auditEvents(ctx context.Context, after string) (page []gatehouse.AuditEvent, more bool, err error) {
	query, args := "SELECT event FROM audit_events WHERE tenant = ?", []any{c.tenant}
	if after != "" {
		var number int64
		row := c.store.db.QueryRowContext(ctx, "SELECT number FROM audit_events WHERE tenant = ? AND id = ?", c.tenant, after)
		err := row.Scan(&number)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, false, errForModel("there is no event %q any more; start again without after", after)
		} else if err != nil {
			return nil, false, err
		}
		query, args = query+" AND number < ?", append(args, number)
	}
	rows, err := c.store.db.QueryContext(ctx, query+" ORDER BY number DESC LIMIT ?", append(args, auditPageSize+1)...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		var e gatehouse.AuditEvent
		if err := errors.Join(rows.Scan(&text), json.Unmarshal([]byte(text), &e)); err != nil {
			return nil, false, err
		}
		page = append(page, e)
	}
	return page[:min(len(page), auditPageSize)], len(page) > auditPageSize, rows.Err()
}

// addAuditTool adds the tool for admins. The role is part of its requirement, so a call of anyone else is rejected before
// it reaches the tool, and is an event itself.
func (d *documentServer) addAuditTool() {
	addTool(d, &mcp.Tool{
		Name: "list_audit_events", Description: "List who used the tools in the organization, newest first; for its admins",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true},
	}, gatehouse.Require{
		Scopes: []string{scopeRead}, Person: true, Organization: true, Check: d.isAdmin,
	}, listAuditEvents)
}

type auditInput struct {
	After string `json:"after,omitempty" jsonschema:"next of the page before"`
}

type auditOutput struct {
	Events []auditLine `json:"events"`
	Next   string      `json:"next,omitempty" jsonschema:"there are more: pass it as after"`
}

// auditLine is what an admin needs of an event.
type auditLine struct {
	Time       time.Time `json:"time"`
	Decision   string    `json:"decision" jsonschema:"allow or deny"`
	Reason     string    `json:"reason,omitempty" jsonschema:"why it was denied"`
	User       string    `json:"user"`
	Client     string    `json:"client,omitempty"`
	Operations []string  `json:"operations"`
}

func listAuditEvents(ctx context.Context, c call, in auditInput) (auditOutput, error) {
	page, more, err := c.auditEvents(ctx, in.After)
	if err != nil {
		return auditOutput{}, err
	}
	out := auditOutput{Events: []auditLine{}}
	for _, e := range page {
		line := auditLine{e.Time, e.Decision, string(e.Reason), e.Subject, e.ClientID, []string{}}
		for _, op := range e.Operations {
			line.Operations = append(line.Operations, op.Method+" "+op.Name)
		}
		out.Events = append(out.Events, line)
	}
	if more {
		out.Next = page[len(page)-1].ID
	}
	return out, nil
}
