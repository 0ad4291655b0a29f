package operator

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// publicReadyTimeout bounds one readiness check of the public port. Load balancers may wait for
// the keys, so that a server that has just started is ready with the first check.
const publicReadyTimeout = 3 * time.Second

// ServeHealth answers /healthz of the public port: the process answers requests.
func ServeHealth(w http.ResponseWriter, _ *http.Request) { writeStatus(w, http.StatusOK, "ok") }

// ServePublicReady answers /readyz of the public port: whether all guards can verify tokens now.
// Anyone may read it, so it names neither endpoints nor reasons.
func ServePublicReady(w http.ResponseWriter, r *http.Request, guards ...*gatehouse.Guard) {
	ctx, cancel := context.WithTimeout(r.Context(), publicReadyTimeout)
	defer cancel()
	code, status := http.StatusOK, Ready
	for _, guard := range guards {
		if err := guard.Ready(ctx); err != nil {
			code, status = http.StatusServiceUnavailable, publicReason(err)
			break
		}
	}
	writeStatus(w, code, status)
}

// publicReason returns the kind of an error of [gatehouse.Guard.Ready].
func publicReason(err error) string {
	switch {
	case errors.Is(err, gatehouse.ErrShuttingDown):
		return Stopping
	case errors.Is(err, gatehouse.ErrRevocationsNotLoaded):
		return "waiting for the revocations"
	}
	return "waiting for the keys of the identity provider"
}

func writeStatus(w http.ResponseWriter, code int, status string) {
	writeJSON(w, code, map[string]string{"status": status})
}
