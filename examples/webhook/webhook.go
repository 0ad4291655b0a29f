package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	svix "github.com/svix/svix-webhooks/go"
)

const (
	secretVariable = "CLERK_WEBHOOK_SIGNING_SECRET"
	secretPrefix   = "whsec_"
	// leastSecret is the length of 24 bytes in base64, Svix's own. The library
	// takes an empty secret as well, with which anybody can sign.
	leastSecret = 32

	// maxBody is more than Clerk sends: the metadata of a user has 8 KB of each kind.
	maxBody = 256 << 10
)

// webhook receives Clerk's events, which Svix delivers and signs.
type webhook struct {
	svix *svix.Webhook
	gone *departures
}

func newWebhook(secret string, gone *departures) (*webhook, error) {
	key, ok := strings.CutPrefix(secret, secretPrefix)
	if !ok || len(key) < leastSecret {
		return nil, fmt.Errorf("%s is not a signing secret; paste the one of the endpoint: Clerk Dashboard, Configure, Webhooks (%q and what follows)", secretVariable, secretPrefix)
	}
	verifier, err := svix.NewWebhook(secret)
	if err != nil {
		return nil, fmt.Errorf("%s is not base64 after %q; paste it again", secretVariable, secretPrefix)
	}
	return &webhook{verifier, gone}, nil
}

// ServeHTTP answers 2xx to what is done with, and Svix delivers everything else
// once more.
func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, err := h.receive(w, r)
	if err != nil {
		slog.Warn("webhook refused", "status", status, "error", err)
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
		return http.StatusUnauthorized, fmt.Errorf("checking the signature: %w", err)
	}
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		return http.StatusBadRequest, err
	}
	who, leaves, err := e.departure()
	if err != nil {
		return http.StatusBadRequest, err
	}
	if leaves {
		if err := h.gone.note(who, e.time()); err != nil {
			return http.StatusServiceUnavailable, err
		}
		slog.Info("shut out", "event", e.Type, "user", who.user, "organization", who.organization)
	}
	return http.StatusNoContent, nil
}
