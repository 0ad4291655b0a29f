package main

import (
	"encoding/json"
	"fmt"
	"time"
)

// event is one event of Clerk: https://clerk.com/docs/webhooks/overview.
type event struct {
	Type      string          `json:"type"`
	Timestamp int64           `json:"timestamp"` // when it happened, in milliseconds
	Data      json.RawMessage `json:"data"`      // the object that it happened to
}

// time is when e happened. That is not when it arrives: an event that is
// delivered late, or twice, must not shut out who signed in since.
func (e event) time() time.Time {
	if e.Timestamp <= 0 {
		return time.Now()
	}
	return time.UnixMilli(e.Timestamp)
}

// departure returns who is shut out by e, if anybody is.
func (e event) departure() (who departure, leaves bool, err error) {
	switch e.Type {
	case "user.deleted":
		var user struct{ ID string }
		err = json.Unmarshal(e.Data, &user)
		who, leaves = departure{user: user.ID}, true
	case "user.updated":
		var user struct {
			ID             string
			Banned, Locked bool
		}
		err = json.Unmarshal(e.Data, &user)
		who, leaves = departure{user: user.ID}, user.Banned || user.Locked
	case "session.revoked", "session.removed", "session.ended":
		var session struct {
			UserID string `json:"user_id"`
		}
		err = json.Unmarshal(e.Data, &session)
		who, leaves = departure{user: session.UserID}, true
	case "organizationMembership.deleted":
		var membership struct {
			Organization struct{ ID string }
			User         struct {
				ID string `json:"user_id"`
			} `json:"public_user_data"`
		}
		err = json.Unmarshal(e.Data, &membership)
		who, leaves = departure{membership.User.ID, membership.Organization.ID}, true
		if err == nil && who.organization == "" {
			err = fmt.Errorf("%s names no organization", e.Type)
		}
	default:
		return departure{}, false, nil
	}
	if err == nil && who.user == "" {
		err = fmt.Errorf("%s names no user", e.Type)
	}
	return who, leaves, err
}
