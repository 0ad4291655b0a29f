package localclerk

import (
	"net/http"
)

// clerkError is one error of Clerk's own envelope.
type clerkError struct {
	status      int
	fix         string
	Message     string `json:"message"`
	LongMessage string `json:"long_message"`
	Code        string `json:"code"`
}

func (s *Server) writeClerkError(w http.ResponseWriter, r *http.Request, e clerkError) {
	recordError(r, e.Code, e.LongMessage, e.fix)
	noStore(w)
	writeJSON(w, e.status, struct {
		Errors  []clerkError `json:"errors"`
		TraceID string       `json:"clerk_trace_id"`
	}{[]clerkError{e}, randomString(hex, 32)})
}

func (s *Server) serveNotFound(w http.ResponseWriter, r *http.Request) {
	s.writeClerkError(w, r, clerkError{
		status:      http.StatusNotFound,
		Code:        "resource_not_found",
		Message:     "not found",
		LongMessage: "There is no " + r.Method + " " + r.URL.Path + " here.",
	})
}
