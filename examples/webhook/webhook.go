package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	svix "github.com/svix/svix-webhooks/go"
)

const (
	secretVariable = "CLERK_WEBHOOK_SIGNING_SECRET"
	secretPrefix   = "whsec_"
	// minSecret is the length of 24 bytes in base64, which is what Svix uses. The library
	// would accept an empty secret too, with which anyone can sign.
	minSecret = 32

	// maxBody bounds one event, in bytes. Clerk sends less: the metadata of a user has at
	// most 8 KB of each kind.
	maxBody = 256 << 10
)

// webhook receives the events of Clerk, which Svix signs and delivers.
type webhook struct {
	svix *svix.Webhook
	deny func(gatehouse.Denial) error // Guard.Deny
}

func newWebhook(secret string, deny func(gatehouse.Denial) error) (*webhook, error) {
	key, ok := strings.CutPrefix(secret, secretPrefix)
	if !ok || len(key) < minSecret {
		return nil, fmt.Errorf("%s is not a signing secret; copy it from the endpoint in the Clerk Dashboard (Configure → Webhooks); it begins with %q", secretVariable, secretPrefix)
	}
	verifier, err := svix.NewWebhook(secret)
	if err != nil {
		return nil, fmt.Errorf("%s is not base64 after %q; copy it again", secretVariable, secretPrefix)
	}
	return &webhook{verifier, deny}, nil
}

// ServeHTTP answers 204 to an event that is handled. Svix delivers an event again after
// any other answer.
func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, err := h.receive(w, r)
	if err != nil {
		slog.Warn("webhook rejected", "status", status, "error", err)
	}
	w.WriteHeader(status)
}

func (h *webhook) receive(w http.ResponseWriter, r *http.Request) (status int, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge, err
	} else if err != nil {
		return http.StatusBadRequest, err
	}
	if err := h.svix.Verify(body, r.Header); err != nil {
		return http.StatusUnauthorized, fmt.Errorf("verifying the signature: %w", err)
	}
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		return http.StatusBadRequest, err
	}
	d, ok, err := e.denial()
	if err != nil {
		return http.StatusBadRequest, err
	}
	if !ok || !d.Until.After(time.Now()) {
		return http.StatusNoContent, nil
	}
	// If the store is unavailable, the denial is in effect here, and the next delivery of the
	// event tries again to share it.
	if err := h.deny(d); err != nil {
		return http.StatusServiceUnavailable, err
	}
	slog.Info("tokens revoked", "event", e.Type, "user", d.Subject, "organization", d.Organization)
	return http.StatusNoContent, nil
}
